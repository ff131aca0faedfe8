#include "gateway/packet.h"

namespace p2pxbone::gateway {

WireSize wireSizeOf(const Packet& packet) {
  WireSize size{1, packet.bytes.size()};
  if (packet.offload.kind == Offload::Kind::none) return size;
  const auto division = divide(packet.offload, packet.ip, packet.bytes);
  if (!division) return size;
  size.packets = division->count;
  size.bytes += (division->count - 1) * division->headers;
  return size;
}

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
