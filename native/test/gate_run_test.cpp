// Packets of one connection about which a gate is asked at once. The oracle is what came in: cutting up what the gate sees
// gives that back, and so does what leaves, a hop later.
#include <deque>

#include "core/segment.h"
#include "test/flow_builder.h"
#include "test/scripted_gate.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

using Answer = TrafficGate::Answer;

struct RunWorld : GateWorld {
  // From behind B; forwarded when the batch ends.
  void arrive(const Bytes& ip, const Endpoint& peer = kPeerB, uint8_t mac = 2) {
    packets.push_back(vxlan(kVni, ethernet(ip, macOf(9), macOf(mac))));
    forwarder.fromTunnel(*directory, peer, packets.back(), now);
  }
  void endBatch() {
    forwarder.flush();
    packets.clear();
  }
  // All that leaves, in order.
  [[nodiscard]] std::vector<Bytes> sent() const {
    std::vector<Bytes> all;
    for (const auto& each : sink.sent) all.push_back(innerOf(each.bytes));
    return all;
  }
  // What the gate has seen, as the packets that it stands for.
  [[nodiscard]] std::vector<Bytes> seen() const {
    std::vector<Bytes> all;
    for (const auto& each : gate->seen) {
      InnerPacket ip;
      REQUIRE(parseInner(each.inner, ip) == DropReason::none);
      const auto division = divide(each.offload, ip, each.inner);
      REQUIRE(division);
      REQUIRE(division->count == each.packets);
      if (each.offload.kind == Offload::Kind::none) {
        CHECK(each.offload == Offload{});
        all.push_back(each.inner);
        continue;
      }
      const std::array<uint8_t, kEncapsulationBytes> none{};
      Bytes room(segmentedBytes(*division));
      segment(none, each.inner, ip, *division, room.data()).forEach([&](std::span<const uint8_t> packet) {
        all.push_back(tail({packet.begin(), packet.end()}, kEncapsulationBytes));
      });
    }
    return all;
  }

  std::deque<Bytes> packets;
};

FlowPacket superOf(size_t bytes) {
  std::mt19937 random{9};
  FlowPacket super;
  super.v6 = true;
  super.host = 70;
  super.sequence = 0xffffff00;
  super.options = Bytes(12, 1);
  super.data = randomBytes(random, bytes);
  return super;
}

std::vector<Bytes> built(const std::vector<FlowPacket>& packets, int hops = 0) {
  std::vector<Bytes> all;
  for (FlowPacket packet : packets) {
    packet.hopLimit = static_cast<uint8_t>(packet.hopLimit - hops);
    all.push_back(build(packet));
  }
  return all;
}

}  // namespace

