#include "os/emitter.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

// Takes messages apart again, and checks that the kernel would take them.
class RecordingSocket final : public UnderlaySocket {
 public:
  Endpoint local() const override { return {}; }
  bool wait(const Wakeup*) override { return false; }
  size_t receive(std::span<DatagramSlot>) override { return 0; }
  uint64_t overflows() const override { return 0; }
  void stop() override {}
  bool stopped() const override { return true; }

  void send(std::span<MessageOut> messages, SendPatience) override {
    for (MessageOut& message : messages) {
      size_t bytes = 0;
      size_t datagrams = 0;
      for (const auto piece : message.pieces) {
        // No piece but the last may end within a datagram.
        CHECK((piece.data() == message.pieces.back().data() || piece.size() % message.segmentBytes == 0));
        bytes += piece.size();
        ConstDatagramRun{piece, message.segmentBytes}.forEach([&](std::span<const uint8_t> datagram) {
          sent.emplace_back(message.to, Bytes{datagram.begin(), datagram.end()});
          ++datagrams;
        });
      }
      CHECK(datagrams == message.datagrams);
      CHECK(datagrams <= kMessageDatagramsMax);
      CHECK((bytes <= kMessageBytesMax || datagrams == 1));
      shapes.push_back({message.pieces.size(), datagrams});
      if (fails) {
        message.failed = datagrams;
        message.failedBytes = bytes;
        message.error = EMSGSIZE;
      }
    }
    ++calls;
  }

  bool fails = false;
  size_t calls = 0;
  std::vector<std::pair<Endpoint, Bytes>> sent;
  std::vector<std::pair<size_t, size_t>> shapes;  // pieces and datagrams of each message
};

class TestEmitter final : public Emitter {
 public:
  using Emitter::Emitter;
  void toTap(Node&, const ToTap&) override {}
};

struct World {
  // As a forwarder does, by the one tunnel to that peer.
  void emit(const Endpoint& to, std::span<const uint8_t> bytes, size_t segmentBytes) {
    Tunnel& tunnel = tunnels[to.ip[15]];
    tunnel.peer = to;
    if (tunnel.stats == nullptr) tunnel.stats = std::make_shared<TunnelStats>();
    const size_t count = ConstDatagramRun{bytes, segmentBytes}.count();
    lane(to).packetsOut.add(count);
    lane(to).bytesOut.add(bytes.size() - count * kEncapsulationBytes);
    emitter.toTunnel(tunnel, {bytes, segmentBytes});
    ConstDatagramRun{bytes, segmentBytes}.forEach(
        [&](std::span<const uint8_t> datagram) { expected.emplace_back(to, Bytes{datagram.begin(), datagram.end()}); });
  }
  [[nodiscard]] static std::vector<Bytes> to(const Endpoint& peer, const std::vector<std::pair<Endpoint, Bytes>>& all) {
    std::vector<Bytes> some;
    for (const auto& [receiver, bytes] : all) {
      if (receiver == peer) some.push_back(bytes);
    }
    return some;
  }

  TunnelLane& lane(const Endpoint& to) { return tunnels[to.ip[15]].stats->lanes[static_cast<size_t>(Lane::tap)]; }

  std::map<uint8_t, Tunnel> tunnels;
  RecordingSocket socket;
  UnderlaySlot slot{&socket};
  DropCounters drops;
  TestEmitter emitter{slot, drops, Lane::tap, SendPatience::none};
  std::vector<std::pair<Endpoint, Bytes>> expected;
};

}  // namespace

