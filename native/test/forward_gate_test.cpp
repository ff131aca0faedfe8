// The forwarder with a gate that does what it is told; that it is the gateway's packets that are judged rightly is for
// node_gateway_test.cpp.
#include <utility>

#include "test/flow_builder.h"
#include "test/scripted_gate.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

constexpr TrafficGate::Passed kTaken{TrafficGate::Answer::taken, false};

}  // namespace

TEST_CASE("gate: what goes on goes its way, from the TAP, in transit, and to the TAP") {
  GateWorld world;
  world.fromTap(v6Udp(100, 120));
  world.fromPeer(v6Udp(120, 180));
  world.fromPeer(v6Udp(120, 50));
  REQUIRE(world.gate->seen.size() == 3);
  CHECK(world.gate->seen[0].arrival == 0);
  CHECK(world.gate->seen[1].arrival == world.tunnelA);
  CHECK(world.gate->seen[1].inner == v6Udp(120, 180));
  REQUIRE(world.sink.sent.size() == 2);
  CHECK(innerOf(world.sink.sent[0].bytes) == v6Udp(100, 120));
  CHECK(innerOf(world.sink.sent[1].bytes) == v6Udp(120, 180, 8, 63));
  REQUIRE(world.sink.delivered.size() == 1);
  CHECK(tail(world.sink.delivered[0], 14) == v6Udp(120, 50));
  CHECK(world.gate->batches == 3);
  CHECK(world.droppedInAll() == 0);
}

TEST_CASE("gate: what it takes goes nowhere, and is not the forwarder's to count") {
  GateWorld world;
  world.gate->onPass = [](std::span<uint8_t>&) { return kTaken; };
  world.fromTap(v6Udp(100, 120));
  world.fromPeer(v6Udp(120, 180, 8, 1));
  world.fromPeer(v6Udp(120, 50));
  CHECK(world.gate->seen.size() == 3);
  CHECK(world.sink.sent.empty());
  CHECK(world.sink.delivered.empty());
  CHECK(world.droppedInAll() == 0);
}

TEST_CASE("gate: malformed packets, forged sources and strangers' never reach it") {
  GateWorld world;
  Bytes broken = v6Udp(120, 180);
  broken.resize(30);
  world.fromPeer(broken);
  world.fromPeer(v6Udp(100, 180));
  world.fromPeer(v6Udp(120, 180), kPeerB);
  CHECK(world.dropped(DropReason::packetMalformed) == 1);
  CHECK(world.dropped(DropReason::sourceForged) == 1);
  CHECK(world.dropped(DropReason::tunnelUnknown) == 1);
  CHECK(world.gate->seen.empty());
}

TEST_CASE("gate: P2P daemons are not asked for their papers, programs that use their addresses are") {
  GateWorld world;
  world.publish({HopKind::local, 0}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelB},
                {{linkV6(1), {HopKind::local, 0}}, {linkV6(2), {HopKind::tunnel, world.tunnelA}}});
  const auto between = [](uint64_t from, uint64_t to, uint16_t fromPort, uint16_t toPort) {
    return ipPacket({.source = linkV6(from), .destination = linkV6(to), .payload = udpPayload(fromPort, toPort, 8)});
  };
  world.fromTap(between(1, 2, 4747, 5000));
  world.fromPeer(between(2, 1, 5000, 4747));
  CHECK(world.gate->seen.empty());
  world.fromTap(between(1, 2, 4000, 5000));
  world.fromPeer(between(2, 1, 5000, 4000));
  CHECK(world.gate->seen.size() == 2);
  // Where links have no addresses of their own.
  world.fromTap(ipPacket({.source = v6(100), .destination = v6(120), .payload = udpPayload(4747, 9, 8)}));
  CHECK(world.gate->seen.size() == 2);
  // Not what others say by that port through this node.
  world.fromPeer(ipPacket({.source = v6(120), .destination = v6(180), .payload = udpPayload(4747, 4747, 8)}));
  CHECK(world.gate->seen.size() == 3);
  CHECK(world.sink.sent.size() == 4);
  CHECK(world.sink.delivered.size() == 2);
}

