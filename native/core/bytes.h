// Network byte order at any alignment.
#pragma once

#include <cstdint>

namespace p2pxbone {

[[nodiscard]] inline uint16_t loadBe16(const uint8_t* from) {
  return static_cast<uint16_t>((from[0] << 8) | from[1]);
}

[[nodiscard]] inline uint32_t loadBe24(const uint8_t* from) {
  return (uint32_t{from[0]} << 16) | (uint32_t{from[1]} << 8) | from[2];
}

[[nodiscard]] inline uint32_t loadBe32(const uint8_t* from) { return (uint32_t{from[0]} << 24) | loadBe24(from + 1); }

[[nodiscard]] inline uint64_t loadBe64(const uint8_t* from) {
  return (uint64_t{loadBe32(from)} << 32) | loadBe32(from + 4);
}

inline void storeBe16(uint8_t* to, uint16_t value) {
  to[0] = static_cast<uint8_t>(value >> 8);
  to[1] = static_cast<uint8_t>(value);
}

inline void storeBe24(uint8_t* to, uint32_t value) {
  to[0] = static_cast<uint8_t>(value >> 16);
  storeBe16(to + 1, static_cast<uint16_t>(value));
}

inline void storeBe32(uint8_t* to, uint32_t value) {
  to[0] = static_cast<uint8_t>(value >> 24);
  storeBe24(to + 1, value);
}

}  // namespace p2pxbone
