// Frames with an offload header as a TAP's kernel could hand them over: dividing, segmenting and completing checksums must
// stay inside the packet, and whatever comes out must be a well-formed packet with the payload that went in.
//
// Input: the device's 10-byte header, one mode byte, and an IP packet. Mode 1 makes the headers agree with the packet.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/segment.h"

namespace p2pxbone {
namespace {

constexpr uint8_t kMakeAgree = 0x01;

void require(bool holds) {
  if (!holds) std::abort();
}

// Lengths and checksum of the IP header, and where the transport checksum stands, from the packet itself.
void makeAgree(Offload& offload, std::vector<uint8_t>& ip) {
  if (ip.size() < kIpv6HeaderBytes || ip.size() > 65'535) return;
  if (ip[0] >> 4 == 4) {
    storeBe16(&ip[2], static_cast<uint16_t>(ip.size()));
    storeBe16(&ip[10], 0);
    const size_t headerBytes = std::min<size_t>(size_t{ip[0]} % 16 * 4, ip.size());
    storeBe16(&ip[10], checksumOf(std::span{ip}.first(headerBytes)));
  } else {
    storeBe16(&ip[4], static_cast<uint16_t>(ip.size() - kIpv6HeaderBytes));
  }
  InnerPacket parsed;
  if (parseInner(ip, parsed) != DropReason::none) return;
  const bool tcp = parsed.protocol == kProtocolTcp;
  offload.needsChecksum = true;
  offload.checksumStart = static_cast<uint16_t>(kEthernetBytes + parsed.transportOffset);
  offload.checksumOffset = tcp ? kTcpChecksumOffset : kUdpChecksumOffset;
  if (offload.kind == Offload::Kind::none) return;
  offload.kind = tcp ? (parsed.v6 ? Offload::Kind::tcp6 : Offload::Kind::tcp4) : Offload::Kind::udp;
}

void checkSegments(const std::vector<uint8_t>& ip, const InnerPacket& parsed, const Division& division) {
  const std::array<uint8_t, kEncapsulationBytes> encapsulation{};
  // Blocks of their own, so that a write beyond their end is found.
  std::vector<uint8_t> room(segmentedBytes(division));
  const DatagramRun run =
      segment(encapsulation, std::span{ip}.first(parsed.totalBytes), parsed, division, room.data());
  require(run.bytes.size() == room.size());
  require(run.count() == division.count);
  std::vector<uint8_t> payload;
  run.forEach([&](std::span<const uint8_t> packet) {
    const std::span<const uint8_t> inner = packet.subspan(kEncapsulationBytes);
    InnerPacket piece;
    require(parseInner(inner, piece) == DropReason::none);
    require(piece.totalBytes == inner.size());
    const std::span<const uint8_t> transport = inner.subspan(piece.transportOffset);
    const uint64_t pseudo = pseudoHeaderSum(inner, piece.v6, piece.protocol, transport.size());
    require(checksumFinish(checksumAdd(transport, pseudo)) == 0);
    payload.insert(payload.end(), inner.begin() + static_cast<ptrdiff_t>(division.headers), inner.end());
  });
  require(std::equal(payload.begin(), payload.end(), ip.begin() + static_cast<ptrdiff_t>(division.headers),
                     ip.begin() + static_cast<ptrdiff_t>(parsed.totalBytes)));
}

}  // namespace
}  // namespace p2pxbone

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2pxbone;
  if (size <= kVnetHeaderBytes) return 0;
  const std::optional<Offload> decoded = decodeVnetHeader(std::span{data, size}.first<kVnetHeaderBytes>());
  if (!decoded) return 0;
  Offload offload = *decoded;
  std::vector<uint8_t> ip{data + kVnetHeaderBytes + 1, data + size};
  if ((data[kVnetHeaderBytes] & kMakeAgree) != 0) makeAgree(offload, ip);
  InnerPacket parsed;
  if (parseInner(ip, parsed) != DropReason::none) return 0;
  const std::optional<Division> division = divide(offload, parsed, std::span{ip}.first(parsed.totalBytes));
  if (!division) return 0;
  if (offload.kind == Offload::Kind::none) {
    completeChecksum(offload, parsed, std::span{ip}.first(parsed.totalBytes));
  } else {
    checkSegments(ip, parsed, *division);
  }
  return 0;
}
