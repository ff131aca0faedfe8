// Attempts to show a receiver what inspection does not see, and to use up the gateway. Whatever a receiver makes of what
// goes on along the wire, it must not find the forbidden word in it.
#include <random>

#include "core/bytes.h"
#include "gateway/checks.h"
#include "gateway/test/pipeline_world.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

// What receivers could have put together of the client's packets on the wire: those for whom the first data win, those for
// whom the last do, with and without urgent bytes, and those that missed some packets.
class Receiver {
 public:
  enum class Wins : uint8_t { first, last };

  Receiver(uint32_t first, Wins wins, bool dropsUrgent) : first_(first), wins_(wins), dropsUrgent_(dropsUrgent) {}

  void take(Bytes bytes) {
    Packet packet = parsed(bytes);
    if (packet.ip.fragment || checkTransport(packet) != DropReason::none || !packet.isTcp()) return;
    if (packet.ip.destinationPort != kServer.port) return;
    const std::span<const uint8_t> header = packet.transport();
    const uint32_t urgent = packet.tcp.has(kTcpUrg) ? loadBe16(&header[18]) : 0;
    const uint32_t start = packet.tcp.sequence + (packet.tcp.has(kTcpSyn) ? 1 : 0) - first_;
    for (uint32_t i = 0; i < packet.payloadBytes; ++i) {
      if (dropsUrgent_ && urgent == i + 1) removed_.insert(start + i);
      uint8_t& byte = bytes_.try_emplace(start + i, packet.payload()[i]).first->second;
      if (wins_ == Wins::last) byte = packet.payload()[i];
    }
  }

  std::string text() const {
    std::string all;
    uint32_t next = 0;
    for (const auto& [at, byte] : bytes_) {
      if (at != next) break;
      ++next;
      if (!removed_.contains(at)) all += static_cast<char>(byte);
    }
    return all;
  }

 private:
  uint32_t first_;
  Wins wins_;
  bool dropsUrgent_;
  std::map<uint32_t, uint8_t> bytes_;
  std::set<uint32_t> removed_;
};

bool anyReceiverFinds(const World& world, uint32_t first, std::string_view word) {
  for (const auto wins : {Receiver::Wins::first, Receiver::Wins::last}) {
    for (const bool dropsUrgent : {false, true}) {
      Receiver receiver(first, wins, dropsUrgent);
      for (const Bytes& packet : world.out) receiver.take(packet);
      if (receiver.text().find(word) != std::string::npos) return true;
    }
  }
  return false;
}

Pipeline::Settings settingsOf(bool fastPass) {
  Pipeline::Settings settings;
  settings.fastPass = fastPass;
  return settings;
}

}  // namespace

TEST_CASE("a word in tiny segments, in any order, does not arrive") {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    World world(settingsOf(round % 2 == 1));
    const uint32_t first = round % 3 == 0 ? 0xfffffffe : 101;
    world.open(first);
    const std::string text = "some EVIL text";
    std::vector<uint32_t> order(text.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    for (const uint32_t at : order) (void)world.say(first + at, text.substr(at, 1));
    // With fast pass every packet but the one that completes the word may have gone; it is the one that counts.
    CHECK(!anyReceiverFinds(world, first, "EVIL"));
    CHECK(world.drops(DropReason::gatewayRule) + world.discarded.size() > 0);
  }
}

TEST_CASE("overlapping segments with different content show one version to everybody") {
  std::mt19937 random(2);
  int denied = 0;
  for (int round = 0; round < 600; ++round) {
    World world(settingsOf(round % 2 == 1));
    world.open();
    // Decoys and the real text on top of each other, in pieces and any order; now and then an acknowledgement.
    const std::string real = "xxEVILxxEVILxx";
    for (int i = 0; i < 40; ++i) {
      const size_t at = random() % real.size();
      const size_t length = 1 + random() % 5;
      std::string piece = real.substr(at, length);
      if (random() % 2 == 0) piece.assign(piece.size(), '.');
      (void)world.say(101 + static_cast<uint32_t>(at), piece);
    }
    for (uint32_t at = 0; at < real.size(); ++at) (void)world.say(101 + at, real.substr(at, 1));
    REQUIRE(!anyReceiverFinds(world, 101, "EVIL"));
    if (world.pipeline.inspectionCounters().denied.get() != 0) ++denied;
    // What inspection saw is what went on: all but the last of it.
    Receiver receiver(101, Receiver::Wins::last, false);
    for (const Bytes& packet : world.out) receiver.take(packet);
    const std::string got = receiver.text();
    REQUIRE(world.seen().starts_with(got.substr(0, world.seen().size())));
  }
  CHECK(denied > 20);
  CHECK(denied < 600);
}

