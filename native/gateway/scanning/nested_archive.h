// An archive within an archive, and so on: deeper than clamd is ever configured to go. What it says of one tells whether it
// says so when it does not look at everything.
#pragma once

#include <cstdint>
#include <vector>

namespace p2pxbone::gateway {

// clamd accepts MaxRecursion up to 100.
inline constexpr int kNestedTooDeep = 110;

// ZIP archives of one entry each, not compressed; 12 KB for the depth above.
[[nodiscard]] std::vector<uint8_t> nestedArchive(int depth);

}  // namespace p2pxbone::gateway