TEST_CASE("emitter: datagrams of one size to one peer are one message, adjacent ones one piece") {
  World world;
  const Bytes memory(64'000, 3);
  const std::span<const uint8_t> bytes = memory;
  world.emit(endpointOf(1), bytes.first(10'500), 1000);
  world.emit(endpointOf(2), bytes.subspan(20'000, 1000), 1000);
  world.emit(endpointOf(1), bytes.subspan(10'500, 2000), 1000);
  world.emit(endpointOf(2), bytes.subspan(21'000, 1000), 1000);
  world.emit(endpointOf(2), bytes.subspan(30'000, 400), 400);
  world.emit(endpointOf(2), bytes.subspan(31'000, 1000), 1000);
  CHECK(world.socket.calls == 0);
  world.emitter.flush();
  CHECK(world.socket.calls == 1);
  // The short datagram at the end of the first run ends its message.
  CHECK(world.socket.shapes == std::vector<std::pair<size_t, size_t>>{{1, 11}, {2, 3}, {1, 2}, {1, 1}});
  for (const uint8_t peer : {uint8_t{1}, uint8_t{2}}) {
    CHECK(World::to(endpointOf(peer), world.socket.sent) == World::to(endpointOf(peer), world.expected));
  }
  world.emitter.flush();
  CHECK(world.socket.calls == 1);
}

TEST_CASE("emitter: order towards each peer and the kernel's limits hold for any sizes") {
  std::mt19937 random{5};
  const Bytes memory(1 << 20, 1);
  for (int round = 0; round < 100; ++round) {
    World world;
    for (int i = 0; i < 150; ++i) {
      const size_t segmentBytes = random() % 4 == 0 ? 1 + random() % 65'507 : 50 + random() % 3 * 700;
      const size_t datagrams = 1 + random() % 90;
      const size_t length = std::min<size_t>(segmentBytes * datagrams - random() % segmentBytes, 200'000);
      world.emit(endpointOf(static_cast<uint8_t>(random() % 3)), std::span{memory}.subspan(random() % 5000, length),
                 segmentBytes);
    }
    world.emitter.flush();
    REQUIRE(world.socket.sent.size() == world.expected.size());
    for (uint8_t peer = 0; peer < 3; ++peer) {
      REQUIRE(World::to(endpointOf(peer), world.socket.sent) == World::to(endpointOf(peer), world.expected));
    }
  }
}

TEST_CASE("emitter: more peers than one call has messages, and an empty datagram") {
  World world;
  const Bytes memory(100, 1);
  for (uint8_t peer = 0; peer < 200; ++peer) world.emit(endpointOf(peer), memory, 100);
  world.emit(endpointOf(1), {}, 1);
  world.emitter.flush();
  CHECK(world.socket.sent.size() == 201);
  CHECK(world.socket.calls > 1);
}

TEST_CASE("emitter: what fails is counted in datagrams, also where there is no socket yet") {
  World world;
  const Bytes memory(10'000, 1);
  world.socket.fails = true;
  world.emit(endpointOf(1), memory, 1000);
  world.emitter.flush();
  world.slot.store(nullptr);
  world.emit(endpointOf(1), memory, 1000);
  world.emitter.flush();
  std::array<uint64_t, kDropReasonCount> totals{};
  world.drops.addTo(totals);
  CHECK(totals[static_cast<size_t>(DropReason::sendTooBig)] == 10);
  CHECK(totals[static_cast<size_t>(DropReason::sendFailed)] == 10);
}

TEST_CASE("emitter: a packet is sent or dropped, never both, also where two tunnels lead to one peer") {
  World world;
  const Bytes memory(10'000, 1);
  const size_t inner = 1000 - kEncapsulationBytes;
  world.emit(endpointOf(1), memory, 1000);
  world.emitter.flush();
  CHECK(world.lane(endpointOf(1)).packetsOut.get() == 10);
  CHECK(world.lane(endpointOf(1)).bytesOut.get() == 10 * inner);

  // To the peer of the first tunnel, by the second.
  Tunnel& second = world.tunnels[2];
  second.peer = endpointOf(1);
  second.stats = std::make_shared<TunnelStats>();
  world.socket.fails = true;
  world.emit(endpointOf(1), std::span{memory}.first(2500), 1000);
  world.lane(endpointOf(2)).packetsOut.add(1);
  world.lane(endpointOf(2)).bytesOut.add(inner);
  world.emitter.toTunnel(second, {std::span{memory}.first(1000), 1000});
  world.emitter.flush();
  // A secure tunnel without keys.
  second.channel = std::make_shared<const SecureChannel>(1);
  world.lane(endpointOf(2)).packetsOut.add(3);
  world.lane(endpointOf(2)).bytesOut.add(2100 - 3 * kEncapsulationBytes);
  world.emitter.toTunnel(second, {std::span{memory}.first(2100), 1000});
  CHECK(world.lane(endpointOf(1)).packetsOut.get() == 10);
  CHECK(world.lane(endpointOf(1)).bytesOut.get() == 10 * inner);
  CHECK(world.lane(endpointOf(2)).packetsOut.get() == 0);
  CHECK(world.lane(endpointOf(2)).bytesOut.get() == 0);
  std::array<uint64_t, kDropReasonCount> totals{};
  world.drops.addTo(totals);
  CHECK(totals[static_cast<size_t>(DropReason::sendTooBig)] == 4);
  CHECK(totals[static_cast<size_t>(DropReason::keysMissing)] == 3);
}
