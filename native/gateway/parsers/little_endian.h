// Little-endian numbers at any alignment, as the file sharing protocols write them.
#pragma once

#include <cstdint>

namespace p2pxbone::gateway {

[[nodiscard]] inline uint16_t loadLe16(const uint8_t* from) { return static_cast<uint16_t>(from[0] | from[1] << 8); }
[[nodiscard]] inline uint32_t loadLe32(const uint8_t* from) {
  return uint32_t{loadLe16(from)} | uint32_t{loadLe16(from + 2)} << 16;
}
[[nodiscard]] inline uint64_t loadLe64(const uint8_t* from) {
  return uint64_t{loadLe32(from)} | uint64_t{loadLe32(from + 4)} << 32;
}

}  // namespace p2pxbone::gateway