TEST_CASE("gate run: the gate is asked once about consecutive segments, which leave as they came") {
  RunWorld world;
  const FlowPacket super = superOf(9'500);
  const auto packets = cutUp(super, 1000);
  for (const Bytes& packet : built(packets)) world.arrive(packet);
  CHECK(world.gate->seen.empty());
  world.endBatch();
  REQUIRE(world.gate->seen.size() == 1);
  CHECK(world.gate->seen[0].inner == buildUnfinished(super));
  CHECK(world.gate->seen[0].offload == offloadOf(super, 1000));
  CHECK(world.gate->seen[0].packets == 10);
  CHECK(world.gate->seen[0].arrival == world.tunnelB);
  CHECK(world.sent() == built(packets, 1));
  CHECK(world.node->lanes[0].packetsTransit.get() == 10);
  CHECK(world.droppedInAll() == 0);
}

TEST_CASE("gate run: one packet, and whatever does not continue it, is asked about alone") {
  const auto questions = [](auto&& change) {
    RunWorld world;
    auto packets = cutUp(superOf(2000), 1000);
    change(packets[1]);
    for (const Bytes& packet : built(packets)) world.arrive(packet);
    world.endBatch();
    CHECK(world.seen() == built(packets));
    CHECK(world.sent() == built(packets, 1));
    return world.gate->seen.size();
  };
  CHECK(questions([](FlowPacket&) {}) == 1);
  CHECK(questions([](FlowPacket& packet) { packet.flags |= 0x08; }) == 1);    // PSH
  CHECK(questions([](FlowPacket& packet) { packet.flags |= kTcpFin; }) == 2);
  CHECK(questions([](FlowPacket& packet) { packet.flags |= 0x20; }) == 2);    // URG
  CHECK(questions([](FlowPacket& packet) { packet.flags |= 0x80; }) == 2);    // CWR
  CHECK(questions([](FlowPacket& packet) { packet.trafficClass = 3; }) == 2);
  CHECK(questions([](FlowPacket& packet) { packet.hopLimit = 60; }) == 2);
  CHECK(questions([](FlowPacket& packet) { packet.options = Bytes(12, 0); }) == 2);
  CHECK(questions([](FlowPacket& packet) { packet.sequence += 1; }) == 2);
  CHECK(questions([](FlowPacket& packet) { packet.acknowledgement += 1; }) == 2);
  CHECK(questions([](FlowPacket& packet) { packet.port = 9; }) == 2);
  CHECK(questions([](FlowPacket& packet) { packet.host = 71; }) == 2);
}

TEST_CASE("gate run: by another tunnel it is another run, and datagrams are none") {
  RunWorld world;
  const auto packets = built(cutUp(superOf(2000), 1000));
  world.arrive(packets[0]);
  world.arrive(packets[1], kPeerA, 1);
  world.endBatch();
  CHECK(world.gate->seen.size() == 2);
  for (int i = 0; i < 2; ++i) world.arrive(build({.v6 = true, .tcp = false, .host = 70, .data = Bytes(500, 3)}));
  world.endBatch();
  CHECK(world.gate->seen.size() == 4);
}

TEST_CASE("gate run: with a damaged packet in it, each is asked about alone, as it came") {
  RunWorld world;
  auto packets = built(cutUp(superOf(3000), 1000));
  packets[1][600] ^= 1;
  for (const Bytes& packet : packets) world.arrive(packet);
  world.endBatch();
  CHECK(world.gate->seen.size() == 3);
  CHECK(world.seen() == packets);
}

TEST_CASE("gate run: what waited leaves as the packets that came, a hop later or at the TAP") {
  for (const bool local : {false, true}) {
    RunWorld world;
    if (local) world.publish({HopKind::local, 0}, {HopKind::local, 0}, {HopKind::tunnel, world.tunnelB});
    const FlowPacket super = superOf(9'500);
    world.gate->letGo(buildUnfinished(super), world.tunnelB, offloadOf(super, 1000));
    world.forwarder.attend(*world.node, world.now);
    world.endBatch();
    CHECK(world.droppedInAll() == 0);
    if (!local) {
      CHECK(world.sent() == built(cutUp(super, 1000), 1));
      CHECK(world.node->lanes[0].packetsTransit.get() == 10);
      continue;
    }
    std::vector<Bytes> delivered;
    for (const Bytes& frame : world.sink.delivered) delivered.push_back(tail(frame, 14));
    CHECK(delivered == built(cutUp(super, 1000)));
    for (const Offload& offload : world.sink.offloads) CHECK(offload == Offload{});
  }
}

TEST_CASE("gate run: what is changed leaves changed, run after run, and shorter where it was cut") {
  RunWorld world;
  world.gate->onPass = [](std::span<uint8_t>& inner) {
    for (size_t at = 72; at < inner.size(); ++at) inner[at] ^= 0xff;
    return TrafficGate::Passed{Answer::changed, false};
  };
  FlowPacket super = superOf(5000);
  std::vector<FlowPacket> expected;
  for (int i = 0; i < 3; ++i) {
    for (const Bytes& packet : built(cutUp(super, 1000))) world.arrive(packet);
    FlowPacket changed = super;
    for (uint8_t& byte : changed.data) byte ^= 0xff;
    for (const FlowPacket& packet : cutUp(changed, 1000)) expected.push_back(packet);
    super.port = static_cast<uint16_t>(super.port + 1);
  }
  world.endBatch();
  CHECK(world.gate->seen.size() == 3);
  CHECK(world.sent() == built(expected, 1));
}

TEST_CASE("gate run: what the gate takes goes nowhere, and a route that is missing drops as many as came") {
  RunWorld world;
  const auto packets = built(cutUp(superOf(5000), 1000));
  world.gate->onPass = [](std::span<uint8_t>&) { return TrafficGate::Passed{Answer::taken, false}; };
  for (const Bytes& packet : packets) world.arrive(packet);
  world.endBatch();
  CHECK(world.sent().empty());
  CHECK(world.droppedInAll() == 0);
  world.gate->onPass = nullptr;
  REQUIRE(world.tables.tunnels.remove(world.tunnelA));
  for (const Bytes& packet : packets) world.arrive(packet);
  world.endBatch();
  CHECK(world.dropped(DropReason::tunnelGone) == 5);
}

TEST_CASE("gate run: others leave before the run that follows them") {
  RunWorld world;
  const auto packets = cutUp(superOf(3000), 1000);
  world.gate->onPass = [&](std::span<uint8_t>&) {
    world.gate->letGo(v6Udp(120, 180, 1), world.tunnelA);
    return TrafficGate::Passed{Answer::goesOn, true};
  };
  for (const Bytes& packet : built(packets)) world.arrive(packet);
  world.endBatch();
  REQUIRE(world.sink.sent.size() == 4);
  CHECK(innerOf(world.sink.sent[0].bytes) == v6Udp(120, 180, 1, 63));
  CHECK(innerOf(world.sink.sent[1].bytes) == built(packets, 1)[0]);
}

TEST_CASE("gate run: whatever is mixed, the gate sees what came and it leaves as it came, in its order") {
  std::mt19937 random{7};
  size_t asked = 0;
  size_t came = 0;
  for (int round = 0; round < 60; ++round) {
    RunWorld world;
    std::vector<FlowPacket> flows(1 + random() % 6);
    for (size_t i = 0; i < flows.size(); ++i) {
      flows[i].v6 = true;
      flows[i].tcp = random() % 4 != 0;
      flows[i].host = static_cast<uint8_t>(40 + random() % 80);
      flows[i].port = static_cast<uint16_t>(1000 + i);
      flows[i].sequence = static_cast<uint32_t>(random());
      flows[i].options = randomBytes(random, random() % 4 * 4);
    }
    std::vector<Bytes> arrived;
    std::vector<Bytes> expected;
    for (int i = 0; i < 60; ++i) {
      FlowPacket& flow = flows[random() % flows.size()];
      const size_t burst = 1 + random() % 80;
      for (size_t k = 0; k < burst; ++k) {
        FlowPacket packet = flow;
        packet.data = randomBytes(random, random() % 20 == 0 ? random() % 500 : 500);
        if (random() % 30 == 0) packet.flags = static_cast<uint8_t>(random());
        if (random() % 30 == 0) packet.trafficClass = static_cast<uint8_t>(random());
        if (random() % 30 == 0) flow.acknowledgement += 1;
        if (random() % 30 == 0) flow.sequence += 1;
        Bytes bytes = build(packet);
        packet.hopLimit = 63;
        Bytes later = build(packet);
        if (random() % 60 == 0) {
          bytes.back() ^= 0x10;
          later.back() ^= 0x10;
        }
        arrived.push_back(bytes);
        expected.push_back(later);
        flow.sequence += static_cast<uint32_t>(packet.data.size());
        world.arrive(bytes);
      }
      if (random() % 10 == 0) world.endBatch();
    }
    world.endBatch();
    REQUIRE(world.droppedInAll() == 0);
    REQUIRE(world.seen() == arrived);
    REQUIRE(world.sent() == expected);
    asked += world.gate->seen.size();
    came += arrived.size();
  }
  // Otherwise the test shows nothing.
  CHECK(asked * 3 < came * 2);
}
