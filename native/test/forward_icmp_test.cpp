#include "test/forward_world.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

TEST_CASE("hop limit runs out in transit: time exceeded back through the tunnel") {
  ForwardWorld world;
  for (const uint8_t hopLimit : {uint8_t{0}, uint8_t{1}}) {
    const Bytes ip = v6Udp(120, 180, 8, hopLimit);
    world.sink.sent.clear();
    world.fromPeer(ip);
    REQUIRE(world.sink.sent.size() == 1);
    CHECK(world.sink.sent[0].to == kPeerA);
    const IcmpSeen icmp = readIcmp(innerOf(world.sink.sent[0].bytes));
    CHECK(icmp.type == 3);
    CHECK(icmp.code == 0);
    CHECK(icmp.ip.source == v6(100));
    CHECK(icmp.ip.destination == v6(120));
    CHECK(icmp.quote == ip);
  }
  CHECK(world.dropped(DropReason::hopLimitExceeded) == 2);
  CHECK(world.node->lanes[0].icmpErrorsSent.get() == 2);
}

TEST_CASE("IPv4 time exceeded") {
  ForwardWorld world;
  world.publish({HopKind::local, 0}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelB},
                {{v4(10, 9, 9, 9), {HopKind::tunnel, world.tunnelB}}, {v4(10, 1, 1, 1), {HopKind::tunnel, world.tunnelA}}});
  const Bytes ip = ipPacket({.source = v4(10, 1, 1, 1), .destination = v4(10, 9, 9, 9), .hopLimit = 1,
                             .payload = udpPayload(1, 2, 1000)});
  world.fromPeer(ip);
  REQUIRE(world.sink.sent.size() == 1);
  const IcmpSeen icmp = readIcmp(innerOf(world.sink.sent[0].bytes));
  CHECK(icmp.type == 11);
  CHECK(icmp.code == 0);
  CHECK(icmp.ip.source == v4(10, 0, 0, 1));
  CHECK(icmp.ip.totalBytes == kIcmpv4PacketMax);
  CHECK(std::equal(icmp.quote.begin(), icmp.quote.end(), ip.begin()));
}

TEST_CASE("no route: an error to our own kernel goes to the TAP") {
  ForwardWorld world;
  world.publish({HopKind::local, 0}, {HopKind::unreachable, 0}, {HopKind::unreachable, 0});
  world.fromTap(v6Udp(100, 120));
  CHECK(world.dropped(DropReason::routeUnreachable) == 1);
  REQUIRE(world.sink.delivered.size() == 1);
  IcmpSeen icmp = readIcmp(tail(world.sink.delivered[0], 14));
  CHECK(icmp.type == 1);
  CHECK(icmp.code == 0);
  CHECK(macAt(world.sink.delivered[0].data()) == macOf(9));

  const Address outside = v4(172, 16, 0, 1);
  world.fromTap(ipPacket({.source = v4(10, 0, 0, 1), .destination = outside}));
  CHECK(world.dropped(DropReason::routeMissing) == 1);
  REQUIRE(world.sink.delivered.size() == 2);
  icmp = readIcmp(tail(world.sink.delivered[1], 14));
  CHECK(icmp.type == 3);
  CHECK(icmp.code == 1);
  // Not from our own address, which Linux would not take.
  CHECK(icmp.ip.source == outside);
  CHECK(icmp.ip.destination == v4(10, 0, 0, 1));
}

TEST_CASE("an IPv4 address that the ring gives us but nobody owns") {
  ForwardWorld world;
  world.publish({HopKind::local, 0}, {HopKind::local, 0}, {HopKind::local, 0},
                {{v4(10, 1, 1, 1), {HopKind::tunnel, world.tunnelA}}});
  world.fromPeer(ipPacket({.source = v4(10, 1, 1, 1), .destination = v4(10, 0, 0, 77)}));
  CHECK(world.dropped(DropReason::addressUnowned) == 1);
  REQUIRE(world.sink.sent.size() == 1);
  const IcmpSeen icmp = readIcmp(innerOf(world.sink.sent[0].bytes));
  CHECK(icmp.type == 3);
  CHECK(icmp.code == 1);
  // Its own is delivered.
  world.fromPeer(ipPacket({.source = v4(10, 1, 1, 1), .destination = v4(10, 0, 0, 1)}));
  CHECK(world.sink.delivered.size() == 1);
}

