#include "test/forward_world.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

TEST_CASE("a packet from the TAP is encapsulated and keeps its hop limit") {
  ForwardWorld world;
  const Bytes ip = v6Udp(100, 120);
  world.fromTap(ip);
  REQUIRE(world.sink.sent.size() == 1);
  CHECK(world.sink.sent[0].to == kPeerA);
  CHECK(world.sink.sent[0].bytes == vxlan(kVni, ethernet(ip, macOf(1), macOf(9))));
  world.fromTap(v6Udp(100, 180));
  CHECK(world.sink.sent[1].to == kPeerB);
  CHECK(world.droppedInAll() == 0);
  CHECK(world.node->lanes[0].packetsFromTap.get() == 2);
  CHECK(world.node->lanes[0].packetsTransit.get() == 0);
}

TEST_CASE("a packet for this node is delivered with its hop limit") {
  ForwardWorld world;
  const Bytes ip = v6Udp(120, 50, 8, 1);
  world.fromPeer(ip);
  REQUIRE(world.sink.delivered.size() == 1);
  CHECK(world.sink.delivered[0] == ethernet(ip, macOf(9), macOf(1)));
}

TEST_CASE("transit decrements the hop limit and keeps the IPv4 checksum right") {
  ForwardWorld world;
  // Find an IPv4 address for each range by hashing; 10.0.0.1 may not be asked for, as it is an exact route here.
  world.publish({HopKind::local, 0}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelB},
                {{v4(10, 9, 9, 9), {HopKind::tunnel, world.tunnelB}}});
  for (int hopLimit = 2; hopLimit < 256; ++hopLimit) {
    world.fromPeer(ipPacket({.source = v4(10, 1, 1, 1), .destination = v4(10, 9, 9, 9),
                             .hopLimit = static_cast<uint8_t>(hopLimit)}));
    const Bytes expected = ipPacket({.source = v4(10, 1, 1, 1), .destination = v4(10, 9, 9, 9),
                                     .hopLimit = static_cast<uint8_t>(hopLimit - 1)});
    REQUIRE(!world.sink.sent.empty());
    // 0xffff and 0x0000 are the same sum; both receivers verify to zero.
    Bytes sent = innerOf(world.sink.sent.back().bytes);
    InnerPacket parsed;
    CHECK(parseInner(sent, parsed) == DropReason::none);
    put16(sent, 10, loadBe16(&expected[10]));
    CHECK(sent == expected);
  }
  world.fromPeer(v6Udp(120, 180, 8, 7));
  CHECK(innerOf(world.sink.sent.back().bytes) == v6Udp(120, 180, 8, 6));
  CHECK(world.sink.sent.back().to == kPeerB);
}

TEST_CASE("too big for the tunnel: IPv4 without DF is fragmented, hop limit decremented once") {
  ForwardWorld world;
  REQUIRE(world.tables.tunnels.update(world.tunnelB, kPeerB, 600));
  world.publish({HopKind::local, 0}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelB},
                {{v4(10, 9, 9, 9), {HopKind::tunnel, world.tunnelB}}});
  const PacketSpec spec{.source = v4(10, 1, 1, 1), .destination = v4(10, 9, 9, 9), .hopLimit = 10,
                        .payload = udpPayload(1, 2, 60'000)};
  world.fromPeer(ipPacket(spec));
  REQUIRE(world.sink.sent.size() > 100);
  Bytes joined;
  for (const auto& sent : world.sink.sent) {
    CHECK(sent.to == kPeerB);
    const Bytes piece = innerOf(sent.bytes);
    InnerPacket ip;
    REQUIRE(parseInner(piece, ip) == DropReason::none);
    CHECK(ip.totalBytes <= 600);
    CHECK(ip.hopLimit == 9);
    const Bytes payload = tail(piece, ip.headerBytes);
    joined.insert(joined.end(), payload.begin(), payload.end());
  }
  CHECK(joined == spec.payload);
  CHECK(world.dropped(DropReason::packetTooBig) == 0);
}

TEST_CASE("hairpin: what the TAP sends to this node comes back to the TAP") {
  ForwardWorld world;
  const Bytes ip = v6Udp(100, 60);
  world.fromTap(ip);
  REQUIRE(world.sink.delivered.size() == 1);
  CHECK(world.sink.delivered[0] == ethernet(ip, macOf(9), macOf(9)));
}

TEST_CASE("strangers are not answered") {
  ForwardWorld world;
  const Bytes ip = v6Udp(120, 180, 8, 1);
  const Bytes frame = ethernet(ip, macOf(9), macOf(1));
  world.fromUnderlay(vxlan(78, frame));
  CHECK(world.dropped(DropReason::vniUnknown) == 1);
  world.fromUnderlay(vxlan(kVni, ethernet(ip, macOf(8), macOf(1))));
  CHECK(world.dropped(DropReason::nodeUnknown) == 1);
  world.fromUnderlay(vxlan(kVni, ethernet(ip, macOf(9), macOf(2))));
  world.fromUnderlay(vxlan(kVni, frame), endpointOf(1, 4790));
  world.fromUnderlay(vxlan(kVni, frame), kPeerB);
  CHECK(world.dropped(DropReason::tunnelUnknown) == 3);
  world.fromUnderlay({8, 0, 0});
  Bytes flagless = vxlan(kVni, frame);
  flagless[0] = 0;
  world.fromUnderlay(flagless);
  CHECK(world.dropped(DropReason::vxlanMalformed) == 2);
  world.fromUnderlay(vxlan(kVni, Bytes(13, 0)));
  CHECK(world.dropped(DropReason::etherTypeUnsupported) == 1);
  Bytes arp = vxlan(kVni, frame);
  put16(arp, 20, 0x0806);
  world.fromUnderlay(arp);
  CHECK(world.dropped(DropReason::etherTypeUnsupported) == 2);
  Bytes lying = vxlan(kVni, frame);
  put16(lying, 20, 0x0800);
  world.fromUnderlay(lying);
  CHECK(world.dropped(DropReason::packetMalformed) == 1);
  CHECK(world.sink.sent.empty());
  CHECK(world.sink.delivered.empty());
}

TEST_CASE("a removed tunnel, and no image yet") {
  ForwardWorld world;
  REQUIRE(world.tables.tunnels.remove(world.tunnelA));
  world.fromTap(v6Udp(100, 120));
  CHECK(world.dropped(DropReason::tunnelGone) == 1);
  // Its slot may be used again, but not under the old handle.
  const TunnelHandle next = world.tables.tunnels.add(3, kPeerA, macOf(1), 1400);
  CHECK(next != world.tunnelA);
  world.fromTap(v6Udp(100, 120));
  CHECK(world.dropped(DropReason::tunnelGone) == 2);
  world.tables.image = nullptr;
  world.fromTap(v6Udp(100, 120));
  CHECK(world.dropped(DropReason::imageMissing) == 1);
}
