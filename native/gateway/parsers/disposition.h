// Parameters of header fields as MIME and HTTP write them, and the file name in a Content-Disposition.
#pragma once

#include <string>
#include <string_view>

namespace p2pxbone::gateway {

// `boundary` of `multipart/form-data; boundary="x"`: unquoted, as bytes. Empty if it is not there.
[[nodiscard]] std::string parameterOf(std::string_view field, std::string_view name);

struct Disposition {
  bool hasName = false;
  std::string name;  // UTF-8, with any path that it had
};

// RFC 6266 with RFC 5987 (`filename*`), RFC 2231 continuations, and what browsers also accept: percent signs and RFC 2047
// words in a plain `filename`.
[[nodiscard]] Disposition dispositionOf(std::string_view field);

}  // namespace p2pxbone::gateway
