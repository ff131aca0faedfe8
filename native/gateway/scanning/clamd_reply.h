// What clamd answers: lines that end with NUL, each with the number of its command within the session in front.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace p2pxbone::gateway {

struct ClamdReply {
  enum class Kind : uint8_t {
    clean,
    infected,   // text: the name of what was found
    tooBig,     // larger than clamd's StreamMaxLength, or what it unpacks to exceeds a limit; text: which
    pong,
    version,    // text: "ClamAV 1.4.6/27500/…"
    error,      // text: clamd's words
    malformed,  // no answer that clamd gives; text: its beginning
  };
  Kind kind = Kind::malformed;
  // From 1; 0 if there was none.
  uint32_t number = 0;
  // Printable ASCII; everything else is replaced by '?'.
  std::string text;
};

// Of one line without its NUL.
[[nodiscard]] ClamdReply parseClamdReply(std::span<const uint8_t> line);

// Joins what a socket gives to lines.
class ClamdReplyReader {
 public:
  // A longer line is malformed.
  static constexpr size_t kLineBytesMax = 1024;

  // Takes from the front of `bytes` what belongs to the next reply. nullopt when all is taken and the reply goes on. After
  // a malformed reply the connection is of no use.
  [[nodiscard]] std::optional<ClamdReply> take(std::span<const uint8_t>& bytes);

 private:
  std::string line_;
};

}  // namespace p2pxbone::gateway
