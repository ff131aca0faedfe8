// The regular expressions of l7-filter files, made into what the matcher compiles. They are POSIX extended expressions
// with \xHH for a byte; `^` is the start of the data and `$` the end of what there is so far.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

namespace p2pxbone::gateway {

inline constexpr size_t kPatternBytesMax = 8192;
inline constexpr size_t kPatternDepthMax = 64;
// The bound of POSIX for {m,n}.
inline constexpr unsigned kPatternRepeatMax = 255;

struct PatternError {
  size_t column;  // counted from 1
  std::string what;
};

// In the syntax of PCRE, in which no character stands for itself but letters and digits, so that nothing can be taken
// for an operator. To be compiled so that `.` matches every byte.
using TranslatedPattern = std::variant<std::string, PatternError>;

[[nodiscard]] TranslatedPattern translatePattern(std::string_view pattern);

}  // namespace p2pxbone::gateway
