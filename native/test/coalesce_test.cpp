#include "core/coalesce.h"

#include <doctest/doctest.h>

#include <deque>

#include "core/segment.h"
#include "test/flow_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

constexpr OffloadFeatures kAll{true, true, true};

// Cuts up what is written, as a kernel would, and keeps the packets.
class Kernel final : public TapFrameSink {
 public:
  void writeFrame(Node&, const TapFrame& frame) override {
    Bytes bytes;
    for (const auto piece : frame.pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
    sizes.push_back(bytes.size() - 14);
    packets += frame.packets;
    Bytes ip = tail(bytes, 14);
    if (frame.offload == Offload{}) {
      received.push_back(ip);
      return;
    }
    InnerPacket parsed;
    REQUIRE(parseInner(ip, parsed) == DropReason::none);
    REQUIRE(parsed.totalBytes == ip.size());
    const auto division = divide(frame.offload, parsed, ip);
    REQUIRE(division);
    REQUIRE(division->count == frame.packets);
    if (frame.offload.kind == Offload::Kind::none) {
      completeChecksum(frame.offload, parsed, ip);
      received.push_back(ip);
      return;
    }
    REQUIRE(frame.offload.headerBytes == 14 + division->headers);
    const std::array<uint8_t, kEncapsulationBytes> none{};
    Bytes room(segmentedBytes(*division));
    segment(none, ip, parsed, *division, room.data()).forEach([&](std::span<const uint8_t> packet) {
      received.push_back(tail({packet.begin(), packet.end()}, kEncapsulationBytes));
    });
  }

  std::vector<Bytes> received;
  std::vector<size_t> sizes;
  size_t packets = 0;
};

struct World {
  void add(const Bytes& ip, OffloadFeatures features = kAll) {
    frames.push_back(ethernet(ip, macOf(1), macOf(2)));
    InnerPacket parsed;
    REQUIRE(parseInner(ip, parsed) == DropReason::none);
    coalescer.add(node, frames.back(), parsed, features);
  }
  void flush() {
    coalescer.flush();
    frames.clear();
  }

  Node node{1, NodeConfig{}};
  std::deque<Bytes> frames;
  Kernel kernel;
  Coalescer coalescer{kernel};
};

FlowPacket tcpAt(uint32_t sequence, size_t length) {
  return {.identification = static_cast<uint16_t>(sequence / 1000), .sequence = sequence, .data = Bytes(length, 5)};
}

// Which flow a packet belongs to, as far as the tests make several.
std::tuple<uint8_t, uint8_t, uint16_t> flowOf(const Bytes& ip) {
  const size_t at = ip[0] >> 4 == 6 ? 40 : 20;
  const uint8_t protocol = ip[0] >> 4 == 6 ? ip[6] : ip[9];
  return {ip[0] >> 4, protocol, loadBe16(&ip[at])};
}

std::vector<Bytes> ofFlow(const std::vector<Bytes>& packets, const Bytes& like) {
  std::vector<Bytes> some;
  std::copy_if(packets.begin(), packets.end(), std::back_inserter(some),
               [&](const Bytes& packet) { return flowOf(packet) == flowOf(like); });
  return some;
}

}  // namespace

TEST_CASE("coalesce: consecutive segments become one super-packet, and nothing waits beyond its batch") {
  World world;
  for (uint32_t i = 0; i < 5; ++i) world.add(build(tcpAt(i * 1000, 1000)));
  CHECK(world.kernel.sizes.empty());
  world.flush();
  CHECK(world.kernel.sizes == std::vector<size_t>{5040});
  CHECK(world.kernel.packets == 5);
  world.add(build(tcpAt(5000, 1000)));
  world.flush();
  CHECK(world.kernel.sizes.size() == 2);
  REQUIRE(world.kernel.received.size() == 6);
  for (uint32_t i = 0; i < 6; ++i) CHECK(world.kernel.received[i] == build(tcpAt(i * 1000, 1000)));
}

TEST_CASE("coalesce: what ends a run") {
  const FlowPacket first = tcpAt(0, 1000);
  const auto framesOf = [&](auto&& change) {
    World world;
    FlowPacket second = tcpAt(1000, 1000);
    change(second);
    for (const FlowPacket& packet : {first, second}) world.add(build(packet));
    world.flush();
    CHECK(world.kernel.received == std::vector<Bytes>{build(first), build(second)});
    return world.kernel.sizes.size();
  };
  CHECK(framesOf([](FlowPacket&) {}) == 1);
  CHECK(framesOf([](FlowPacket& packet) { packet.flags |= 0x08; }) == 1);       // PSH
  CHECK(framesOf([](FlowPacket& packet) { packet.data.resize(10); }) == 1);     // the last may be shorter
  CHECK(framesOf([](FlowPacket& packet) { packet.data.resize(1001); }) == 2);
  CHECK(framesOf([](FlowPacket& packet) { packet.data.clear(); }) == 2);
  CHECK(framesOf([](FlowPacket& packet) { packet.sequence = 1001; }) == 2);
  CHECK(framesOf([](FlowPacket& packet) { packet.identification = 7; }) == 2);
  CHECK(framesOf([](FlowPacket& packet) { packet.acknowledgement = 8; }) == 2);
  CHECK(framesOf([](FlowPacket& packet) { packet.window = 8; }) == 2);
  CHECK(framesOf([](FlowPacket& packet) { packet.urgent = 8; }) == 2);
  CHECK(framesOf([](FlowPacket& packet) { packet.hopLimit = 8; }) == 2);
  CHECK(framesOf([](FlowPacket& packet) { packet.trafficClass = 3; }) == 2);    // congestion experienced
  CHECK(framesOf([](FlowPacket& packet) { packet.dontFragment = false; }) == 2);
  CHECK(framesOf([](FlowPacket& packet) { packet.options = Bytes(4, 1); }) == 2);
  for (const uint8_t flag : std::initializer_list<uint8_t>{0x01, 0x02, 0x04, 0x20, 0x40, 0x80}) {
    CHECK(framesOf([&](FlowPacket& packet) { packet.flags |= flag; }) == 2);
  }
}

