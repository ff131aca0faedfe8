// Whether bytes look like cipher text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace p2pxbone::gateway {

// Fewer tell nothing.
inline constexpr size_t kRandomnessBytesMin = 48;

// How far the counts of the 256 byte values are from equal, as Pearson's chi-squared. Of random bytes it is 255 with a
// standard deviation of about 23 at any length; the bound lies six deviations above, and text lies far beyond it.
[[nodiscard]] inline bool looksRandom(std::span<const uint8_t> bytes) {
  if (bytes.size() < kRandomnessBytesMin) return false;
  std::array<uint32_t, 256> counts{};
  for (const uint8_t byte : bytes) ++counts[byte];
  uint64_t squares = 0;
  for (const uint64_t count : counts) squares += count * count;
  constexpr uint64_t bound = 390;
  return 256 * squares < (bound + bytes.size()) * bytes.size();
}

}  // namespace p2pxbone::gateway
