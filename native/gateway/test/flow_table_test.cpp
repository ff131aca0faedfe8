#include "gateway/flow_table.h"

#include <doctest/doctest.h>

#include "gateway/checks.h"
#include "gateway/stream.h"
#include "gateway/test/gateway_packets.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

using Outcome = FlowTable::Outcome;

constexpr uint8_t kSynAck = kTcpSyn | kTcpAck;

struct World {
  explicit World(const Limits& limits = {})
      : table(limits, {1, 2}, [this](Flow& flow, FlowEnd cause) { ended.emplace_back(flow.ref.id, cause); }) {}

  FlowTable::Found see(Bytes bytes, bool mayPickUp = true) {
    Packet packet = parsed(bytes);
    REQUIRE(checkTransport(packet) == DropReason::none);
    const auto found = table.admit(packet, now, mayPickUp);
    if (found.flow == nullptr) return found;
    if (packet.isTcp() && trackTcp(found.flow->tcp, found.side, packet) == TcpVerdict::valid) {
      table.update(*found.flow, now);
    }
    table.count(*found.flow, found.side, wireSizeOf(packet), now);
    return found;
  }

  Flow& open(const Host& client, uint32_t first = 101) {
    REQUIRE(see(tcpPacket({.from = client, .sequence = first - 1, .flags = kTcpSyn})).outcome == Outcome::handshake);
    REQUIRE(see(tcpPacket({.from = kServer,
                           .to = client,
                           .sequence = 500,
                           .acknowledgement = first,
                           .flags = kSynAck}))
                .outcome == Outcome::handshake);
    const auto found = see(tcpPacket({.from = client, .sequence = first, .acknowledgement = 501}));
    REQUIRE(found.outcome == Outcome::created);
    return *found.flow;
  }

  Millis now = 0;
  std::vector<std::pair<uint64_t, FlowEnd>> ended;
  FlowTable table;
};

Host clientOf(uint32_t number) {
  return {v4(10, static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)),
          static_cast<uint16_t>(1024 + number % 60000)};
}

Bytes udpFrom(uint32_t client) { return udpPacket(clientOf(client), kServer, bytesOf("?")); }
Bytes udpTo(uint32_t client) { return udpPacket(kServer, clientOf(client), bytesOf("!")); }

}  // namespace

TEST_CASE("both directions of a flow are one record, and the first speaker is the initiator") {
  for (const bool swapped : {false, true}) {
    World world;
    const Host& first = swapped ? kServer : kClient;
    const Host& second = swapped ? kClient : kServer;
    world.now = 1000;
    const auto asked = world.see(udpPacket(first, second, bytesOf("question")));
    CHECK(asked.outcome == Outcome::created);
    CHECK(asked.side == Side::initiator);
    world.now = 1500;
    const auto answered = world.see(udpPacket(second, first, bytesOf("reply")));
    CHECK(answered.outcome == Outcome::known);
    CHECK(answered.side == Side::responder);
    REQUIRE(answered.flow == asked.flow);
    const Flow& flow = *asked.flow;
    CHECK(flow.address(Side::initiator) == first.address);
    CHECK(flow.port(Side::initiator) == first.port);
    CHECK(flow.address(Side::responder) == second.address);
    CHECK(flow.directions[0].packets == 1);
    CHECK(flow.directions[0].bytes == 36);
    CHECK(flow.directions[1].bytes == 33);
    CHECK(flow.directions[0].first == 1000);
    CHECK(flow.directions[1].last == 1500);
  }
}

TEST_CASE("a TCP handshake takes no record until it is complete, and is part of its statistics") {
  World world;
  world.now = 50;
  Flow& flow = world.open(kClient);
  CHECK(world.table.size() == 1);
  CHECK(flow.tcp.phase == TcpPhase::open);
  CHECK(!flow.tcp.liberal);
  CHECK(flow.tcp.of(Side::initiator).first == 101);
  CHECK(flow.tcp.of(Side::responder).first == 501);
  CHECK(flow.directions[0].packets == 2);
  CHECK(flow.directions[1].packets == 1);
  CHECK(!flow.pickedUp);
}

