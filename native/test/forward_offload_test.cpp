#include "test/flow_builder.h"
#include "test/forward_world.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

// From the node itself to a key in the range that leads to A.
FlowPacket superTo(bool v6, size_t dataBytes, bool dontFragment = true) {
  FlowPacket super;
  super.v6 = v6;
  super.host = 1;
  super.dontFragment = dontFragment;
  super.data = Bytes(dataBytes, 9);
  return super;
}

struct OffloadWorld : ForwardWorld {
  OffloadWorld() {
    // flow_builder's addresses: 10.0.0.120 has no place on the ring that a test could know.
    publish({HopKind::local, 0}, {HopKind::tunnel, tunnelA}, {HopKind::tunnel, tunnelB},
            {{v4(10, 0, 0, 120), {HopKind::tunnel, tunnelA}}});
  }
  [[nodiscard]] uint64_t fromTapCount() const { return node->lanes[static_cast<size_t>(Lane::underlay)].packetsFromTap.get(); }
};

}  // namespace

TEST_CASE("forward: a super-packet leaves as the packets it stands for, and counts as those") {
  for (const bool v6 : {false, true}) {
    OffloadWorld world;
    const FlowPacket super = superTo(v6, 10'000);
    world.fromTap(buildUnfinished(super), offloadOf(super, 1300));
    const auto expected = cutUp(super, 1300);
    REQUIRE(world.sink.sent.size() == expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      CHECK(decodeVxlan(world.sink.sent[i].bytes) == kVni);
      CHECK(macAt(&world.sink.sent[i].bytes[8]) == macOf(1));
      CHECK(innerOf(world.sink.sent[i].bytes) == build(expected[i]));
    }
    CHECK(world.fromTapCount() == 8);
    const TunnelLane& lane = world.tables.tunnels.find(world.tunnelA)->stats->lanes[static_cast<size_t>(Lane::underlay)];
    CHECK(lane.packetsOut.get() == 8);
    CHECK(lane.bytesOut.get() == 10'000 + 8 * headersOf(super));
    CHECK(world.droppedInAll() == 0);
  }
}

TEST_CASE("forward: a checksum left to us is completed before the packet leaves") {
  OffloadWorld world;
  const FlowPacket packet = superTo(false, 700);
  world.fromTap(buildUnfinished(packet), offloadOf(packet, 0));
  REQUIRE(world.sink.sent.size() == 1);
  CHECK(innerOf(world.sink.sent[0].bytes) == build(packet));
}

TEST_CASE("forward: a super-packet of packets that do not fit is refused as they would be") {
  for (const bool v6 : {false, true}) {
    OffloadWorld world;
    const FlowPacket super = superTo(v6, 10'000);
    world.fromTap(buildUnfinished(super), offloadOf(super, 1401 - headersOf(super)));
    CHECK(world.sink.sent.empty());
    CHECK(world.dropped(DropReason::packetTooBig) == 8);
    REQUIRE(world.sink.delivered.size() == 1);
    const IcmpSeen seen = readIcmp(tail(world.sink.delivered[0], 14));
    CHECK(seen.mtu == 1400);
    // Exactly fitting ones leave.
    world.fromTap(buildUnfinished(super), offloadOf(super, 1400 - headersOf(super)));
    CHECK(world.sink.sent.size() == 8);
  }
}

TEST_CASE("forward: packets of a super-packet that may be fragmented are") {
  OffloadWorld world;
  const FlowPacket super = superTo(false, 60'000, false);
  world.fromTap(buildUnfinished(super), offloadOf(super, 2000));
  REQUIRE(world.sink.sent.size() == 60);
  size_t at = 0;
  for (const FlowPacket& packet : cutUp(super, 2000)) {
    Bytes joined;
    for (int piece = 0; piece < 2; ++piece) {
      const Bytes ip = innerOf(world.sink.sent[at++].bytes);
      CHECK(ip.size() <= 1400);
      CHECK(loadBe16(&ip[4]) == packet.identification);
      const Bytes payload = tail(ip, 20);
      joined.insert(joined.end(), payload.begin(), payload.end());
    }
    CHECK(joined == tail(build(packet), 20));
  }
}

TEST_CASE("forward: a super-packet for this node itself is handed back whole") {
  OffloadWorld world;
  world.publish({HopKind::local, 0}, {HopKind::local, 0}, {HopKind::local, 0});
  const FlowPacket super = superTo(true, 10'000);
  world.fromTap(buildUnfinished(super), offloadOf(super, 1300));
  REQUIRE(world.sink.delivered.size() == 1);
  CHECK(tail(world.sink.delivered[0], 14) == buildUnfinished(super));
  CHECK(world.sink.offloads[0] == offloadOf(super, 1300));
  CHECK(world.sink.deliveredPackets == 8);
}

TEST_CASE("forward: an offload that contradicts the packet is a counted drop") {
  OffloadWorld world;
  const FlowPacket super = superTo(true, 10'000);
  Offload wrong = offloadOf(super, 1300);
  wrong.checksumStart += 2;
  world.fromTap(buildUnfinished(super), wrong);
  CHECK(world.dropped(DropReason::offloadMalformed) == 1);
  CHECK(world.fromTapCount() == 1);
  CHECK(world.sink.sent.empty());
}

TEST_CASE("forward: more super-packets than the memory for segments holds are flushed in between, none is damaged") {
  OffloadWorld world;
  const FlowPacket super = superTo(true, 60'000);
  Bytes packet = vxlan(0, ethernet(buildUnfinished(super), macOf(9), macOf(9)));
  for (int i = 0; i < 30; ++i) world.forwarder.fromTap(*world.node, packet, offloadOf(super, 500), world.now);
  world.forwarder.flush();
  const auto expected = cutUp(super, 500);
  REQUIRE(world.sink.sent.size() == 30 * expected.size());
  for (size_t i = 0; i < world.sink.sent.size(); ++i) {
    REQUIRE(innerOf(world.sink.sent[i].bytes) == build(expected[i % expected.size()]));
  }
}

TEST_CASE("forward: a decision is remembered only for what it was made for") {
  ForwardWorld world;
  // The same addresses by another tunnel, another destination, another table: each is looked at anew.
  const auto add = [&](const Endpoint& peer, const Mac& mac, const Bytes& ip) {
    Bytes packet = vxlan(kVni, ethernet(ip, macOf(9), mac));
    Bytes copy = packet;
    world.forwarder.fromTunnel(*world.directory, peer, packet, world.now);
    world.forwarder.fromTunnel(*world.directory, peer, copy, world.now);
  };
  add(kPeerA, macOf(1), v6Udp(120, 180));
  add(kPeerB, macOf(2), v6Udp(120, 180));
  add(kPeerA, macOf(1), v6Udp(120, 130));
  add(kPeerA, macOf(2), v6Udp(120, 130));
  add(kPeerA, macOf(1), v6Udp(100, 130));
  NodeTables other{world.tables.image, {}};
  world.node->tables.store(&other);
  add(kPeerA, macOf(1), v6Udp(120, 180));
  CHECK(world.dropped(DropReason::tunnelUnknown) == 4);
  CHECK(world.dropped(DropReason::sourceForged) == 2);
  REQUIRE(world.sink.sent.size() == 6);
  const std::array<Endpoint, 6> to{kPeerB, kPeerB, kPeerB, kPeerB, kPeerA, kPeerA};
  for (size_t i = 0; i < 6; ++i) CHECK(world.sink.sent[i].to == to[i]);
  world.node->tables.store(&world.tables);
}
