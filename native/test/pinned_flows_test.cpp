#include "test/forward_world.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

TEST_CASE("a TCP connection to a key stays here when the range moves; a new one follows the routes") {
  ForwardWorld world;
  world.fromPeer(v6Tcp(60, kTcpSyn));
  world.fromPeer(v6Tcp(60, kTcpAck));
  CHECK(world.sink.delivered.size() == 2);
  // The range goes to B.
  world.publish({HopKind::tunnel, world.tunnelB}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelB});
  world.fromPeer(v6Tcp(60, kTcpAck));
  world.fromPeer(v6Tcp(60, kTcpAck | kTcpFin));
  CHECK(world.sink.delivered.size() == 4);
  CHECK(world.node->lanes[0].packetsPinned.get() == 2);
  // Another connection, and another protocol.
  world.fromPeer(v6Tcp(60, kTcpSyn, 5001));
  world.fromPeer(v6Tcp(60, kTcpAck, 5001));
  world.fromPeer(v6Udp(120, 60));
  CHECK(world.sink.delivered.size() == 4);
  CHECK(world.sink.sent.size() == 3);

  SUBCASE("until it is reset") {
    world.fromPeer(v6Tcp(60, kTcpRst));
    CHECK(world.sink.delivered.size() == 5);
    world.fromPeer(v6Tcp(60, kTcpAck));
    CHECK(world.sink.delivered.size() == 5);
  }
  SUBCASE("until its ports are used anew") {
    world.fromPeer(v6Tcp(60, kTcpSyn));
    world.fromPeer(v6Tcp(60, kTcpAck));
    CHECK(world.sink.delivered.size() == 4);
  }
  SUBCASE("until it has been idle for long") {
    world.now += PinnedFlows::kIdleMax;
    world.fromPeer(v6Tcp(60, kTcpAck));
    CHECK(world.sink.delivered.size() == 5);
    world.now += PinnedFlows::kIdleMax + 1;
    world.fromPeer(v6Tcp(60, kTcpAck));
    CHECK(world.sink.delivered.size() == 5);
  }
}

TEST_CASE("a TCP connection that is not known here goes on at the node whose the range was before") {
  ForwardWorld world;
  // Begun here while the range was ours alone.
  world.fromPeer(v6Tcp(60, kTcpSyn, 5001));
  CHECK(world.sink.delivered.size() == 1);
  world.publish({HopKind::local, world.tunnelB}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelB});
  world.fromPeer(v6Tcp(60, kTcpAck));
  REQUIRE(world.sink.sent.size() == 1);
  CHECK(world.sink.sent[0].to == kPeerB);
  CHECK(world.sink.delivered.size() == 1);

  SUBCASE("a new one, one begun here, and another protocol do not") {
    world.fromPeer(v6Tcp(60, kTcpSyn));
    world.fromPeer(v6Tcp(60, kTcpAck));
    world.fromPeer(v6Tcp(60, kTcpAck, 5001));
    world.fromPeer(v6Udp(120, 60));
    CHECK(world.sink.delivered.size() == 5);
    CHECK(world.sink.sent.size() == 1);
  }
  SUBCASE("unless it comes from there") {
    world.fromPeer(v6Tcp(60, kTcpAck), kPeerB, macOf(2));
    CHECK(world.sink.delivered.size() == 2);
    world.fromPeer(v6Tcp(60, kTcpAck));
    CHECK(world.sink.delivered.size() == 3);
  }
  SUBCASE("until the tunnel is gone") {
    REQUIRE(world.tables.tunnels.remove(world.tunnelB));
    world.fromPeer(v6Tcp(60, kTcpAck));
    CHECK(world.sink.delivered.size() == 2);
  }
  CHECK(world.droppedInAll() == 0);
}

TEST_CASE("the table of pinned flows is bounded and forgets the oldest of a set") {
  PinnedFlows flows{7};
  const auto key = [](uint32_t i) {
    return FlowKey{1, static_cast<uint16_t>(i), static_cast<uint16_t>(i >> 16), v6(1), v6(2)};
  };
  constexpr uint32_t many = PinnedFlows::kSets * PinnedFlows::kWays * 4;
  for (uint32_t i = 0; i < many; ++i) flows.remember(key(i), 1000 + i / 1000);
  uint32_t known = 0;
  for (uint32_t i = 0; i < many; ++i) known += flows.refresh(key(i), 2000) ? 1 : 0;
  CHECK(known <= PinnedFlows::kSets * PinnedFlows::kWays);
  CHECK(known > PinnedFlows::kSets * PinnedFlows::kWays * 9 / 10);
  CHECK(flows.refresh(key(many - 1), 2000));
}