TEST_CASE("200,000 half-open connections cost 32 bytes each and no record, and real ones come through") {
  World world;
  CHECK(HalfOpenFlows::entryBytes() <= 32);
  const size_t before = world.table.memoryBytes();
  for (uint32_t i = 0; i < 200'000; ++i) {
    world.now = i / 20;
    const auto found = world.see(tcpPacket({.from = clientOf(i), .sequence = i * 7, .flags = kTcpSyn}));
    REQUIRE(found.outcome == Outcome::handshake);
  }
  CHECK(world.table.size() == 0);
  CHECK(world.table.memoryBytes() == before);
  CHECK(before < 20'000'000);
  CHECK(world.table.halfOpen().countLive(world.now) > 199'000);
  const Flow& flow = world.open(Host{v4(172, 16, 0, 1), 999});
  CHECK(flow.tcp.of(Side::initiator).syn);
  world.now += Limits{}.halfOpenTimeout + 1000;
  CHECK(world.table.halfOpen().countLive(world.now) == 0);
}

TEST_CASE("packets that no end would accept do not disturb a handshake") {
  World world;
  CHECK(world.see(tcpPacket({.sequence = 100, .flags = kTcpSyn})).outcome == Outcome::handshake);
  const auto fromServer = [&](uint32_t sequence, uint32_t acknowledgement, unsigned flags) {
    return world
        .see(tcpPacket({.from = kServer,
                        .to = kClient,
                        .sequence = sequence,
                        .acknowledgement = acknowledgement,
                        .flags = static_cast<uint8_t>(flags)}))
        .outcome;
  };
  CHECK(fromServer(500, 99, kSynAck) == Outcome::forged);
  CHECK(fromServer(0, 99, kTcpRst | kTcpAck) == Outcome::forged);
  CHECK(fromServer(0, 0, kTcpRst) == Outcome::forged);
  CHECK(fromServer(500, 101, kSynAck) == Outcome::handshake);
  CHECK(fromServer(777, 101, kSynAck) == Outcome::forged);
  CHECK(fromServer(500, 101, kSynAck) == Outcome::handshake);
  const auto found = world.see(tcpPacket({.sequence = 101, .acknowledgement = 501}));
  REQUIRE(found.outcome == Outcome::created);
  CHECK(found.flow->tcp.of(Side::responder).first == 501);
}

TEST_CASE("a responder that has another connection of these ports says so, is told to end it, and is asked again") {
  World world;
  const auto asks = [&] { return world.see(tcpPacket({.sequence = 100, .flags = kTcpSyn})).outcome; };
  const auto resets = [&](uint32_t sequence) {
    return world.see(tcpPacket({.sequence = sequence, .flags = kTcpRst})).outcome;
  };
  const auto challenges = [&](uint32_t acknowledgement) {
    return world
        .see(tcpPacket({.from = kServer, .to = kClient, .sequence = 70'000, .acknowledgement = acknowledgement}))
        .outcome;
  };
  CHECK(asks() == Outcome::handshake);
  CHECK(resets(9'000) == Outcome::forged);
  CHECK(challenges(9'000) == Outcome::handshake);
  CHECK(resets(9'001) == Outcome::forged);
  CHECK(resets(9'000) == Outcome::handshake);
  CHECK(asks() == Outcome::handshake);
  CHECK(world.see(tcpPacket({.from = kServer, .to = kClient, .sequence = 500, .acknowledgement = 101, .flags = kSynAck}))
            .outcome == Outcome::handshake);
  // Not once it has answered.
  CHECK(challenges(9'000) == Outcome::forged);
  CHECK(resets(9'000) == Outcome::forged);
  const auto found = world.see(tcpPacket({.sequence = 101, .acknowledgement = 501}));
  REQUIRE(found.outcome == Outcome::created);
  CHECK(found.flow->tcp.of(Side::responder).first == 501);
}

TEST_CASE("a refused connection is forgotten, and another attempt replaces the first") {
  World world;
  CHECK(world.see(tcpPacket({.sequence = 100, .flags = kTcpSyn})).outcome == Outcome::handshake);
  CHECK(world.see(tcpPacket({.from = kServer, .to = kClient, .acknowledgement = 101, .flags = kTcpRst | kTcpAck}))
            .outcome == Outcome::handshake);
  CHECK(world.table.halfOpen().countLive(0) == 0);
  CHECK(world.see(tcpPacket({.sequence = 100, .flags = kTcpSyn})).outcome == Outcome::handshake);
  CHECK(world.see(tcpPacket({.sequence = 4000, .flags = kTcpSyn})).outcome == Outcome::handshake);
  CHECK(world.see(tcpPacket({.from = kServer, .to = kClient, .sequence = 1, .acknowledgement = 101, .flags = kSynAck}))
            .outcome == Outcome::forged);
  CHECK(world.see(tcpPacket({.from = kServer, .to = kClient, .sequence = 1, .acknowledgement = 4001, .flags = kSynAck}))
            .outcome == Outcome::handshake);
}

TEST_CASE("a connection is picked up in the middle by its data, if it may be, and not by less") {
  World world;
  CHECK(world.see(tcpPacket({.sequence = 5, .acknowledgement = 6})).outcome == Outcome::stray);
  CHECK(world.see(tcpPacket({.sequence = 5, .acknowledgement = 6, .flags = kTcpFin | kTcpAck})).outcome ==
        Outcome::stray);
  CHECK(world.see(tcpPacket({.sequence = 5, .flags = kTcpRst})).outcome == Outcome::stray);
  CHECK(world.table.size() == 0);
  const Bytes data = tcpPacket({.from = kServer, .to = kClient, .sequence = 5, .data = bytesOf("mid-flow")});
  CHECK(world.see(data, false).outcome == Outcome::midFlow);
  const auto found = world.see(data);
  REQUIRE(found.outcome == Outcome::created);
  CHECK(found.flow->pickedUp);
  CHECK(found.flow->address(Side::initiator) == kServer.address);
  CHECK(found.flow->tcp.liberal);
}

TEST_CASE("time-outs depend on the state") {
  const Limits limits;
  {
    World world;
    (void)world.see(udpFrom(1));
    (void)world.see(udpFrom(2));
    (void)world.see(udpTo(2));
    Flow& established = world.open(clientOf(3));
    Flow& reset = world.open(clientOf(4));
    const uint64_t resetId = reset.ref.id;
    (void)world.see(tcpPacket({.from = clientOf(4), .sequence = 101, .flags = kTcpRst}));
    const uint64_t establishedId = established.ref.id;
    const auto run = [&](Millis until) {
      for (; world.now < until; world.now += 100) world.table.timer(world.now);
    };
    run(limits.closedTimeout + 1000);
    CHECK(world.ended == std::vector<std::pair<uint64_t, FlowEnd>>{{resetId, FlowEnd::closed}});
    run(limits.oneSidedTimeout + 1000);
    CHECK(world.ended.size() == 2);
    CHECK(world.ended.back() == std::pair<uint64_t, FlowEnd>{1, FlowEnd::idle});
    run(limits.datagramTimeout + 1000);
    CHECK(world.ended.size() == 3);
    run(limits.establishedTimeout - 1000);
    CHECK(world.ended.size() == 3);
    run(limits.establishedTimeout + 1000);
    CHECK(world.ended.size() == 4);
    CHECK(world.ended.back() == std::pair<uint64_t, FlowEnd>{establishedId, FlowEnd::idle});
    CHECK(world.table.size() == 0);
  }
}

TEST_CASE("a flow that goes on speaking never ends") {
  World world;
  const Millis end = Limits{}.datagramTimeout * 20;
  (void)world.see(udpTo(1));
  for (; world.now < end; world.now += 10'000) {
    REQUIRE(world.see(udpFrom(1)).outcome == Outcome::known);
    world.table.timer(world.now);
  }
  CHECK(world.ended.empty());
}

TEST_CASE("a full table gives up what is over first, then the one-sided, then the long silent") {
  Limits limits;
  limits.flows = 64;
  World world(limits);
  for (uint32_t i = 0; i < 32; ++i) {  // 1..32: both have spoken
    (void)world.see(udpFrom(i));
    (void)world.see(udpTo(i));
    ++world.now;
  }
  for (uint32_t i = 100; i < 116; ++i) (void)world.see(udpFrom(i));  // 33..48: one-sided
  for (uint32_t i = 200; i < 216; ++i) {                            // 49..64: over
    (void)world.open(clientOf(i));
    (void)world.see(tcpPacket({.from = clientOf(i), .sequence = 101, .flags = kTcpRst}));
  }
  CHECK(world.table.size() == 64);
  ++world.now;
  (void)world.see(udpFrom(0));  // has spoken again, so that 2 is the longest silent
  ++world.now;
  std::vector<uint64_t> order;
  for (uint32_t i = 300; i < 333; ++i) {
    (void)world.see(udpFrom(i));
    (void)world.see(udpTo(i));
    CHECK(world.table.size() == 64);
  }
  for (const auto& [id, cause] : world.ended) {
    CHECK(cause == FlowEnd::evicted);
    order.push_back(id);
  }
  std::vector<uint64_t> expected;
  for (uint64_t id = 49; id <= 64; ++id) expected.push_back(id);
  for (uint64_t id = 33; id <= 48; ++id) expected.push_back(id);
  expected.push_back(2);
  CHECK(order == expected);
}

TEST_CASE("flows that wait for a verdict are not evicted, and a table full of them takes no more") {
  Limits limits;
  limits.flows = 8;
  World world(limits);
  for (uint32_t i = 0; i < 8; ++i) world.see(udpFrom(i)).flow->waiting[0].holds = 1;
  CHECK(world.see(udpFrom(100)).outcome == Outcome::full);
  world.now = 10 * limits.oneSidedTimeout;
  world.table.timer(world.now);
  CHECK(world.ended.empty());
  world.see(udpFrom(3)).flow->waiting[0].holds = 0;
  CHECK(world.see(udpFrom(100)).outcome == Outcome::created);
  CHECK(world.ended == std::vector<std::pair<uint64_t, FlowEnd>>{{4, FlowEnd::evicted}});
}

TEST_CASE("a reference does not lead to another flow that has taken the record") {
  World world;
  const FlowRef ref = world.see(udpFrom(1)).flow->ref;
  CHECK(world.table.find(ref) != nullptr);
  world.table.end(*world.table.find(ref), FlowEnd::closed);
  CHECK(world.table.find(ref) == nullptr);
  const FlowRef next = world.see(udpFrom(2)).flow->ref;
  CHECK(next.index == ref.index);
  CHECK(world.table.find(ref) == nullptr);
}

TEST_CASE("100,000 idle flows stay within the stated memory and all end") {
  World world;
  for (uint32_t i = 0; i < 100'000; ++i) {
    world.now = i / 100;
    (void)world.see(udpFrom(i));
    (void)world.see(udpTo(i));
  }
  CHECK(world.table.size() == 100'000);
  CHECK(world.table.memoryBytes() - world.table.halfOpen().memoryBytes() < 100'000 * 600);
  world.now += Limits{}.datagramTimeout + 1000;
  for (int call = 0; call < 200 && world.table.size() != 0; ++call) world.table.timer(world.now);
  CHECK(world.table.size() == 0);
  CHECK(world.ended.size() == 100'000);
}