TEST_CASE("too big for the tunnel: IPv6 and IPv4 with DF are announced") {
  ForwardWorld world;
  REQUIRE(world.tables.tunnels.update(world.tunnelB, kPeerB, 1300));
  const Bytes ip = v6Udp(120, 180, 1300);
  world.fromPeer(ip);
  REQUIRE(world.sink.sent.size() == 1);
  IcmpSeen icmp = readIcmp(innerOf(world.sink.sent[0].bytes));
  CHECK(icmp.type == 2);
  CHECK(icmp.mtu == 1300);
  CHECK(icmp.ip.totalBytes == kIcmpv6PacketMax);
  CHECK(std::equal(icmp.quote.begin(), icmp.quote.end(), ip.begin()));

  world.publish({HopKind::local, 0}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelB},
                {{v4(10, 9, 9, 9), {HopKind::tunnel, world.tunnelB}}, {v4(10, 1, 1, 1), {HopKind::tunnel, world.tunnelA}}});
  const PacketSpec spec{.source = v4(10, 1, 1, 1), .destination = v4(10, 9, 9, 9), .dontFragment = true,
                        .payload = udpPayload(1, 2, 1300)};
  world.fromPeer(ipPacket(spec));
  REQUIRE(world.sink.sent.size() == 2);
  icmp = readIcmp(innerOf(world.sink.sent[1].bytes));
  CHECK(icmp.type == 3);
  CHECK(icmp.code == 4);
  CHECK(icmp.mtu == 1300);
  CHECK(world.dropped(DropReason::packetTooBig) == 2);
}

TEST_CASE("what gets no ICMP error") {
  ForwardWorld world;
  world.publish({HopKind::local, 0}, {HopKind::unreachable, 0}, {HopKind::unreachable, 0});
  Bytes error(16, 0);
  error[0] = 1;  // ICMPv6 unreachable
  world.fromTap(ipPacket({.source = v6(100), .destination = v6(120), .protocol = kProtocolIcmpv6, .payload = error}));
  Bytes later{kProtocolUdp, 0, 0, 0x08, 0, 0, 0, 1};
  world.fromTap(ipPacket({.source = v6(100), .destination = v6(120), .protocol = 44, .payload = later}));
  Bytes icmp4(16, 0);
  icmp4[0] = 11;
  world.fromTap(
      ipPacket({.source = v4(10, 0, 0, 1), .destination = v4(172, 16, 0, 1), .protocol = kProtocolIcmp, .payload = icmp4}));
  CHECK(world.sink.delivered.empty());
  CHECK(world.droppedInAll() == 3);
  // An echo request does.
  icmp4[0] = 8;
  world.fromTap(
      ipPacket({.source = v4(10, 0, 0, 1), .destination = v4(172, 16, 0, 1), .protocol = kProtocolIcmp, .payload = icmp4}));
  CHECK(world.sink.delivered.size() == 1);
}

TEST_CASE("ICMP errors are limited, and time gives new ones") {
  ForwardWorld world;
  world.publish({HopKind::local, 0}, {HopKind::unreachable, 0}, {HopKind::unreachable, 0});
  for (int i = 0; i < 200; ++i) world.fromTap(v6Udp(100, 120));
  CHECK(world.sink.delivered.size() == kIcmpErrorsBurst);
  CHECK(world.dropped(DropReason::icmpLimited) == 200 - kIcmpErrorsBurst);
  world.now += 10;
  for (int i = 0; i < 200; ++i) world.fromTap(v6Udp(100, 120));
  CHECK(world.sink.delivered.size() == kIcmpErrorsBurst + 10);
}
