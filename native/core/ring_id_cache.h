// Remembers where IPv4 destinations lie on the circle, so that hashing is per flow and not per packet. One thread's.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/bytes.h"
#include "core/image.h"

namespace p2pxbone {

class RingIdCache {
 public:
  // `node` is the serial number of the virtual node whose VI's id is given: two VIs may use the same addresses.
  [[nodiscard]] uint64_t idOf(uint32_t node, const uint8_t* fourBytes, std::string_view viId) {
    const uint32_t address = loadBe32(fourBytes);
    const uint32_t hash = (address ^ node * 0x85ebca6bU) * 0x9e3779b1U;
    Entry& entry = entries_[hash >> (32 - kBits)];
    if (entry.node != node || entry.address != address) {
      entry = {node, address, ringIdOfIpv4(fourBytes, viId)};
    }
    return entry.id;
  }

 private:
  static constexpr int kBits = 12;
  struct Entry {
    uint32_t node = 0;  // serials begin at 1
    uint32_t address = 0;
    uint64_t id = 0;
  };
  std::array<Entry, 1 << kBits> entries_;
};

}  // namespace p2pxbone
