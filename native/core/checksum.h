// The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
#pragma once

#include <cstdint>
#include <span>

namespace p2pxbone {

// Adds bytes to a running one's-complement sum; every span but the last must have an even length.
[[nodiscard]] uint64_t checksumAdd(std::span<const uint8_t> bytes, uint64_t sum);
// Likewise, and copies the bytes to `to`, which must not overlap them: one pass over memory does both.
[[nodiscard]] uint64_t checksumCopy(uint8_t* to, std::span<const uint8_t> bytes, uint64_t sum);
// The running sum brought to 16 bits, not inverted.
[[nodiscard]] uint16_t checksumFold(uint64_t sum);
// The value for a header's checksum field.
[[nodiscard]] uint16_t checksumFinish(uint64_t sum);
[[nodiscard]] uint16_t checksumOf(std::span<const uint8_t> bytes);
// The checksum after one aligned 16-bit word changed (RFC 1624 equation 3).
[[nodiscard]] uint16_t checksumUpdate(uint16_t checksum, uint16_t from, uint16_t to);

}  // namespace p2pxbone
