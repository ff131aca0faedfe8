#include "gateway/defragment.h"

#include <doctest/doctest.h>

#include <random>

#include "gateway/checks.h"
#include "gateway/rewrite.h"
#include "gateway/test/gateway_packets.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

using Outcome = Defragmenter::Outcome;

struct World {
  explicit World(const Limits& chosen = {}) : limits(chosen), held(limits), fragments(limits, {1, 2}, held) {}

  Defragmenter::Result take(Bytes& bytes, uint64_t tag = 0, Millis now = 0) {
    packet = parsed(bytes, tag);
    REQUIRE(packet.ip.fragment);
    return fragments.take(packet, now, outlet);
  }

  // Lets the datagram that has become complete go.
  void release() {
    const HeldId id = held.keep(packet, HeldFor::fragments);
    REQUIRE(id != kNotHeld);
    held.release(id, outlet);
  }

  bool empty() const { return held.packets() == 0 && held.blocksFor(HeldFor::fragments) == 0; }

  Limits limits;
  HeldPackets held;
  Defragmenter fragments;
  RecordingOutlet outlet;
  Packet packet;
};

Bytes patterned(size_t length) {
  Bytes bytes(length);
  for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + i / 256);
  return bytes;
}

std::vector<Bytes> cut(const Bytes& packet, size_t step) {
  std::vector<Bytes> pieces;
  const size_t header = packet[0] >> 4 == 6 ? 40 : 20;
  for (size_t at = 0; header + at < packet.size(); at += step) pieces.push_back(fragmentOf(packet, at, step));
  return pieces;
}

}  // namespace

