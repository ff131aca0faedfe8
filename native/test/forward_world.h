// A forwarder with one node, two tunnels and a sink that records, for the tests of the forwarding decision.
#pragma once

#include <doctest/doctest.h>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/forward.h"
#include "test/packet_builder.h"

namespace p2pxbone::testing {

inline constexpr uint32_t kVni = 77;
inline const Endpoint kPeerA = endpointOf(1);
inline const Endpoint kPeerB = endpointOf(2);

// Copies what leaves; checks that bytes handed over are still the same at the flush.
class RecordingSink final : public Sink {
 public:
  struct Sent {
    Endpoint to;
    Bytes bytes;
    std::span<const uint8_t> original;
  };
  void toTunnel(const Tunnel& tunnel, ConstDatagramRun run) override {
    run.forEach([&](std::span<const uint8_t> datagram) {
      sent.push_back({tunnel.peer, {datagram.begin(), datagram.end()}, datagram});
      ++unflushed_;
    });
  }
  void toTap(Node&, const ToTap& packet) override {
    delivered.emplace_back(packet.frame.begin(), packet.frame.end());
    offloads.push_back(packet.offload);
    deliveredPackets += packet.packets;
  }
  void flush() override {
    for (size_t i = sent.size() - unflushed_; i < sent.size(); ++i) {
      CHECK(std::equal(sent[i].bytes.begin(), sent[i].bytes.end(), sent[i].original.begin()));
    }
    unflushed_ = 0;
  }

  std::vector<Sent> sent;
  std::vector<Bytes> delivered;
  std::vector<Offload> offloads;  // of those delivered
  size_t deliveredPackets = 0;

 private:
  size_t unflushed_ = 0;
};

// One node with a tunnel to A and one to B: own id 100, ring (200 → 100] local, (100 → 150] to A, (150 → 200] to B.
struct ForwardWorld {
  ForwardWorld() {
    NodeConfig config;
    config.mac = macOf(9);
    config.vni = kVni;
    config.id = 100;
    config.viId = "lab";
    config.ipv4 = v4(10, 0, 0, 1);
    config.ipv6 = v6(100);
    config.plan = {{{v6(0), 64, true}, {v4(10, 0, 0, 0), 104, false}}, {{linkV6(0), 64, true}, {v4(172, 20, 0, 0), 112, false}}};
    node = std::make_unique<Node>(1, config);
    directory = std::make_unique<Directory>(std::vector<Node*>{node.get()});
    tunnelA = tables.tunnels.add(1, kPeerA, macOf(1), 1400);
    tunnelB = tables.tunnels.add(2, kPeerB, macOf(2), 1400);
    publish({HopKind::local, 0}, {HopKind::tunnel, tunnelA}, {HopKind::tunnel, tunnelB});
  }

  // What the three ranges of the circle lead to.
  void publish(Hop first, Hop second, Hop third, std::vector<ExactRoute> exact = {}) {
    ImageRoutes routes;
    routes.exact = std::move(exact);
    routes.prefixes = {{v6(0), 64, true, {HopKind::ring, 0}}, {v4(10, 0, 0, 0), 104, false, {HopKind::ring, 0}}};
    routes.ranges = {{100, first}, {150, second}, {200, third}};
    tables.image = ForwardingImage::build(routes);
    REQUIRE(tables.image != nullptr);
    node->tables.store(&tables);
  }

  void fromTap(const Bytes& ip, const Offload& offload = {}) {
    Bytes packet = vxlan(0, ethernet(ip, macOf(9), macOf(9)));
    forwarder.fromTap(*node, packet, offload, now);
    forwarder.flush();
  }
  void fromPeer(const Bytes& ip, const Endpoint& peer = kPeerA, const Mac& mac = macOf(1)) {
    Bytes packet = vxlan(kVni, ethernet(ip, macOf(9), mac));
    forwarder.fromTunnel(*directory, peer, packet, now);
    forwarder.flush();
  }
  // A bare VXLAN packet.
  void fromUnderlay(Bytes packet, const Endpoint& peer = kPeerA) {
    forwarder.fromTunnel(*directory, peer, packet, now);
    forwarder.flush();
  }

  [[nodiscard]] uint64_t dropped(DropReason reason) const {
    std::array<uint64_t, kDropReasonCount> totals{};
    drops.addTo(totals);
    return totals[static_cast<size_t>(reason)];
  }
  [[nodiscard]] uint64_t droppedInAll() const {
    std::array<uint64_t, kDropReasonCount> totals{};
    drops.addTo(totals);
    uint64_t sum = 0;
    for (const uint64_t count : totals) sum += count;
    return sum;
  }

  Millis now = 1000;
  NodeTables tables;
  TunnelHandle tunnelA = 0;
  TunnelHandle tunnelB = 0;
  std::unique_ptr<Node> node;
  std::unique_ptr<Directory> directory;
  DropCounters drops;
  RecordingSink sink;
  Forwarder forwarder{Lane::underlay, 42, drops, sink};
};

inline Bytes innerOf(const Bytes& vxlanPacket) { return tail(vxlanPacket, kEncapsulationBytes); }

// An ICMP error, its checksums checked.
struct IcmpSeen {
  uint8_t type = 0;
  uint8_t code = 0;
  uint32_t mtu = 0;
  InnerPacket ip;
  Bytes quote;
};

inline IcmpSeen readIcmp(const Bytes& ip) {
  IcmpSeen seen;
  REQUIRE(parseInner(ip, seen.ip) == DropReason::none);
  REQUIRE(seen.ip.totalBytes == ip.size());
  const Bytes icmp = tail(ip, seen.ip.headerBytes);
  Bytes summed;
  if (seen.ip.v6) {
    REQUIRE(seen.ip.protocol == kProtocolIcmpv6);
    summed.insert(summed.end(), ip.begin() + 8, ip.begin() + 40);
    summed.insert(summed.end(), {0, 0, static_cast<uint8_t>(icmp.size() >> 8), static_cast<uint8_t>(icmp.size())});
    summed.insert(summed.end(), {0, 0, 0, kProtocolIcmpv6});
  } else {
    REQUIRE(seen.ip.protocol == kProtocolIcmp);
  }
  summed.insert(summed.end(), icmp.begin(), icmp.end());
  CHECK(slowChecksum(summed) == 0);
  seen.type = icmp[0];
  seen.code = icmp[1];
  seen.mtu = seen.ip.v6 ? loadBe32(&icmp[4]) : loadBe16(&icmp[6]);
  seen.quote = tail(icmp, 8);
  return seen;
}

inline Bytes v6Udp(uint64_t from, uint64_t to, size_t data = 8, uint8_t hopLimit = 64) {
  return ipPacket({.source = v6(from), .destination = v6(to), .hopLimit = hopLimit, .payload = udpPayload(1, 2, data)});
}

inline Bytes v6Tcp(uint64_t to, uint8_t flags, uint16_t port = 5000) {
  return ipPacket({.source = v6(120), .destination = v6(to), .protocol = kProtocolTcp, .payload = tcpPayload(port, 80, flags)});
}

}  // namespace p2pxbone::testing
