#include "core/offload.h"

#include <algorithm>
#include <cstring>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/vxlan.h"

namespace p2pxbone {
namespace {

// VIRTIO 1.1 §5.1.6; the fields are in the machine's byte order on a TAP.
constexpr uint8_t kFlagNeedsChecksum = 1;
constexpr uint8_t kGsoNone = 0;
constexpr uint8_t kGsoTcp4 = 1;
constexpr uint8_t kGsoTcp6 = 4;
constexpr uint8_t kGsoUdp = 5;
constexpr uint8_t kGsoEcn = 0x80;

uint16_t loadNative16(const uint8_t* from) {
  uint16_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void storeNative16(uint8_t* to, uint16_t value) { std::memcpy(to, &value, sizeof value); }

std::optional<Offload::Kind> kindOf(uint8_t gsoType) {
  switch (gsoType & ~kGsoEcn) {
    case kGsoNone: return Offload::Kind::none;
    case kGsoTcp4: return Offload::Kind::tcp4;
    case kGsoTcp6: return Offload::Kind::tcp6;
    case kGsoUdp: return Offload::Kind::udp;
    default: return std::nullopt;
  }
}

uint8_t gsoTypeOf(Offload::Kind kind) {
  switch (kind) {
    case Offload::Kind::none: break;
    case Offload::Kind::tcp4: return kGsoTcp4;
    case Offload::Kind::tcp6: return kGsoTcp6;
    case Offload::Kind::udp: return kGsoUdp;
  }
  return kGsoNone;
}

bool checksumInside(const Offload& offload, const InnerPacket& ip) {
  const size_t start = offload.checksumStart;
  return start >= kEthernetBytes + ip.headerBytes && start + offload.checksumOffset + 2 <= kEthernetBytes + ip.totalBytes;
}

bool isOfKind(const Offload& offload, const InnerPacket& ip) {
  const bool tcp = ip.protocol == kProtocolTcp;
  switch (offload.kind) {
    case Offload::Kind::none: break;
    case Offload::Kind::tcp4: return !ip.v6 && tcp;
    case Offload::Kind::tcp6: return ip.v6 && tcp;
    case Offload::Kind::udp: return ip.protocol == kProtocolUdp;
  }
  return false;
}

// 0 if it is cut short.
size_t transportHeaderBytes(const InnerPacket& ip, std::span<const uint8_t> bytes) {
  if (ip.protocol == kProtocolUdp) return ip.transportBytes < kUdpHeaderBytes ? 0 : kUdpHeaderBytes;
  if (ip.transportBytes < kTcpHeaderBytesMin) return 0;
  const size_t length = size_t{bytes[ip.transportOffset + 12]} / 16 * 4;
  return length < kTcpHeaderBytesMin || length > ip.transportBytes ? 0 : length;
}

}  // namespace

std::optional<Offload> decodeVnetHeader(std::span<const uint8_t, kVnetHeaderBytes> header) {
  const std::optional<Offload::Kind> kind = kindOf(header[1]);
  if (!kind) return std::nullopt;
  Offload offload;
  offload.kind = *kind;
  offload.needsChecksum = (header[0] & kFlagNeedsChecksum) != 0;
  if (*kind != Offload::Kind::none) {
    offload.headerBytes = loadNative16(&header[2]);
    offload.segmentBytes = loadNative16(&header[4]);
  }
  if (offload.needsChecksum) {
    offload.checksumStart = loadNative16(&header[6]);
    offload.checksumOffset = loadNative16(&header[8]);
  }
  return offload;
}

std::array<uint8_t, kVnetHeaderBytes> encodeVnetHeader(const Offload& offload) {
  std::array<uint8_t, kVnetHeaderBytes> header{};
  header[0] = offload.needsChecksum ? kFlagNeedsChecksum : 0;
  header[1] = gsoTypeOf(offload.kind);
  storeNative16(&header[2], offload.headerBytes);
  storeNative16(&header[4], offload.segmentBytes);
  storeNative16(&header[6], offload.checksumStart);
  storeNative16(&header[8], offload.checksumOffset);
  return header;
}

std::optional<Division> divide(const Offload& offload, const InnerPacket& ip, std::span<const uint8_t> bytes) {
  if (offload.needsChecksum && !checksumInside(offload, ip)) return std::nullopt;
  Division division;
  if (offload.kind == Offload::Kind::none) {
    division.headers = ip.headerBytes;
    division.payload = ip.totalBytes - ip.headerBytes;
    division.segment = division.payload;
    return division;
  }
  if (!offload.needsChecksum || ip.fragment || !isOfKind(offload, ip)) return std::nullopt;
  const size_t transport = transportHeaderBytes(ip, bytes);
  const size_t checksumOffset = ip.protocol == kProtocolTcp ? kTcpChecksumOffset : kUdpChecksumOffset;
  if (transport == 0 || offload.checksumStart != kEthernetBytes + ip.transportOffset ||
      offload.checksumOffset != checksumOffset) {
    return std::nullopt;
  }
  division.headers = ip.transportOffset + transport;
  division.payload = ip.totalBytes - division.headers;
  division.segment = offload.segmentBytes;
  if (division.segment == 0 || division.payload == 0) return std::nullopt;
  division.count = (division.payload + division.segment - 1) / division.segment;
  if (division.count > kSegmentsMax) return std::nullopt;
  return division;
}

void completeChecksum(const Offload& offload, const InnerPacket& ip, std::span<uint8_t> bytes) {
  if (!offload.needsChecksum) return;
  const size_t start = offload.checksumStart - kEthernetBytes;
  // The field holds the sum of the pseudo-header and is summed with the rest.
  uint16_t checksum = checksumOf(bytes.subspan(start, ip.totalBytes - start));
  // RFC 768: zero would say that there is none.
  if (checksum == 0 && ip.protocol == kProtocolUdp) checksum = 0xffff;
  storeBe16(&bytes[start + offload.checksumOffset], checksum);
}

uint64_t pseudoHeaderSum(std::span<const uint8_t> bytes, bool v6, uint8_t protocol, size_t transportBytes) {
  const std::span<const uint8_t> addresses = v6 ? bytes.subspan(8, 32) : bytes.subspan(12, 8);
  return checksumAdd(addresses, uint64_t{protocol} + (transportBytes >> 16) + (transportBytes & 0xffff));
}

}  // namespace p2pxbone