TEST_CASE("fragments in any order become the datagram they were, and leave in order as they came") {
  std::mt19937 random(3);
  for (const bool six : {false, true}) {
    for (const size_t size : {60U, 3000U, 20000U, 60000U}) {
      const Bytes whole = six ? tcpPacket({.from = kClient6, .to = kServer6, .data = patterned(size)})
                              : udpPacket(kClient, kServer, patterned(size));
      std::vector<Bytes> pieces = cut(whole, (size / 9 + 24) / 8 * 8);
      std::vector<size_t> order(pieces.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::shuffle(order.begin(), order.end(), random);
      World world;
      for (size_t i = 0; i < order.size(); ++i) {
        Bytes bytes = pieces[order[i]];
        const auto result = world.take(bytes, order[i]);
        REQUIRE(result.outcome == (i + 1 == order.size() ? Outcome::complete : Outcome::waiting));
      }
      REQUIRE(checkTransport(world.packet) == DropReason::none);
      CHECK(textOf(world.packet.payload()) == textOf(patterned(size)));
      world.release();
      REQUIRE(world.outlet.released.size() == pieces.size());
      for (size_t i = 0; i < pieces.size(); ++i) {
        CHECK(world.outlet.released[i].first == i);
        CHECK(world.outlet.released[i].second == pieces[i]);
      }
      CHECK(world.empty());
      CHECK(world.fragments.unfinished() == 0);
    }
  }
}

TEST_CASE("what was rewritten in a datagram is rewritten in its fragments") {
  for (const bool six : {false, true}) {
    Segment segment{.from = six ? kClient6 : kClient, .to = six ? kServer6 : kServer, .data = patterned(5000)};
    World world;
    for (Bytes& piece : cut(tcpPacket(segment), 1480)) (void)world.take(piece);
    REQUIRE(checkTransport(world.packet) == DropReason::none);
    // Across a boundary between fragments.
    overwritePayload(world.packet, 1400, Bytes(200, 'x'));
    world.release();
    std::fill_n(segment.data.begin() + 1400, 200, uint8_t{'x'});
    const std::vector<Bytes> expected = cut(tcpPacket(segment), 1480);
    REQUIRE(world.outlet.released.size() == expected.size());
    for (size_t i = 0; i < expected.size(); ++i) CHECK(world.outlet.released[i].second == expected[i]);
  }
}

TEST_CASE("an overlap condemns the whole datagram, what is still to come included") {
  const Bytes whole = udpPacket(kClient, kServer, patterned(3000));
  struct Overlap {
    size_t from, length;
  };
  for (const Overlap overlap : {Overlap{792, 800}, Overlap{808, 8}, Overlap{0, 1600}, Overlap{800, 808}}) {
    World world;
    Bytes first = fragmentOf(whole, 800, 800);
    REQUIRE(world.take(first, 5).outcome == Outcome::waiting);
    Bytes second = fragmentOf(whole, overlap.from, overlap.length);
    const auto result = world.take(second, 6);
    CHECK(result.outcome == Outcome::refused);
    CHECK(result.reason == DropReason::gatewayFragmentOverlap);
    CHECK(world.outlet.discarded == std::vector<std::pair<uint64_t, DropReason>>{{5, result.reason}});
    for (const size_t from : {0U, 1600U, 2400U}) {
      Bytes later = fragmentOf(whole, from, 800);
      CHECK(world.take(later).outcome == Outcome::refused);
    }
    CHECK(world.empty());
    world.fragments.timer(world.limits.fragmentTimeout, world.outlet);
    CHECK(world.fragments.unfinished() == 0);
    // The identification may be used again after that.
    Bytes anew = fragmentOf(whole, 0, 800);
    CHECK(world.take(anew, 0, world.limits.fragmentTimeout).outcome == Outcome::waiting);
  }
}

TEST_CASE("an exact duplicate is dropped alone; one of the same place with other data condemns") {
  const Bytes whole = udpPacket(kClient, kServer, patterned(1600));
  World world;
  Bytes first = fragmentOf(whole, 0, 800);
  REQUIRE(world.take(first).outcome == Outcome::waiting);
  Bytes again = first;
  CHECK(world.take(again).outcome == Outcome::duplicate);
  Bytes rest = fragmentOf(whole, 800, 10000);
  CHECK(world.take(rest).outcome == Outcome::complete);
  world.release();

  World other;
  REQUIRE(other.take(first).outcome == Outcome::waiting);
  Bytes different = first;
  different.back() ^= 1;
  CHECK(other.take(different).outcome == Outcome::refused);
  CHECK(other.empty());
}

TEST_CASE("contradictory ends condemn") {
  const Bytes whole = udpPacket(kClient, kServer, patterned(3000));
  {
    World world;  // data behind the end
    Bytes last = fragmentOf(whole, 800, 800, 77, true);
    REQUIRE(world.take(last).outcome == Outcome::waiting);
    Bytes beyond = fragmentOf(whole, 1600, 800);
    CHECK(world.take(beyond).outcome == Outcome::refused);
  }
  {
    World world;  // an end before data that are there
    Bytes far = fragmentOf(whole, 1600, 800);
    REQUIRE(world.take(far).outcome == Outcome::waiting);
    Bytes last = fragmentOf(whole, 800, 800, 77, true);
    CHECK(world.take(last).outcome == Outcome::refused);
  }
  {
    World world;  // beyond the largest packet
    Bytes far = fragmentOf(whole, 0, 800);
    put16(far, 6, 0x1fff | 0x2000);
    put16(far, 10, 0);
    put16(far, 10, slowChecksum({far.begin(), far.begin() + 20}));
    CHECK(world.take(far).outcome == Outcome::refused);
  }
}

TEST_CASE("a first fragment without the whole transport header is refused, and so are empty and crooked ones") {
  const Bytes tcp = tcpPacket({.options = Bytes(20, 1), .data = patterned(100)});
  for (const size_t length : {8U, 16U, 32U}) {
    World world;
    Bytes tiny = fragmentOf(tcp, 0, length);
    const auto result = world.take(tiny);
    CHECK(result.outcome == Outcome::refused);
    CHECK(result.reason == DropReason::gatewayFragmentTiny);
  }
  World world;
  Bytes enough = fragmentOf(tcp, 0, 40);
  CHECK(world.take(enough).outcome == Outcome::waiting);
  Bytes flags = fragmentOf(tcp, 8, 8, 78);  // RFC 1858: would write over the flags
  CHECK(world.take(flags).outcome == Outcome::refused);
  Bytes crooked = fragmentOf(tcp, 0, 44, 79);
  CHECK(world.take(crooked).outcome == Outcome::refused);
  Bytes empty = fragmentOf(tcp, 64, 0, 80);
  CHECK(world.take(empty).outcome == Outcome::refused);
  const Bytes tcp6 = tcpPacket({.from = kClient6, .to = kServer6, .data = patterned(100)});
  Bytes tiny6 = fragmentOf(tcp6, 0, 16);
  CHECK(world.take(tiny6).outcome == Outcome::refused);
}

TEST_CASE("an IPv6 datagram in one single fragment is one for itself") {
  World world;
  const Bytes whole = udpPacket(kClient6, kServer6, patterned(64));
  Bytes first = fragmentOf(whole, 0, 32);
  REQUIRE(world.take(first).outcome == Outcome::waiting);
  Bytes atomic = fragmentOf(whole, 0, 1000);
  CHECK(world.take(atomic).outcome == Outcome::alone);
  Bytes rest = fragmentOf(whole, 32, 1000);
  CHECK(world.take(rest).outcome == Outcome::complete);
}

TEST_CASE("fragments that stay alone are dropped when their time is over") {
  World world;
  const Bytes whole = udpPacket(kClient, kServer, patterned(3000));
  Bytes one = fragmentOf(whole, 0, 800, 1);
  Bytes two = fragmentOf(whole, 0, 800, 2);
  REQUIRE(world.take(one, 1, 1000).outcome == Outcome::waiting);
  REQUIRE(world.take(two, 2, 2000).outcome == Outcome::waiting);
  CHECK(world.fragments.deadline() == 1000 + world.limits.fragmentTimeout);
  world.fragments.timer(1000 + world.limits.fragmentTimeout, world.outlet);
  CHECK(world.outlet.discarded ==
        std::vector<std::pair<uint64_t, DropReason>>{{1, DropReason::gatewayFragmentTimeout}});
  world.fragments.timer(2000 + world.limits.fragmentTimeout, world.outlet);
  CHECK(world.fragments.counters().timedOut.get() == 2);
  CHECK(world.empty());
  CHECK(!world.fragments.deadline());
}

TEST_CASE("a flood of fragments stays within its bounds") {
  Limits limits;
  limits.fragmentBlocks = 64;
  limits.fragmentedDatagrams = 100;
  limits.fragmentsPerDatagram = 8;
  World world(limits);
  const Bytes whole = udpPacket(kClient, kServer, patterned(30000));
  uint64_t full = 0;
  for (uint32_t id = 0; id < 1000; ++id) {
    Bytes bytes = fragmentOf(whole, 0, 1000, id);
    if (world.take(bytes).outcome == Outcome::full) ++full;
    REQUIRE(world.held.blocksFor(HeldFor::fragments) <= 64);
    REQUIRE(world.fragments.unfinished() <= 100);
  }
  CHECK(full == 1000 - 64);
  world.fragments.timer(limits.fragmentTimeout, world.outlet);
  CHECK(world.empty());
  for (size_t i = 0; i < 8; ++i) {
    Bytes bytes = fragmentOf(whole, i * 16, 8, 5);
    REQUIRE(world.take(bytes).outcome == Outcome::waiting);
  }
  Bytes ninth = fragmentOf(whole, 800, 8, 5);
  CHECK(world.take(ninth).reason == DropReason::gatewayFragmentsFull);
  CHECK(world.empty());
}