TEST_CASE("gate: a changed packet is read again: shorter, or to another place") {
  GateWorld world;
  world.gate->onPass = [](std::span<uint8_t>& inner) {
    inner = inner.first(inner.size() - 4);
    inner[5] = static_cast<uint8_t>(inner.size() - 40);
    return TrafficGate::Passed{TrafficGate::Answer::changed, false};
  };
  world.fromPeer(v6Udp(120, 180));
  REQUIRE(world.sink.sent.size() == 1);
  CHECK(innerOf(world.sink.sent[0].bytes).size() == v6Udp(120, 180).size() - 4);
  world.gate->onPass = [](std::span<uint8_t>& inner) {
    inner[39] = 50;
    return TrafficGate::Passed{TrafficGate::Answer::changed, false};
  };
  world.fromPeer(v6Udp(120, 180));
  CHECK(world.sink.sent.size() == 1);
  CHECK(world.sink.delivered.size() == 1);
  world.gate->onPass = [](std::span<uint8_t>& inner) {
    inner[0] = 0x10;
    return TrafficGate::Passed{TrafficGate::Answer::changed, false};
  };
  world.fromPeer(v6Udp(120, 180));
  CHECK(world.dropped(DropReason::packetMalformed) == 1);
}

TEST_CASE("gate: a source that the gate has put in is not asked for its papers, and nobody else may use it because of that") {
  GateWorld world;
  const Bytes answer = v6Udp(100, 180);
  world.gate->onPass = [&](std::span<uint8_t>& inner) {
    std::copy(answer.begin(), answer.end(), inner.begin());
    return TrafficGate::Passed{TrafficGate::Answer::changed, false};
  };
  world.fromPeer(v6Udp(120, 180));
  REQUIRE(world.sink.sent.size() == 1);
  CHECK(innerOf(world.sink.sent[0].bytes) == v6Udp(100, 180, 8, 63));
  world.gate->onPass = nullptr;
  world.gate->letGo(answer, world.tunnelA);
  world.fromPeer(v6Udp(120, 181));
  CHECK(world.sink.sent.size() == 3);
  CHECK(world.droppedInAll() == 0);
  world.fromPeer(answer);
  CHECK(world.sink.sent.size() == 3);
  CHECK(world.dropped(DropReason::sourceForged) == 1);
}

TEST_CASE("gate: what waited goes on before the packet that follows it, and what is let go at the end after it") {
  GateWorld world;
  int passes = 0;
  world.gate->onPass = [&](std::span<uint8_t>&) {
    if (passes++ == 0) return kTaken;
    world.gate->letGo(v6Udp(120, 180, 1), world.tunnelA);
    return TrafficGate::Passed{TrafficGate::Answer::goesOn, true};
  };
  bool ended = false;
  world.gate->onEnd = [&] {
    if (passes == 2 && !std::exchange(ended, true)) world.gate->letGo(v6Udp(120, 50, 3), world.tunnelA);
  };
  world.fromPeer(v6Udp(120, 180, 1));
  CHECK(world.sink.sent.empty());
  world.fromPeer(v6Udp(120, 180, 2));
  REQUIRE(world.sink.sent.size() == 2);
  CHECK(innerOf(world.sink.sent[0].bytes) == v6Udp(120, 180, 1, 63));
  CHECK(innerOf(world.sink.sent[1].bytes) == v6Udp(120, 180, 2, 63));
  REQUIRE(world.sink.delivered.size() == 1);
  CHECK(tail(world.sink.delivered[0], 14) == v6Udp(120, 50, 3));
}

TEST_CASE("gate: what it lets go follows the routes of now, and a tunnel that is gone is a counted drop") {
  GateWorld world;
  world.gate->letGo(v6Udp(120, 180), world.tunnelA);
  world.publish({HopKind::local, 0}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelA});
  world.forwarder.attend(*world.node, world.now);
  world.forwarder.flush();
  REQUIRE(world.sink.sent.size() == 1);
  CHECK(world.sink.sent[0].to == kPeerA);
  world.gate->letGo(v6Udp(120, 180), world.tunnelA);
  REQUIRE(world.tables.tunnels.remove(world.tunnelA));
  world.forwarder.attend(*world.node, world.now);
  world.forwarder.flush();
  CHECK(world.sink.sent.size() == 1);
  CHECK(world.dropped(DropReason::tunnelGone) == 1);
}