TEST_CASE("data after an RST that the receiver ignores are inspected") {
  World world;
  world.open();
  CHECK(world.say(101, "EV").goesOn());
  CHECK(world.client({.sequence = 103, .flags = kTcpRst}).goesOn());
  CHECK(!world.say(103, "IL").goesOn());
  CHECK(world.client({.sequence = 99, .flags = kTcpRst}).reason != DropReason::none);
}

TEST_CASE("an RST outside of the window is dropped, as its receiver would") {
  World world;
  world.open();
  CHECK(world.client({.sequence = 101 + 70000, .flags = kTcpRst}) == Verdict::drop(DropReason::gatewayTcpWindow));
  CHECK(world.client({.sequence = 1, .flags = kTcpRst}) == Verdict::drop(DropReason::gatewayTcpWindow));
}

TEST_CASE("data after a FIN are dropped") {
  World world;
  world.open();
  CHECK(world.say(101, "EV", kFinAck).goesOn());
  CHECK(world.say(103, "IL") == Verdict::drop(DropReason::gatewayAfterEnd));
  CHECK(world.say(101, "EVIL") == Verdict::drop(DropReason::gatewayAfterEnd));
}

TEST_CASE("data of a SYN are cut off, and inspected when they come again") {
  World world;
  CHECK(world.client({.sequence = 100, .flags = kTcpSyn, .data = bytesOf("EVIL")}).goesOn());
  CHECK(world.text().empty());
  CHECK(world.server({.sequence = 500, .acknowledgement = 101, .flags = kSynAck}).goesOn());
  CHECK(world.client({.sequence = 101, .acknowledgement = 501}).goesOn());
  CHECK(!world.say(101, "EVIL").goesOn());
  CHECK(world.pipeline.statistics().conditions[static_cast<size_t>(Condition::synData)] == 1);
}

TEST_CASE("where the policy inspects data of a SYN, they are the beginning of the stream") {
  Pipeline::Settings settings;
  settings.conditions.set(Condition::synData, ConditionAction::inspect);
  World world(settings);
  CHECK(world.client({.sequence = 100, .flags = kTcpSyn, .data = bytesOf("EV")}).goesOn());
  CHECK(world.server({.sequence = 500, .acknowledgement = 101, .flags = kSynAck}).goesOn());
  // The server did not take them, so they come again, differently.
  CHECK(world.say(101, "__").goesOn());
  CHECK(!world.say(103, "IL").goesOn());
  CHECK(world.text() == "EVEV");
}

TEST_CASE("split handshake and simultaneous open are inspected from the first byte") {
  for (const bool split : {false, true}) {
    World world;
    CHECK(world.client({.sequence = 100, .flags = kTcpSyn}).goesOn());
    CHECK(world.server({.sequence = 500, .flags = kTcpSyn}).goesOn());
    CHECK(world.client({.sequence = 100, .acknowledgement = 501, .flags = kSynAck}).goesOn());
    if (split) {
      CHECK(world.server({.sequence = 501, .acknowledgement = 101}).goesOn());
    } else {
      CHECK(world.server({.sequence = 500, .acknowledgement = 101, .flags = kSynAck}).goesOn());
    }
    CHECK(world.server({.sequence = 501, .acknowledgement = 101, .data = bytesOf("EV")}).goesOn());
    CHECK(!world.server({.sequence = 503, .acknowledgement = 101, .data = bytesOf("IL")}).goesOn());
    REQUIRE(!world.stage.seen.empty());
  }
}

TEST_CASE("urgent bytes are made ordinary ones, so that everybody reads the same") {
  World world;
  world.open();
  // A receiver that takes the urgent byte out would read EVIL.
  CHECK(world.client({.sequence = 101, .acknowledgement = 501, .flags = kTcpAck | kTcpUrg, .urgent = 3, .data = bytesOf("EVxIL")})
            .goesOn());
  CHECK(!anyReceiverFinds(world, 101, "EVIL"));
  CHECK(world.text() == "EVxIL");
}

