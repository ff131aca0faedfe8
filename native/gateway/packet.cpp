#include "gateway/packet.h"

namespace p2pxbone::gateway {

DropReason parsePacket(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag, Packet& packet) {
  packet = {};
  const DropReason reason = parseInner(bytes, packet.ip);
  if (reason != DropReason::none) return reason;
  packet.bytes = bytes.first(packet.ip.totalBytes);
  packet.offload = offload;
  packet.tag = tag;
  return DropReason::none;
}

}  // namespace p2pxbone::gateway
