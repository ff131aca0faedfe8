// Packets as peers could send them, through the coalescer and cut up again: no packet is lost, changed or overtaken by a
// later one of its flow.
//
// Input: any number of records of one mode byte, two length bytes, and an IP packet of that length. Mode bits: 1 makes
// lengths and checksums right, 2 continues the packet before it as the next of its flow, 4 flushes afterwards.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <vector>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/coalesce.h"
#include "core/segment.h"

namespace p2pxbone {
namespace {

constexpr uint8_t kMakeRight = 0x01;
constexpr uint8_t kContinue = 0x02;
constexpr uint8_t kFlush = 0x04;
constexpr size_t kRecordsMax = 256;

using Bytes = std::vector<uint8_t>;

void require(bool holds) {
  if (!holds) std::abort();
}

void makeRight(Bytes& ip) {
  if (ip.size() < kIpv6HeaderBytes) return;
  const bool v4 = ip[0] >> 4 == 4;
  if (v4) {
    storeBe16(&ip[2], static_cast<uint16_t>(ip.size()));
    storeBe16(&ip[10], 0);
    storeBe16(&ip[10], checksumOf(std::span{ip}.first(std::min<size_t>(size_t{ip[0]} % 16 * 4, ip.size()))));
  } else {
    storeBe16(&ip[4], static_cast<uint16_t>(ip.size() - kIpv6HeaderBytes));
  }
  InnerPacket parsed;
  if (parseInner(ip, parsed) != DropReason::none || !parsed.portsKnown) return;
  const bool tcp = parsed.protocol == kProtocolTcp;
  const std::span<uint8_t> transport = std::span{ip}.subspan(parsed.transportOffset, parsed.transportBytes);
  const size_t at = tcp ? kTcpChecksumOffset : kUdpChecksumOffset;
  if (transport.size() < at + 2) return;
  if (!tcp) storeBe16(&transport[4], static_cast<uint16_t>(transport.size()));
  storeBe16(&transport[at], 0);
  const uint16_t checksum =
      checksumFinish(checksumAdd(transport, pseudoHeaderSum(ip, parsed.v6, parsed.protocol, transport.size())));
  storeBe16(&transport[at], !tcp && checksum == 0 ? uint16_t{0xffff} : checksum);
}

// The next packet of a flow: identification and sequence number go on.
Bytes successorOf(Bytes ip) {
  InnerPacket parsed;
  if (parseInner(ip, parsed) != DropReason::none) return ip;
  if (!parsed.v6) storeBe16(&ip[4], static_cast<uint16_t>(loadBe16(&ip[4]) + 1));
  if (parsed.protocol == kProtocolTcp && parsed.transportBytes >= kTcpHeaderBytesMin) {
    uint8_t* const tcp = &ip[parsed.transportOffset];
    const size_t headerBytes = std::min<size_t>(size_t{tcp[12]} / 16 * 4, parsed.transportBytes);
    storeBe32(tcp + 4, loadBe32(tcp + 4) + static_cast<uint32_t>(parsed.transportBytes - headerBytes));
  }
  makeRight(ip);
  return ip;
}

class CuttingSink final : public TapFrameSink {
 public:
  void writeFrame(Node&, const TapFrame& frame) override {
    Bytes ip;
    for (const auto piece : frame.pieces) ip.insert(ip.end(), piece.begin(), piece.end());
    ip.erase(ip.begin(), ip.begin() + kEthernetBytes);
    if (frame.offload == Offload{}) return received.push_back(ip);
    InnerPacket parsed;
    require(parseInner(ip, parsed) == DropReason::none);
    require(parsed.totalBytes == ip.size());
    const std::optional<Division> division = divide(frame.offload, parsed, ip);
    require(division && division->count == frame.packets);
    if (frame.offload.kind == Offload::Kind::none) {
      completeChecksum(frame.offload, parsed, ip);
      return received.push_back(ip);
    }
    const std::array<uint8_t, kEncapsulationBytes> none{};
    std::vector<uint8_t> room(segmentedBytes(*division));
    segment(none, ip, parsed, *division, room.data()).forEach([&](std::span<const uint8_t> packet) {
      received.emplace_back(packet.begin() + kEncapsulationBytes, packet.end());
    });
  }

  std::vector<Bytes> received;
};

// Everything but the payload that tells flows apart; fragments and the like are one flow.
Bytes flowOf(const Bytes& ip) {
  InnerPacket parsed;
  require(parseInner(ip, parsed) == DropReason::none);
  if (!parsed.portsKnown) return {};
  Bytes flow{parsed.protocol};
  flow.insert(flow.end(), parsed.source.begin(), parsed.source.end());
  flow.insert(flow.end(), parsed.destination.begin(), parsed.destination.end());
  const auto ports = ip.begin() + static_cast<ptrdiff_t>(parsed.transportOffset);
  flow.insert(flow.end(), ports, ports + 4);
  return flow;
}

// A checksum of two forms of zero, which sums tell no more apart, is written in one of them.
bool samePacket(const Bytes& a, const Bytes& b) {
  if (a == b) return true;
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool zero = (a[i] == 0x00 && b[i] == 0xff) || (a[i] == 0xff && b[i] == 0x00);
    if (a[i] != b[i] && !zero) return false;
  }
  return true;
}

void compare(std::vector<Bytes> sent, std::vector<Bytes> received) {
  require(sent.size() == received.size());
  const auto byFlow = [](const Bytes& a, const Bytes& b) { return flowOf(a) < flowOf(b); };
  std::stable_sort(sent.begin(), sent.end(), byFlow);
  std::stable_sort(received.begin(), received.end(), byFlow);
  for (size_t i = 0; i < sent.size(); ++i) require(samePacket(sent[i], received[i]));
}

}  // namespace
}  // namespace p2pxbone

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2pxbone;
  Node node{1, NodeConfig{}};
  CuttingSink sink;
  Coalescer coalescer{sink};
  std::deque<Bytes> frames;
  std::vector<Bytes> sent;
  Bytes previous;
  std::span<const uint8_t> rest{data, size};
  for (size_t record = 0; record < kRecordsMax && rest.size() >= 3; ++record) {
    const uint8_t mode = rest[0];
    const size_t length = std::min<size_t>(loadBe16(&rest[1]), rest.size() - 3);
    Bytes ip{rest.begin() + 3, rest.begin() + 3 + static_cast<ptrdiff_t>(length)};
    rest = rest.subspan(3 + length);
    if ((mode & kMakeRight) != 0) makeRight(ip);
    if ((mode & kContinue) != 0) ip = successorOf(previous);
    InnerPacket parsed;
    if (parseInner(ip, parsed) != DropReason::none) continue;
    ip.resize(parsed.totalBytes);
    previous = ip;
    sent.push_back(ip);
    Bytes& frame = frames.emplace_back(kEthernetBytes, uint8_t{0});
    frame.insert(frame.end(), ip.begin(), ip.end());
    coalescer.add(node, frame, parsed, {true, true, true});
    if ((mode & kFlush) != 0) coalescer.flush();
  }
  coalescer.flush();
  compare(std::move(sent), std::move(sink.received));
  return 0;
}
