#include "test/forward_world.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

Bytes from(const Address& source, uint64_t to = 180) {
  const Address destination = isMappedIpv4(source) ? v4(10, 9, 9, 9) : v6(to);
  return ipPacket({.source = source, .destination = destination, .payload = udpPayload(1, 2, 8)});
}

// Link 0 leads to A and link 1 to B; the even end is ours.
void publishLinks(ForwardWorld& world) {
  const Hop here{HopKind::local, 0};
  const Hop toA{HopKind::tunnel, world.tunnelA};
  const Hop toB{HopKind::tunnel, world.tunnelB};
  world.publish(here, toA, toB,
                {{v4(10, 9, 9, 9), toB},
                 {linkV6(0), here},
                 {linkV6(1), toA},
                 {linkV6(2), here},
                 {linkV6(3), toB},
                 {v4(172, 20, 0, 0), here},
                 {v4(172, 20, 0, 1), toA},
                 {v4(172, 20, 0, 2), here},
                 {v4(172, 20, 0, 3), toB},
                 {linkV6(9), {HopKind::unreachable, 0}}});
}

}  // namespace

TEST_CASE("sources outside the address plan are dropped unanswered when they come from a tunnel") {
  ForwardWorld world;
  publishLinks(world);
  Address other = v6(120);
  other[7] = 1;
  for (const Address& source : {v4(192, 168, 0, 1), v4(11, 0, 0, 1), v4(172, 21, 0, 1), v4(8, 8, 8, 8), other,
                                Address{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}) {
    world.fromPeer(from(source));
    world.fromPeer(from(source, 60));
  }
  CHECK(world.dropped(DropReason::sourceForeign) == 12);
  CHECK(world.droppedInAll() == 12);
  CHECK(world.sink.sent.empty());
  CHECK(world.sink.delivered.empty());
}

TEST_CASE("stable and key addresses may come by any tunnel") {
  ForwardWorld world;
  publishLinks(world);
  for (const Address& source : {v6(120), v6(180), v6(60), v6(~uint64_t{0}), v4(10, 0, 0, 2), v4(10, 255, 0, 1)}) {
    world.fromPeer(from(source));
    world.fromPeer(from(source), kPeerB, macOf(2));
  }
  CHECK(world.sink.sent.size() == 12);
  CHECK(world.droppedInAll() == 0);
}

TEST_CASE("unnumbered: a peer's stable address has an exact route, and still comes by any tunnel") {
  ForwardWorld world;
  world.publish({HopKind::local, 0}, {HopKind::tunnel, world.tunnelA}, {HopKind::tunnel, world.tunnelB},
                {{v6(120), {HopKind::tunnel, world.tunnelA}}, {v4(10, 0, 0, 2), {HopKind::tunnel, world.tunnelA}},
                 {v4(10, 9, 9, 9), {HopKind::tunnel, world.tunnelA}}});
  world.fromPeer(from(v6(120)), kPeerB, macOf(2));
  world.fromPeer(from(v4(10, 0, 0, 2)), kPeerB, macOf(2));
  CHECK(world.sink.sent.size() == 2);
  CHECK(world.droppedInAll() == 0);
}

TEST_CASE("a link address comes by its own tunnel only") {
  ForwardWorld world;
  publishLinks(world);
  world.fromPeer(from(linkV6(1)));
  world.fromPeer(from(v4(172, 20, 0, 1)));
  world.fromPeer(from(linkV6(3)), kPeerB, macOf(2));
  world.fromPeer(from(v4(172, 20, 0, 3)), kPeerB, macOf(2));
  CHECK(world.sink.sent.size() == 4);
  CHECK(world.droppedInAll() == 0);

  // B's by A and the other way round, our own ends, links of others, one without a tunnel.
  for (const Address& source : {linkV6(3), v4(172, 20, 0, 3), linkV6(0), linkV6(2), v4(172, 20, 0, 0), linkV6(8),
                                v4(172, 20, 9, 9), linkV6(9)}) {
    world.fromPeer(from(source));
    world.fromPeer(from(source, 60));
  }
  world.fromPeer(from(linkV6(1)), kPeerB, macOf(2));
  CHECK(world.dropped(DropReason::sourceForged) == 17);
  CHECK(world.droppedInAll() == 17);
  CHECK(world.sink.sent.size() == 4);
  CHECK(world.sink.delivered.empty());

  // The tunnel is replaced: the old route is not the new tunnel's.
  REQUIRE(world.tables.tunnels.remove(world.tunnelA));
  REQUIRE(world.tables.tunnels.add(7, kPeerA, macOf(1), 1400) != 0);
  world.fromPeer(from(linkV6(1)));
  CHECK(world.dropped(DropReason::sourceForged) == 18);
}

TEST_CASE("our own addresses do not come from others") {
  ForwardWorld world;
  publishLinks(world);
  world.fromPeer(from(v6(100)));
  world.fromPeer(from(v6(100), 60));
  world.fromPeer(from(v4(10, 0, 0, 1)));
  CHECK(world.dropped(DropReason::sourceForged) == 3);
  CHECK(world.droppedInAll() == 3);
}

TEST_CASE("our own kernel's packets are not looked at") {
  ForwardWorld world;
  publishLinks(world);
  for (const Address& source : {v6(100), linkV6(0), linkV6(3), v4(192, 168, 0, 1)}) world.fromTap(from(source));
  CHECK(world.sink.sent.size() == 4);
  CHECK(world.droppedInAll() == 0);
}

TEST_CASE("address plan: prefixes of any length, each in its family, links before members") {
  const AddressPlan plan{{{v6(0), 0, true}, {v4(10, 77, 3, 9), 112, false}, {v6(5), 128, true}},
                         {{linkV6(0), 64, true}, {v4(10, 77, 128, 0), 113, false}, {v4(1, 2, 3, 4), 128, false}}};
  REQUIRE(plan.valid());
  const auto kindOf = [&](const Address& source) { return plan.kindOf(source, !isMappedIpv4(source)); };
  CHECK(kindOf(v6(77)) == SourceKind::member);
  CHECK(kindOf(linkV6(77)) == SourceKind::link);
  CHECK(kindOf(v4(10, 77, 0, 1)) == SourceKind::member);
  CHECK(kindOf(v4(10, 77, 127, 255)) == SourceKind::member);
  CHECK(kindOf(v4(10, 77, 128, 0)) == SourceKind::link);
  // Everything of IPv6 is nothing of IPv4.
  CHECK(kindOf(v4(10, 78, 0, 0)) == SourceKind::foreign);
  CHECK(kindOf(v4(1, 2, 3, 4)) == SourceKind::link);
  CHECK(kindOf(v4(1, 2, 3, 5)) == SourceKind::foreign);
  CHECK(AddressPlan{}.kindOf(v6(1), true) == SourceKind::foreign);
  CHECK(AddressPlan{{{v4(0, 0, 0, 0), 96, false}}, {}}.kindOf(v4(255, 1, 1, 1), false) == SourceKind::member);

  CHECK(!AddressPlan{{{v4(10, 0, 0, 0), 95, false}}, {}}.valid());
  CHECK(!AddressPlan{{}, {{v6(0), 129, true}}}.valid());
  CHECK(AddressPlan{std::vector<Prefix>(AddressPlan::kPrefixesMax, {v6(0), 64, true}), {}}.valid());
  CHECK(!AddressPlan{std::vector<Prefix>(AddressPlan::kPrefixesMax + 1, {v6(0), 64, true}), {}}.valid());
}
