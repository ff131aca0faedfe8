// Takes a MIME multipart body apart while it passes: part heads, and their data without copying.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace p2pxbone::gateway {

struct ContentRange {
  uint64_t first = 0;
  std::optional<uint64_t> last;
  std::optional<uint64_t> total;
};

// `bytes 0-99/1000`; old peers write `bytes=0-99/1000`.
[[nodiscard]] std::optional<ContentRange> contentRangeOf(std::string_view field);

struct PartHead {
  std::string disposition;
  std::string contentType;
  std::optional<ContentRange> range;
};

class PartSink {
 public:
  virtual ~PartSink() = default;
  virtual void partBegins(const PartHead& head) = 0;
  virtual void partData(std::span<const uint8_t> bytes) = 0;
  virtual void partEnds(bool complete) = 0;
};

class Multipart {
 public:
  explicit Multipart(std::string_view boundary);
  Multipart(const Multipart&) = delete;
  Multipart& operator=(const Multipart&) = delete;
  void data(std::span<const uint8_t> bytes, PartSink& sink);
  // Bytes are missing: the part is incomplete, and the next one is looked for.
  void lost(PartSink& sink);
  void end(PartSink& sink);

 private:
  enum class Phase : uint8_t {
    content,    // of a part, or the preamble
    delimiter,  // rest of a boundary's line
    head,       // a part's header fields
    epilogue,
  };

  void content(std::span<const uint8_t>& bytes, PartSink& sink);
  void mismatch(PartSink& sink);
  void take(std::span<const uint8_t> bytes, PartSink& sink);
  void lineByte(uint8_t byte, PartSink& sink);
  void headLine(PartSink& sink);
  void close(bool complete, PartSink& sink);

  std::string delimiter_;  // LF, two dashes, boundary
  size_t matched_ = 1;     // as if a line had ended just before the body
  bool heldCr_ = false;    // before what is matched
  bool virtualLf_ = true;  // the matched LF was not in the body
  Phase phase_ = Phase::content;
  bool inPart_ = false;
  std::string line_;
  size_t lines_ = 0;
  PartHead head_;
  std::string* folded_ = nullptr;  // the field of head_ that a line with a blank in front continues
};

}  // namespace p2pxbone::gateway