TEST_CASE("a packet with a wrong checksum is no decoy") {
  World world;
  world.open();
  Bytes decoy = tcpPacket({.sequence = 101, .acknowledgement = 501, .data = bytesOf("good")});
  decoy.back() ^= 1;
  CHECK(world.send(decoy) == Verdict::drop(DropReason::gatewayChecksum));
  CHECK(!world.say(101, "EVIL").goesOn());
}

TEST_CASE("a far-ahead byte neither hides nor stops what is before it") {
  for (const bool fastPass : {false, true}) {
    World world(settingsOf(fastPass));
    world.open();
    (void)world.say(101 + 60000, "!");
    CHECK(world.say(101 + 90000, "!") == Verdict::drop(DropReason::gatewayTcpWindow));
    CHECK(world.say(101, "EV").goesOn());
    CHECK(!world.say(103, "IL").goesOn());
  }
}

TEST_CASE("fragments that overlap do not arrive, whichever version they hold") {
  World world;
  world.open();
  const std::string filler(1000, '.');
  const Bytes good = tcpPacket({.sequence = 101, .acknowledgement = 501, .data = bytesOf(filler + "good")});
  const Bytes evil = tcpPacket({.sequence = 101, .acknowledgement = 501, .data = bytesOf(filler + "EVIL")});
  CHECK(world.send(fragmentOf(good, 0, 512)).action == Verdict::Action::hold);
  CHECK(world.send(fragmentOf(evil, 504, 2000)) == Verdict::drop(DropReason::gatewayFragmentOverlap));
  CHECK(!world.send(fragmentOf(good, 512, 2000)).goesOn());
  CHECK(world.out.empty());
}

TEST_CASE("a connection picked up in the middle is inspected from there on") {
  World world;
  CHECK(world.say(5000, "middle EV").goesOn());
  CHECK(!world.say(5009, "IL").goesOn());
  Pipeline::Settings settings;
  settings.conditions.set(Condition::midFlow, ConditionAction::drop);
  World strict(settings);
  CHECK(strict.say(5000, "middle") == Verdict::drop(DropReason::gatewayMidFlow));
}

TEST_CASE("data that come in a packet refused for what is old in it are inspected when they come again") {
  Pipeline::Settings settings;
  settings.conditions.set(Condition::streamOld, ConditionAction::drop);
  World world{settings};
  world.open();
  CHECK(world.say(101, "abcd").goesOn());
  CHECK(world.server({.sequence = 501, .acknowledgement = 105}).goesOn());
  CHECK_FALSE(world.say(103, "cdEVIL").goesOn());
  CHECK_FALSE(world.say(105, "EVIL").goesOn());
  CHECK(world.text() == "abcd");
}

TEST_CASE("where only one direction passes here, inspection goes on without acknowledgements") {
  Pipeline::Settings settings;
  settings.limits.pagesPerDirection = 16;
  World world(settings);
  CHECK(world.client({.sequence = 100, .flags = kTcpSyn}).goesOn());
  uint32_t sequence = 101;
  for (int i = 0; i < 1000; ++i, sequence += 1000) {
    REQUIRE(world.say(sequence, std::string(1000, '.')).goesOn());
    REQUIRE(world.pipeline.statistics().memory.streams <= 16 * 2048);
  }
  CHECK(!world.say(sequence, "EVIL").goesOn());
}

