#include "gateway/answers.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/checksum.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kHopLimit = 64;

struct Ends {
  const Address& from;
  uint16_t fromPort;
  const Address& to;
  uint16_t toPort;
};

size_t writeIpHeader(std::span<uint8_t> into, const Ends& ends) {
  const size_t tcpBytes = kTcpHeaderBytesMin;
  std::fill(into.begin(), into.end(), uint8_t{0});
  if (!isMappedIpv4(ends.from)) {
    into[0] = 0x60;
    storeBe16(&into[4], tcpBytes);
    into[6] = kProtocolTcp;
    into[7] = kHopLimit;
    std::ranges::copy(ends.from, &into[8]);
    std::ranges::copy(ends.to, &into[24]);
    return kIpv6HeaderBytes;
  }
  into[0] = 0x45;
  storeBe16(&into[2], kIpv4HeaderBytes + tcpBytes);
  storeBe16(&into[6], 0x4000);
  into[8] = kHopLimit;
  into[9] = kProtocolTcp;
  std::copy(ends.from.begin() + 12, ends.from.end(), &into[12]);
  std::copy(ends.to.begin() + 12, ends.to.end(), &into[16]);
  storeBe16(&into[10], checksumOf(into.first(kIpv4HeaderBytes)));
  return kIpv4HeaderBytes;
}

size_t build(std::span<uint8_t> into, const Ends& ends, const Reset& reset) {
  const size_t at = writeIpHeader(into.first(kResetBytesMax), ends);
  const std::span<uint8_t> tcp = into.subspan(at, kTcpHeaderBytesMin);
  storeBe16(&tcp[0], ends.fromPort);
  storeBe16(&tcp[2], ends.toPort);
  storeBe32(&tcp[4], reset.sequence);
  storeBe32(&tcp[8], reset.acknowledges ? reset.acknowledgement : 0);
  tcp[12] = kTcpHeaderBytesMin / 4 * 16;
  tcp[13] = static_cast<uint8_t>(kTcpRst | (reset.acknowledges ? kTcpAck : 0));
  const bool v6 = at == kIpv6HeaderBytes;
  storeBe16(&tcp[16], checksumFinish(checksumAdd(tcp, pseudoHeaderSum(into, v6, kProtocolTcp, tcp.size()))));
  return at + tcp.size();
}

}  // namespace

size_t buildReset(std::span<uint8_t> into, const Flow& flow, Side to, const Reset& reset) {
  const Side from = other(to);
  return build(into, {flow.address(from), flow.port(from), flow.address(to), flow.port(to)}, reset);
}

size_t buildResetFor(std::span<uint8_t> into, const Packet& packet) {
  const TcpHeader& tcp = packet.tcp;
  if (!packet.isTcp() || tcp.has(kTcpRst)) return 0;
  const InnerPacket& ip = packet.ip;
  const Ends ends{ip.destination, ip.destinationPort, ip.source, ip.sourcePort};
  if (tcp.has(kTcpAck)) return build(into, ends, {tcp.acknowledgement, 0, false});
  const uint32_t end = tcp.sequence + static_cast<uint32_t>(packet.payloadBytes) + (tcp.has(kTcpSyn) ? 1 : 0);
  return build(into, ends, {0, end, true});
}

}  // namespace p2pxbone::gateway
