// Datagrams of equal size one after another in memory, of which the last may be shorter: what the kernel takes and gives in
// one piece (UDP_SEGMENT, UDP_GRO).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace p2pxbone {

template <typename Byte>
struct DatagramRunOf {
  std::span<Byte> bytes;
  // Of each datagram but the last; at least 1 unless there are no bytes.
  size_t segmentBytes = 0;

  // One datagram.
  static DatagramRunOf single(std::span<Byte> datagram) { return {datagram, std::max<size_t>(datagram.size(), 1)}; }

  // A datagram without a byte is one, too.
  [[nodiscard]] size_t count() const {
    if (bytes.size() <= segmentBytes) return 1;
    return (bytes.size() + segmentBytes - 1) / segmentBytes;
  }

  template <typename Each>
  void forEach(Each&& each) const {
    std::span<Byte> rest = bytes;
    while (rest.size() > segmentBytes) {
      each(rest.first(segmentBytes));
      rest = rest.subspan(segmentBytes);
    }
    each(rest);
  }
};

// To be written to, or only to be read.
using DatagramRun = DatagramRunOf<uint8_t>;
using ConstDatagramRun = DatagramRunOf<const uint8_t>;

}  // namespace p2pxbone