TEST_CASE("where only the answers pass here, they are inspected, too") {
  World world;
  CHECK(world.server({.sequence = 500, .acknowledgement = 101, .flags = kSynAck}).goesOn());
  uint32_t sequence = 501;
  for (uint32_t i = 0; i < 100; ++i, sequence += 1000) {
    // What it acknowledges went another way.
    REQUIRE(world.server({.sequence = sequence, .acknowledgement = 301 + i * 500, .data = Bytes(1000, '.')}).goesOn());
  }
  CHECK(!world.server({.sequence = sequence, .acknowledgement = 60'000, .data = bytesOf("EVIL")}).goesOn());
}

TEST_CASE("more unacknowledged data than can be remembered are not let go, unless the policy says so") {
  for (const auto action : {ConditionAction::drop, ConditionAction::pass}) {
    Pipeline::Settings settings;
    settings.limits.pagesPerDirection = 4;
    settings.conditions.set(Condition::streamHistory, action);
    World world(settings);
    world.open();
    uint32_t sequence = 101;
    for (; sequence < 8101; sequence += 1000) REQUIRE(world.say(sequence, std::string(1000, '.')).goesOn());
    const Verdict beyond = world.say(sequence, std::string(1000, '.'));
    if (action == ConditionAction::drop) {
      CHECK(beyond == Verdict::drop(DropReason::gatewayStreamHistory));
      // Once something is acknowledged it can be sent again.
      CHECK(world.server({.sequence = 501, .acknowledgement = sequence}).goesOn());
      CHECK(world.say(sequence, "EV").goesOn());
      CHECK(!world.say(sequence + 2, "IL").goesOn());
    } else {
      CHECK(beyond.goesOn());
      CHECK(!world.say(sequence + 1000, "EVIL").goesOn());
    }
  }
}

TEST_CASE("a flow that never ends keeps the memory it has") {
  World world;
  world.open();
  uint32_t sequence = 101;
  uint32_t peak = 0;
  for (int i = 0; i < 20000; ++i) {
    // Out of order now and then, too.
    if (i % 7 == 3) {
      (void)world.say(sequence + 1000, std::string(1000, 'b'));
      (void)world.say(sequence, std::string(1000, 'a'));
    } else {
      REQUIRE(world.say(sequence, std::string(1000, 'a')).goesOn());
      REQUIRE(world.say(sequence + 1000, std::string(1000, 'b')).goesOn());
    }
    sequence += 2000;
    if (i % 10 == 0) {
      (void)world.server({.sequence = 501, .acknowledgement = sequence});
      world.out.clear();
      // The test's own memory of the stream.
      for (auto& [_, texts] : world.stage.seen) texts = {};
    }
    peak = std::max(peak, static_cast<uint32_t>(world.pipeline.statistics().memory.streams));
    world.now += 100;
    world.pipeline.timer(world.now);
  }
  CHECK(peak <= 40'000);
  CHECK(world.pipeline.statistics().flows == 1);
}

TEST_CASE("200,000 half-open connections take no flow record, and inspection goes on beside them") {
  World world;
  world.open();
  const uint64_t before = world.pipeline.statistics().memory.flows;
  for (uint32_t i = 0; i < 200'000; ++i) {
    const Host from{v4(10, static_cast<uint8_t>(100 + (i >> 16)), static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)),
                    static_cast<uint16_t>(1024 + i % 50000)};
    REQUIRE(world.client({.from = from, .sequence = i, .flags = kTcpSyn}).goesOn());
  }
  CHECK(world.pipeline.statistics().memory.flows == before);
  CHECK(world.pipeline.statistics().flows == 1);
  world.out.clear();
  CHECK(world.say(101, "EV").goesOn());
  CHECK(!world.say(103, "IL").goesOn());
}

TEST_CASE("floods of fragments, gaps and waiting packets stay within the bounds and are given back") {
  Pipeline::Settings settings;
  settings.limits.heldBlocks = 512;
  settings.limits.heldPackets = 400;
  settings.limits.fragmentBlocks = 64;
  settings.limits.streamPages = 256;
  settings.limits.flows = 200;
  World world(settings);
  std::mt19937 random(4);
  const Bytes datagram = udpPacket(kClient, kServer, Bytes(3000, 'x'));
  for (uint32_t i = 0; i < 20'000; ++i) {
    const Host from{v4(10, 1, 1, static_cast<uint8_t>(random() % 250)), static_cast<uint16_t>(1000 + random() % 20)};
    switch (random() % 4) {
      case 0: (void)world.send(fragmentOf(datagram, random() % 2 == 0 ? 0 : 1504, 752, static_cast<uint32_t>(random()))); break;
      case 1: (void)world.send(udpPacket(from, kServer, bytesOf("HOLD"))); break;
      default: {
        Segment segment{.from = from, .sequence = static_cast<uint32_t>(1000 + random() % 60000)};
        segment.data = Bytes(random() % 1400 + 1, 'x');
        (void)world.client(segment);
      }
    }
    const auto memory = world.pipeline.statistics().memory;
    REQUIRE(memory.fragments + memory.outOfOrder + memory.waiting <= memory.heldMax);
    REQUIRE(memory.fragments <= 64 * 2048);
    REQUIRE(memory.streams <= memory.streamsMax);
    world.now += 10;
    if (i % 10 == 0) world.pipeline.timer(world.now);
    if (random() % 3 == 0) world.decide(random() % 2 == 0 ? Verdict::accept() : Verdict::reject(1));
    world.out.clear();
  }
}