TEST_CASE("gate: what it says in others' names is routed with no question for its source, and never answered") {
  GateWorld world;
  // In the name of a node behind B, to one behind A; in that of this node's peer to this node.
  world.gate->letGo(v6Udp(180, 120, 8, 1), 0, {}, true);
  world.gate->letGo(v6Udp(180, 100), 0, {}, true);
  // And in the name of this node itself, which nobody else may use.
  world.gate->letGo(v6Udp(100, 180), 0, {}, true);
  world.forwarder.attend(*world.node, world.now);
  world.forwarder.flush();
  REQUIRE(world.sink.sent.size() == 2);
  CHECK(world.sink.sent[0].to == kPeerA);
  CHECK(innerOf(world.sink.sent[0].bytes) == v6Udp(180, 120, 8, 1));
  CHECK(world.sink.sent[1].to == kPeerB);
  CHECK(world.sink.delivered.size() == 1);
  CHECK(world.node->lanes[0].packetsFromTap.get() == 0);
  world.publish({HopKind::local, 0}, {HopKind::unreachable, 0}, {HopKind::unreachable, 0});
  world.gate->letGo(v6Udp(180, 120), 0, {}, true);
  world.forwarder.attend(*world.node, world.now);
  world.forwarder.flush();
  CHECK(world.dropped(DropReason::routeUnreachable) == 1);
  CHECK(world.sink.delivered.size() == 1);
}

TEST_CASE("gate: a super-packet passes whole, leaves as its packets, and keeps its offload while it waits") {
  GateWorld world;
  FlowPacket super;
  super.v6 = true;
  super.host = 1;
  super.data = Bytes(10'000, 9);
  const Offload offload = offloadOf(super, 1300);
  const auto expected = cutUp(super, 1300);
  world.fromTap(buildUnfinished(super), offload);
  REQUIRE(world.gate->seen.size() == 1);
  CHECK(world.gate->seen[0].packets == expected.size());
  CHECK(world.gate->seen[0].offload == offload);
  world.gate->onPass = [](std::span<uint8_t>&) { return kTaken; };
  world.fromTap(buildUnfinished(super), offload);
  CHECK(world.sink.sent.size() == expected.size());
  world.gate->letGo(buildUnfinished(super), 0, offload);
  world.forwarder.attend(*world.node, world.now);
  world.forwarder.flush();
  REQUIRE(world.sink.sent.size() == 2 * expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(innerOf(world.sink.sent[i].bytes) == build(expected[i]));
    CHECK(innerOf(world.sink.sent[expected.size() + i].bytes) == build(expected[i]));
  }
}

TEST_CASE("gate: more super-packets than the forwarder has room for at once leave whole") {
  GateWorld world;
  FlowPacket super;
  super.v6 = true;
  super.host = 1;
  super.data = Bytes(60'000, 9);
  const auto expected = cutUp(super, 1300);
  for (int i = 0; i < 12; ++i) world.gate->letGo(buildUnfinished(super), 0, offloadOf(super, 1300));
  world.forwarder.attend(*world.node, world.now);
  world.forwarder.flush();
  REQUIRE(world.sink.sent.size() == 12 * expected.size());
  for (size_t i = 0; i < world.sink.sent.size(); ++i) {
    REQUIRE(innerOf(world.sink.sent[i].bytes) == build(expected[i % expected.size()]));
  }
}

TEST_CASE("gate: a connection to a key that is pinned here stays here, also when its packets have waited") {
  GateWorld world;
  world.fromPeer(v6Tcp(50, kTcpSyn));
  world.publish({HopKind::tunnel, world.tunnelB}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelB});
  world.gate->onPass = [](std::span<uint8_t>&) { return kTaken; };
  world.fromPeer(v6Tcp(50, kTcpAck));
  CHECK(world.sink.delivered.size() == 1);
  world.gate->letGo(v6Tcp(50, kTcpAck), world.tunnelA);
  world.forwarder.attend(*world.node, world.now);
  world.forwarder.flush();
  CHECK(world.sink.delivered.size() == 2);
  CHECK(world.sink.sent.empty());
  CHECK(world.node->lanes[0].packetsPinned.get() == 1);
}
