// Packets of two hosts for the gateway's tests, in both families and with right checksums.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/outlet.h"
#include "gateway/packet.h"
#include "test/packet_builder.h"

namespace p2pxbone::gateway::testing {

using p2pxbone::testing::Bytes;
using p2pxbone::testing::ipPacket;
using p2pxbone::testing::PacketSpec;
using p2pxbone::testing::put16;
using p2pxbone::testing::slowChecksum;
using p2pxbone::testing::v4;
using p2pxbone::testing::v6;

inline Bytes bytesOf(std::string_view text) { return {text.begin(), text.end()}; }
inline std::string textOf(std::span<const uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

struct Host {
  Address address{};
  uint16_t port = 0;
};

inline const Host kClient{v4(10, 1, 0, 1), 40000};
inline const Host kServer{v4(10, 2, 0, 2), 80};
inline const Host kClient6{v6(0x11), 40000};
inline const Host kServer6{v6(0x22), 80};

struct Segment {
  Host from = kClient;
  Host to = kServer;
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  uint8_t flags = kTcpAck;
  uint16_t window = 65535;
  uint16_t urgent = 0;
  Bytes options{};
  Bytes data{};
};

// The transport checksum, word by word.
inline uint16_t transportChecksum(const Address& from, const Address& to, uint8_t protocol, const Bytes& transport) {
  Bytes summed(from.begin(), from.end());
  summed.insert(summed.end(), to.begin(), to.end());
  if (isMappedIpv4(from)) {
    summed.assign(from.begin() + 12, from.end());
    summed.insert(summed.end(), to.begin() + 12, to.end());
  }
  summed.insert(summed.end(), {0, 0, 0, protocol, 0, 0});
  put16(summed, summed.size() - 2, transport.size());
  summed.insert(summed.end(), transport.begin(), transport.end());
  return slowChecksum(summed);
}

inline Bytes wrap(const Host& from, const Host& to, uint8_t protocol, const Bytes& transport) {
  PacketSpec spec;
  spec.source = from.address;
  spec.destination = to.address;
  spec.protocol = protocol;
  spec.payload = transport;
  return ipPacket(spec);
}

inline Bytes tcpPacket(const Segment& segment) {
  Bytes transport(20, 0);
  put16(transport, 0, segment.from.port);
  put16(transport, 2, segment.to.port);
  put16(transport, 4, segment.sequence >> 16);
  put16(transport, 6, segment.sequence & 0xffff);
  put16(transport, 8, segment.acknowledgement >> 16);
  put16(transport, 10, segment.acknowledgement & 0xffff);
  transport[12] = static_cast<uint8_t>((20 + segment.options.size()) / 4 * 16);
  transport[13] = segment.flags;
  put16(transport, 14, segment.window);
  put16(transport, 18, segment.urgent);
  transport.insert(transport.end(), segment.options.begin(), segment.options.end());
  transport.insert(transport.end(), segment.data.begin(), segment.data.end());
  put16(transport, 16, transportChecksum(segment.from.address, segment.to.address, kProtocolTcp, transport));
  return wrap(segment.from, segment.to, kProtocolTcp, transport);
}

inline Bytes udpPacket(const Host& from, const Host& to, const Bytes& data) {
  Bytes transport(8, 0);
  put16(transport, 0, from.port);
  put16(transport, 2, to.port);
  put16(transport, 4, 8 + data.size());
  transport.insert(transport.end(), data.begin(), data.end());
  const uint16_t checksum = transportChecksum(from.address, to.address, kProtocolUdp, transport);
  put16(transport, 6, checksum == 0 ? 0xffff : checksum);
  return wrap(from, to, kProtocolUdp, transport);
}

// Takes the IPv4 or IPv6 header's payload from `from` on as one fragment.
inline Bytes fragmentOf(const Bytes& packet, size_t from, size_t length, uint32_t identification = 77,
                        bool forceLast = false) {
  const bool isV6 = packet[0] >> 4 == 6;
  const size_t header = isV6 ? 40 : 20;
  const size_t end = std::min(packet.size(), header + from + length);
  const bool more = !forceLast && end < packet.size();
  Bytes fragment(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(header));
  const Bytes data(packet.begin() + static_cast<ptrdiff_t>(header + from), packet.begin() + static_cast<ptrdiff_t>(end));
  if (isV6) {
    Bytes extension(8, 0);
    extension[0] = fragment[6];
    put16(extension, 2, from | (more ? 1U : 0U));
    put16(extension, 4, identification >> 16);
    put16(extension, 6, identification & 0xffff);
    fragment[6] = 44;
    put16(fragment, 4, 8 + data.size());
    fragment.insert(fragment.end(), extension.begin(), extension.end());
  } else {
    put16(fragment, 2, header + data.size());
    put16(fragment, 4, identification);
    put16(fragment, 6, from / 8 | (more ? 0x2000U : 0U));
    put16(fragment, 10, 0);
    put16(fragment, 10, slowChecksum(fragment));
  }
  fragment.insert(fragment.end(), data.begin(), data.end());
  return fragment;
}

// Parsed only; the bytes must outlive it.
inline Packet parsed(Bytes& bytes, uint64_t tag = 0) {
  Packet packet;
  (void)parsePacket(bytes, {}, tag, packet);
  return packet;
}

class RecordingOutlet final : public Outlet {
 public:
  void release(std::span<uint8_t> bytes, const Offload&, uint64_t tag) override {
    released.emplace_back(tag, Bytes(bytes.begin(), bytes.end()));
  }
  void discard(uint64_t tag, DropReason reason) override { discarded.emplace_back(tag, reason); }
  void emit(std::span<uint8_t> bytes) override { emitted.emplace_back(bytes.begin(), bytes.end()); }

  std::vector<std::pair<uint64_t, Bytes>> released;
  std::vector<std::pair<uint64_t, DropReason>> discarded;
  std::vector<Bytes> emitted;
};

}  // namespace p2pxbone::gateway::testing
