// Makes the packets that a super-packet stands for, as the kernel's own segmentation does (TSO, USO).
#pragma once

#include "core/datagram_run.h"
#include "core/offload.h"
#include "core/vxlan.h"

namespace p2pxbone {

// What segment() writes, bytes.
[[nodiscard]] constexpr size_t segmentedBytes(const Division& division) {
  return division.count * (kEncapsulationBytes + division.headers) + division.payload;
}

// Writes each packet, with a copy of `encapsulation` before it, one after another to `to`, which has segmentedBytes() of
// room and does not overlap the rest. `bytes` is the IP packet that `division` divides. Payload is copied and summed in
// one pass. IPv4 identifications count up; of TCP's flags FIN and PSH stand on the last packet only, CWR on the first.
[[nodiscard]] DatagramRun segment(std::span<const uint8_t, kEncapsulationBytes> encapsulation,
                                  std::span<const uint8_t> bytes, const InnerPacket& ip, const Division& division,
                                  uint8_t* to);

}  // namespace p2pxbone
