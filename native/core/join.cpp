#include "core/join.h"

#include <cstring>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/vxlan.h"

namespace p2pxbone {
namespace {

constexpr uint8_t kTcpPsh = 0x08;
constexpr size_t kTcpSequence = 4;
constexpr size_t kTcpFlags = 13;
constexpr size_t kUdpLength = 4;
// The length fields of both IP headers have 16 bits; the IPv4 one counts its header.
constexpr size_t kIpPacketBytesMax = 65535;

// 0 where the transport header is cut short.
size_t transportHeaderBytes(std::span<const uint8_t> inner, const InnerPacket& ip) {
  if (ip.protocol == kProtocolUdp) {
    const bool whole =
        ip.transportBytes >= kUdpHeaderBytes && loadBe16(&inner[ip.transportOffset + kUdpLength]) == ip.transportBytes;
    return whole ? kUdpHeaderBytes : 0;
  }
  if (ip.transportBytes < kTcpHeaderBytesMin) return 0;
  const size_t length = size_t{inner[ip.transportOffset + 12]} / 16 * 4;
  return length < kTcpHeaderBytesMin || length > ip.transportBytes ? 0 : length;
}

size_t checksumOffsetOf(const InnerPacket& ip) {
  return ip.protocol == kProtocolTcp ? kTcpChecksumOffset : kUdpChecksumOffset;
}

// IPv4: type of service, flags, hop limit. IPv6: traffic class and flow label, hop limit. The rest is the flow's or counts.
bool sameIpHeader(const uint8_t* a, const uint8_t* b, bool v6) {
  if (v6) return std::memcmp(a, b, 4) == 0 && a[7] == b[7];
  return a[1] == b[1] && std::memcmp(a + 6, b + 6, 2) == 0 && a[8] == b[8];
}

// All but sequence number and checksum, and PSH, which may stand on the last packet.
bool sameTcpHeader(const uint8_t* a, const uint8_t* b, size_t length) {
  constexpr size_t acknowledgement = 8;
  constexpr size_t window = 14;
  constexpr size_t urgent = 18;
  return std::memcmp(a + acknowledgement, b + acknowledgement, kTcpFlags - acknowledgement) == 0 &&
         std::memcmp(a + window, b + window, 2) == 0 && std::memcmp(a + urgent, b + urgent, length - urgent) == 0;
}

}  // namespace

bool isPlain(const InnerPacket& ip) {
  const bool plainIp = ip.transportOffset == (ip.v6 ? kIpv6HeaderBytes : kIpv4HeaderBytes);
  return plainIp && !ip.fragment && ip.portsKnown;
}

size_t joinableHeaders(std::span<const uint8_t> inner, const InnerPacket& ip) {
  if (!isPlain(ip)) return 0;
  const bool tcp = ip.protocol == kProtocolTcp;
  if (tcp && (ip.tcpFlags | kTcpPsh) != (kTcpAck | kTcpPsh)) return 0;
  const size_t transport = transportHeaderBytes(inner, ip);
  if (transport == 0 || ip.transportBytes == transport) return 0;
  // A datagram that says it has no checksum would get one.
  if (!tcp && loadBe16(&inner[ip.transportOffset + kUdpChecksumOffset]) == 0) return 0;
  return ip.transportOffset + transport;
}

bool transportChecksumGood(std::span<const uint8_t> inner, const InnerPacket& ip) {
  const std::span<const uint8_t> transport = inner.subspan(ip.transportOffset, ip.transportBytes);
  return checksumFinish(checksumAdd(transport, pseudoHeaderSum(inner, ip.v6, ip.protocol, transport.size()))) == 0;
}

bool sameFlow(const InnerPacket& a, const InnerPacket& b) {
  return a.v6 == b.v6 && a.protocol == b.protocol && a.sourcePort == b.sourcePort &&
         a.destinationPort == b.destinationPort && a.source == b.source && a.destination == b.destination;
}

void Join::begin(std::span<const uint8_t> inner, const InnerPacket& ip, size_t headers) {
  const bool tcp = ip.protocol == kProtocolTcp;
  first_ = inner.data();
  ip_ = ip;
  headers_ = headers;
  segment_ = payload_ = ip.totalBytes - headers;
  packets_ = 1;
  const uint32_t sequence = tcp ? loadBe32(first_ + ip.transportOffset + kTcpSequence) : 0;
  nextSequence_ = sequence + static_cast<uint32_t>(payload_);
  nextIdentification_ = ip.v6 ? uint16_t{0} : static_cast<uint16_t>(loadBe16(first_ + 4) + 1);
  lastFlags_ = ip.tcpFlags;
  ended_ = tcp && (ip.tcpFlags & kTcpPsh) != 0;
}

bool Join::continuedBy(std::span<const uint8_t> inner, const InnerPacket& ip, size_t headers) const {
  const size_t payload = ip.totalBytes - headers;
  if (ended_ || headers != headers_ || payload > segment_) return false;
  if (packets_ == kPacketsMax || totalBytes() + payload > kIpPacketBytesMax) return false;
  const uint8_t* const next = inner.data();
  if (!sameIpHeader(first_, next, ip.v6)) return false;
  if (!ip.v6 && loadBe16(next + 4) != nextIdentification_) return false;
  if (ip.protocol == kProtocolUdp) return true;
  const size_t at = ip.transportOffset;
  return loadBe32(next + at + kTcpSequence) == nextSequence_ && sameTcpHeader(first_ + at, next + at, headers_ - at);
}

void Join::append(const InnerPacket& ip) {
  const size_t payload = ip.totalBytes - headers_;
  ++packets_;
  payload_ += payload;
  nextSequence_ += static_cast<uint32_t>(payload);
  ++nextIdentification_;
  lastFlags_ = ip.tcpFlags;
  // PSH asks for delivery, and nothing comes after a short packet.
  ended_ = payload < segment_ || (ip.tcpFlags & kTcpPsh) != 0;
}

InnerPacket Join::whole() const {
  InnerPacket all = ip_;
  all.totalBytes = totalBytes();
  all.transportBytes = totalBytes() - ip_.transportOffset;
  all.tcpFlags = lastFlags_;
  return all;
}

Offload Join::finish(std::span<uint8_t> headers) const {
  const bool tcp = ip_.protocol == kProtocolTcp;
  const size_t transportBytes = totalBytes() - ip_.transportOffset;
  const size_t checksumOffset = checksumOffsetOf(ip_);
  Offload offload;
  offload.needsChecksum = true;
  offload.checksumStart = static_cast<uint16_t>(kEthernetBytes + ip_.transportOffset);
  offload.checksumOffset = static_cast<uint16_t>(checksumOffset);
  if (packets_ > 1) {
    offload.kind = tcp ? (ip_.v6 ? Offload::Kind::tcp6 : Offload::Kind::tcp4) : Offload::Kind::udp;
    offload.segmentBytes = static_cast<uint16_t>(segment_);
    offload.headerBytes = static_cast<uint16_t>(kEthernetBytes + headers_);
    if (ip_.v6) {
      storeBe16(&headers[4], static_cast<uint16_t>(totalBytes() - kIpv6HeaderBytes));
    } else {
      const auto total = static_cast<uint16_t>(totalBytes());
      storeBe16(&headers[10], checksumUpdate(loadBe16(&headers[10]), loadBe16(&headers[2]), total));
      storeBe16(&headers[2], total);
    }
    if (tcp) {
      headers[ip_.transportOffset + kTcpFlags] = lastFlags_;
    } else {
      storeBe16(&headers[ip_.transportOffset + kUdpLength], static_cast<uint16_t>(transportBytes));
    }
  }
  const uint64_t pseudo = pseudoHeaderSum(headers, ip_.v6, ip_.protocol, transportBytes);
  storeBe16(&headers[ip_.transportOffset + checksumOffset], checksumFold(pseudo));
  return offload;
}

}  // namespace p2pxbone
