#include "gateway/rewrite.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/checksum.h"

namespace p2pxbone::gateway {

bool overwritePayload(Packet& packet, size_t offset, std::span<const uint8_t> bytes) {
  const std::span<uint8_t> target = packet.payload().subspan(offset, bytes.size());
  if (std::equal(target.begin(), target.end(), bytes.begin())) return false;
  std::copy(bytes.begin(), bytes.end(), target.begin());
  packet.rewritten = true;
  return true;
}

void trimPayload(Packet& packet, size_t keep) {
  if (keep >= packet.payloadBytes) return;
  const size_t cut = packet.payloadBytes - keep;
  packet.payloadBytes = keep;
  packet.ip.transportBytes -= cut;
  packet.ip.totalBytes -= cut;
  packet.bytes = packet.bytes.first(packet.ip.totalBytes);
  if (packet.ip.v6) {
    storeBe16(&packet.bytes[4], static_cast<uint16_t>(packet.ip.totalBytes - kIpv6HeaderBytes));
  } else {
    storeBe16(&packet.bytes[2], static_cast<uint16_t>(packet.ip.totalBytes));
    storeBe16(&packet.bytes[10], 0);
    storeBe16(&packet.bytes[10], checksumOf(packet.bytes.first(packet.ip.headerBytes)));
  }
  if (packet.isUdp()) storeBe16(&packet.transport()[4], static_cast<uint16_t>(packet.ip.transportBytes));
  packet.rewritten = true;
}

void clearUrgent(Packet& packet) {
  const std::span<uint8_t> header = packet.transport();
  header[13] &= static_cast<uint8_t>(~kTcpUrg);
  storeBe16(&header[18], 0);
  packet.tcp.flags &= static_cast<uint8_t>(~kTcpUrg);
  packet.ip.tcpFlags = packet.tcp.flags;
  packet.rewritten = true;
}

void finishRewrite(Packet& packet) {
  if (!packet.rewritten) return;
  packet.rewritten = false;
  const std::span<uint8_t> transport = packet.transport();
  const size_t at = packet.isTcp() ? kTcpChecksumOffset : kUdpChecksumOffset;
  // RFC 768: zero says that the sender made none.
  if (packet.isUdp() && loadBe16(&transport[at]) == 0) return;
  // UDP has a length of its own, which may leave out the end of the packet.
  const size_t length = packet.payloadOffset + packet.payloadBytes - packet.ip.transportOffset;
  const uint64_t pseudo = pseudoHeaderSum(packet.bytes, packet.ip.v6, packet.ip.protocol, length);
  if (packet.offload.needsChecksum) {
    storeBe16(&transport[at], checksumFold(pseudo));
    return;
  }
  storeBe16(&transport[at], 0);
  uint16_t checksum = checksumFinish(checksumAdd(transport.first(length), pseudo));
  if (packet.isUdp() && checksum == 0) checksum = 0xffff;
  storeBe16(&transport[at], checksum);
}

}  // namespace p2pxbone::gateway