TEST_CASE("coalesce: a damaged packet goes on as it is, in its place") {
  World world;
  Bytes damaged = build(tcpAt(1000, 1000));
  damaged[700] ^= 1;
  world.add(build(tcpAt(0, 1000)));
  world.add(damaged);
  world.add(build(tcpAt(2000, 1000)));
  world.flush();
  CHECK(world.kernel.received == std::vector<Bytes>{build(tcpAt(0, 1000)), damaged, build(tcpAt(2000, 1000))});
}

TEST_CASE("coalesce: a TAP without offloads gets every packet alone") {
  for (const OffloadFeatures features : {OffloadFeatures{}, {true, false, true}, {true, false, false}}) {
    World world;
    for (uint32_t i = 0; i < 3; ++i) world.add(build(tcpAt(i * 1000, 1000)), features);
    world.flush();
    CHECK(world.kernel.sizes.size() == 3);
    for (uint32_t i = 0; i < 3; ++i) CHECK(world.kernel.received[i] == build(tcpAt(i * 1000, 1000)));
  }
}

TEST_CASE("coalesce: fragments and other protocols keep their place among all packets of the node") {
  World world;
  const Bytes ping = ipPacket({.source = v4(10, 0, 0, 1), .destination = v4(10, 0, 0, 120), .protocol = kProtocolIcmp});
  const Bytes fragment =
      ipPacket({.source = v4(10, 0, 0, 1), .destination = v4(10, 0, 0, 120), .moreFragments = true, .payload = udpPayload(1, 2, 32)});
  std::vector<Bytes> expected{build(tcpAt(0, 1000)), ping, build(tcpAt(1000, 1000)), fragment};
  for (const Bytes& packet : expected) world.add(packet);
  world.flush();
  CHECK(world.kernel.received == expected);
}

TEST_CASE("coalesce: neither more packets nor more bytes than a super-packet may have") {
  World world;
  for (uint32_t i = 0; i < 70; ++i) world.add(build({.tcp = false, .identification = static_cast<uint16_t>(i), .data = Bytes(100, 1)}));
  world.flush();
  CHECK(world.kernel.sizes == std::vector<size_t>{20 + 8 + 6400, 20 + 8 + 600});
  world.kernel.sizes.clear();
  for (uint32_t i = 0; i < 9; ++i) world.add(build({.identification = static_cast<uint16_t>(i), .sequence = i * 8000, .data = Bytes(8000, 1)}));
  world.flush();
  CHECK(world.kernel.sizes == std::vector<size_t>{64'040, 8040});
}

TEST_CASE("coalesce: cutting up gives back what came in, whatever is mixed, and each flow in its order") {
  std::mt19937 random{4};
  size_t frames = 0;
  size_t packets = 0;
  for (int round = 0; round < 60; ++round) {
    World world;
    std::vector<FlowPacket> flows(1 + random() % 24);
    for (size_t i = 0; i < flows.size(); ++i) {
      flows[i].v6 = random() % 2 == 0;
      flows[i].tcp = random() % 3 != 0;
      flows[i].port = static_cast<uint16_t>(1000 + i);
      flows[i].sequence = static_cast<uint32_t>(random());
      flows[i].identification = static_cast<uint16_t>(random());
      flows[i].options = randomBytes(random, random() % 4 * 4);
    }
    std::vector<Bytes> sent;
    for (int i = 0; i < 300; ++i) {
      FlowPacket& flow = flows[random() % flows.size()];
      const size_t burst = 1 + random() % 8;
      for (size_t k = 0; k < burst; ++k) {
        FlowPacket packet = flow;
        packet.data = randomBytes(random, random() % 10 == 0 ? random() % 500 : 500);
        if (random() % 20 == 0) packet.flags = static_cast<uint8_t>(random());
        if (random() % 20 == 0) packet.trafficClass = static_cast<uint8_t>(random());
        if (random() % 20 == 0) flow.acknowledgement += 1;
        if (random() % 40 == 0) flow.sequence += 1;
        sent.push_back(build(packet));
        if (random() % 30 == 0) sent.back().back() ^= 0x10;
        flow.sequence += static_cast<uint32_t>(packet.data.size());
        flow.identification = static_cast<uint16_t>(flow.identification + 1);
        world.add(sent.back());
      }
      if (random() % 10 == 0) world.flush();
    }
    world.flush();
    REQUIRE(world.kernel.packets == sent.size());
    for (const FlowPacket& flow : flows) {
      const Bytes like = build(flow);
      REQUIRE(ofFlow(world.kernel.received, like) == ofFlow(sent, like));
    }
    frames += world.kernel.sizes.size();
    packets += sent.size();
  }
  // Otherwise the test shows nothing.
  CHECK(frames * 2 < packets);
}
