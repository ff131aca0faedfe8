// Reads signature files in the format of l7-filter: comments, the name of a protocol, and a regular expression;
// optionally another expression and flags for the matcher outside the kernel, which are the ones that count here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace p2pxbone::gateway {

inline constexpr size_t kSignatureFileBytesMax = 65'536;
inline constexpr size_t kSignatureNameBytesMax = 64;

// Which of several signatures that match is believed: the earlier one. A file says it in the comment line that
// l7-filter's own files carry, for instance `# Pattern attributes: good fast superset`.
enum class SignatureRank : uint8_t {
  subset,     // a special case of another protocol, such as file sharing over HTTP
  ordinary,
  superset,   // also matches the beginning of other protocols
  overmatch,  // matches much that is something else
};

struct Signature {
  std::string name;
  // As the matcher wants it.
  std::string expression;
  bool caseless = true;
  SignatureRank rank = SignatureRank::ordinary;
  // Where the expression was read, for messages.
  std::string file;
  size_t line = 0;
};

struct SignatureError {
  std::string file;
  size_t line;  // counted from 1
  std::string what;

  [[nodiscard]] std::string text() const { return file + ":" + std::to_string(line) + ": " + what; }
};

// `file` is only for messages.
[[nodiscard]] std::variant<Signature, SignatureError> readSignature(std::string_view file, std::string_view text);

}  // namespace p2pxbone::gateway
