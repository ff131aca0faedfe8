#include "gateway/test/shaping_world.h"

#include <cmath>
#include <random>

#include "core/bytes.h"
#include "gateway/checks.h"
#include "gateway/shaping/ecn.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

constexpr uint64_t kKbit = 1'000;
constexpr uint64_t kMbit = 1'000'000;

Host client(uint8_t number, uint16_t port = 1000) { return {v4(10, 1, 0, number), port}; }

LimitClass limitOf(std::string name, uint64_t rate, LimitPer per = LimitPer::none, uint64_t ceiling = 0) {
  return {.name = std::move(name), .per = per, .rate = rate, .ceiling = ceiling};
}

bool near(double is, double shouldBe, double share = 0.02) { return std::abs(is - shouldBe) <= share * shouldBe; }

// Of all departures; the first one is not counted, as it needed no time.
double rateOf(const std::vector<ShapingWorld::Departure>& out, size_t from = 0) {
  size_t bytes = 0;
  for (size_t i = from + 1; i < out.size(); ++i) bytes += out[i].bytes;
  return double(bytes) * 8e9 / double(out.back().at - out[from].at);
}

// A TCP super-packet in the middle of a stream, whose checksum the kernel has left undone.
Bytes superPacket(const Host& from, const Host& to, uint32_t sequence, size_t bytes) {
  Bytes packet = tcpPacket({.from = from, .to = to, .sequence = sequence, .data = Bytes(bytes - 40, 'y')});
  return packet;
}

// Offsets count from the frame's beginning, as a device gives them.
constexpr Offload kSuper{Offload::Kind::tcp4, true, 1460, 54, 34, 16};

}  // namespace

TEST_CASE("a limit is kept to 2 % from 64 kbit/s to 1 Gbit/s, and in no second more goes than it allows") {
  for (const uint64_t rate : {64 * kKbit, 300 * kKbit, kMbit, 7'777'777 * uint64_t{1}, 100 * kMbit, 1000 * kMbit}) {
    CAPTURE(rate);
    LimitClass limit = limitOf("all", rate);
    limit.queueBytes = 100'000;
    ShapingWorld world{{{limit}}};
    const Nanos between = static_cast<Nanos>(1500 * 8 * 1e9 / double(rate) / 1.5);
    const Nanos end = world.now + static_cast<Nanos>(4000 * 1500 * 8 * 1e9 / double(rate));
    while (world.now < end) {
      (void)world.say(client(1), kServer, 1500);
      world.pass(between);
    }
    // The burst has been used up by then.
    CHECK(near(rateOf(world.out, world.out.size() * 3 / 4), double(rate), 0.005));
    // What may go in a second: the rate, the burst of 10 ms, and one packet.
    size_t sum = 0;
    size_t most = 0;
    for (size_t last = 0, first = 0; last < world.out.size(); ++last) {
      sum += world.out[last].bytes;
      for (; world.out[first].at + kSecond <= world.out[last].at; ++first) sum -= world.out[first].bytes;
      most = std::max(most, sum);
    }
    CHECK(double(most) <= double(rate) / 8 * 1.01 + 1500);
    CHECK(world.drops(DropReason::gatewayLimited) > 500);
  }
}

TEST_CASE("a super-packet counts as the packets it stands for, and leaves in one piece") {
  ShapingWorld world{{{limitOf("all", kMbit)}}};
  uint32_t sequence = 1;
  const Nanos end = world.now + 120 * kSecond;
  while (world.now < end) {
    if (world.send(superPacket(client(1), kServer, sequence, 64'040), kSuper).action != Verdict::Action::drop) {
      sequence += 64'000;
    }
    world.pass(kSecond / 5);
  }
  REQUIRE(world.out.size() > 100);
  for (const auto& departure : world.out) {
    CHECK(departure.bytes == 64'040);
    CHECK(departure.offload == kSuper);
  }
  // 44 packets are 43 headers more.
  CHECK(near(rateOf(world.out), 1e6 * 64'040 / (64'040 + 43 * 40), 0.005));
  CHECK(world.stage.statistics()[0].bytes == world.out.size() * (64'040 + 43 * 40));
}

TEST_CASE("a sender with TCP's window gets its limit to 2 %, with packets and with super-packets") {
  struct Case {
    uint64_t rate;
    size_t packet;
    double windowMax;
    Nanos time;
  };
  for (const Case& one : {Case{64 * kKbit, 1500, 1000, 300 * kSecond}, Case{kMbit, 1500, 1000, 60 * kSecond},
                          Case{kMbit, 64'040, 4, 300 * kSecond}, Case{100 * kMbit, 1500, 4000, 5 * kSecond},
                          Case{100 * kMbit, 64'040, 64, 10 * kSecond}}) {
    CAPTURE(one.rate);
    CAPTURE(one.packet);
    ShapingWorld world{{{limitOf("all", one.rate)}}};
    uint32_t sequence = 1;
    WindowSender sender{20'000'000, one.windowMax, [&] {
                          const bool large = one.packet > 1500;
                          const Bytes bytes = superPacket(client(1), kServer, sequence, one.packet);
                          sequence += static_cast<uint32_t>(one.packet - 40);
                          return world.send(bytes, large ? kSuper : Offload{}).action != Verdict::Action::drop;
                        }};
    world.onDeparture = [&](const ShapingWorld::Departure& departure) { sender.arrived(departure.at); };
    const Nanos end = world.now + one.time;
    while (world.now < end) {
      sender.run(world.now);
      world.pipeline.depart(world.now);
      const Nanos due = world.pipeline.nextDue().value_or(end);
      world.now = std::min({end, std::max(world.now + 1, due), std::max(world.now + 1, sender.nextEvent())});
    }
    const double headers = one.packet > 1500 ? 64'040.0 / (64'040 + 43 * 40) : 1;
    CHECK(near(rateOf(world.out, world.out.size() / 4), double(one.rate) * headers));
  }
}

TEST_CASE("whoever calls only now and then loses no throughput up to the burst") {
  ShapingWorld world{{{limitOf("all", 10 * kMbit)}}};
  for (int i = 0; i < 10'000; ++i) {
    (void)world.say(client(1), kServer, 1400);
    (void)world.say(client(1), kServer, 1400);
    world.now += kNanosPerMilli;
    if (i % 5 == 0) world.pipeline.timer(world.now / kNanosPerMilli);
  }
  CHECK(near(rateOf(world.out, 10), 10e6));
}

TEST_CASE("packets of a flow keep their order, and the flows of a limit share it equally whatever they send") {
  ShapingWorld world{{{limitOf("all", 8 * kMbit)}}};
  std::map<uint64_t, uint8_t> flowOf;
  std::map<uint8_t, uint64_t> lastOf;
  std::map<uint8_t, size_t> bytesOf;
  world.onDeparture = [&](const ShapingWorld::Departure& departure) {
    const uint8_t flow = flowOf[departure.tag];
    CHECK(departure.tag > lastOf[flow]);
    lastOf[flow] = departure.tag;
    bytesOf[flow] += departure.bytes;
  };
  for (int i = 0; i < 6000; ++i) {
    // 12, 4, 3 and 0.4 Mbit/s; the last one wants less than its share.
    const auto say = [&](uint8_t flow, size_t bytes) {
      flowOf[world.tags + 1] = flow;
      (void)world.say(client(1, flow), kServer, bytes);
    };
    say(1, 1500);
    if (i % 2 == 0) say(2, 1000);
    if (i % 4 == 0) say(3, 1500);
    if (i % 10 == 0) say(4, 500);
    world.pass(kNanosPerMilli);
  }
  CHECK(near(double(bytesOf[4]) * 8 / 6, 0.4e6, 0.03));
  for (uint8_t flow = 1; flow <= 3; ++flow) CHECK(near(double(bytesOf[flow]) * 8 / 6, 7.6e6 / 3, 0.06));
}

TEST_CASE("limits are per flow, source, destination or sender, and by direction") {
  const auto rates = [](const LimitClass& limit) {
    ShapingWorld world{{{limit}}};
    std::map<std::string, size_t> bytes;
    std::map<uint64_t, std::string> names;
    world.onDeparture = [&](const ShapingWorld::Departure& departure) { bytes[names[departure.tag]] += departure.bytes; };
    for (int i = 0; i < 4000; ++i) {
      const auto say = [&](const char* name, const Host& from, const Host& to) {
        names[world.tags + 1] = name;
        (void)world.say(from, to, 500);
      };
      say("1a", client(1, 1), kServer);
      say("1b", client(1, 2), kServer);
      say("2a", client(2, 1), kServer);
      say("1a back", kServer, client(1, 1));
      world.pass(kNanosPerMilli);
    }
    std::map<std::string, int> kbits;
    for (const auto& [name, sum] : bytes) kbits[name] = static_cast<int>(std::lround(double(sum) * 8 / 4 / 1000 / 50)) * 50;
    return kbits;
  };
  using Rates = std::map<std::string, int>;
  LimitClass limit = limitOf("l", 1200 * kKbit);
  CHECK(rates(limit) == Rates{{"1a", 400}, {"1b", 400}, {"2a", 400}, {"1a back", 1200}});
  limit.way = LimitWay::together;
  CHECK(rates(limit) == Rates{{"1a", 300}, {"1b", 300}, {"2a", 300}, {"1a back", 300}});
  limit.way = LimitWay::up;
  CHECK(rates(limit) == Rates{{"1a", 400}, {"1b", 400}, {"2a", 400}, {"1a back", 4000}});
  limit.way = LimitWay::down;
  CHECK(rates(limit) == Rates{{"1a", 4000}, {"1b", 4000}, {"2a", 4000}, {"1a back", 1200}});
  limit.way = LimitWay::both;
  limit.per = LimitPer::flow;
  CHECK(rates(limit) == Rates{{"1a", 1200}, {"1b", 1200}, {"2a", 1200}, {"1a back", 1200}});
  limit.per = LimitPer::source;
  CHECK(rates(limit) == Rates{{"1a", 600}, {"1b", 600}, {"2a", 1200}, {"1a back", 1200}});
  limit.way = LimitWay::together;
  CHECK(rates(limit) == Rates{{"1a", 400}, {"1b", 400}, {"2a", 1200}, {"1a back", 400}});
  limit.per = LimitPer::destination;
  CHECK(rates(limit) == Rates{{"1a", 300}, {"1b", 300}, {"2a", 300}, {"1a back", 300}});
  limit.per = LimitPer::address;
  limit.way = LimitWay::up;
  CHECK(rates(limit) == Rates{{"1a", 600}, {"1b", 600}, {"2a", 1200}, {"1a back", 1200}});
  limit.way = LimitWay::down;
  CHECK(rates(limit) == Rates{{"1a", 400}, {"1b", 400}, {"2a", 400}, {"1a back", 1200}});
}

TEST_CASE("hosts below a limit get what they are assured, borrow up to their ceiling, and count for what is above") {
  LimitClass host = limitOf("each host", kMbit, LimitPer::source, 5 * kMbit);
  host.parent = 1;
  LimitClass upOnly = limitOf("up only", kMbit, LimitPer::source);
  upOnly.parent = 1;
  upOnly.way = LimitWay::up;
  ShapingWorld world{{{limitOf("all", 8 * kMbit), host, upOnly}}};
  uint16_t limit = 2;
  world.limiting.limitOf = [&](const Packet& packet) { return packet.ip.sourcePort == 3 ? uint16_t{3} : limit; };
  std::map<uint64_t, uint8_t> senders;
  std::map<uint8_t, size_t> bytes;
  world.onDeparture = [&](const ShapingWorld::Departure& departure) { bytes[senders[departure.tag]] += departure.bytes; };
  const auto run = [&](std::vector<uint8_t> hosts) {
    const auto round = [&] {
      for (const uint8_t one : hosts) {
        for (int i = 0; i < 3; ++i) {
          senders[world.tags + 1] = one;
          (void)world.say(client(one), kServer, 1000);
        }
      }
      world.pass(kNanosPerMilli);
    };
    for (int i = 0; i < 500; ++i) round();
    bytes.clear();
    for (int i = 0; i < 2000; ++i) round();
  };
  run({1});
  CHECK(near(double(bytes[1]) * 4, 5e6));
  run({1, 2});
  CHECK(near(double(bytes[1]) * 4, 4e6));
  CHECK(near(double(bytes[2]) * 4, 4e6));
  run({1, 2, 3, 4});
  for (uint8_t one = 1; one <= 4; ++one) CHECK(near(double(bytes[one]) * 4, 2e6));
  // A rule's own packets count as one more below; the other direction of what is limited upwards only counts above.
  limit = 1;
  world.pass(2 * kSecond);
  run({1, 5});
  CHECK(near(double(bytes[5]) * 4, 4e6));
  world.now += 10 * kSecond;
  world.pass(1);
  senders.clear();
  bytes.clear();
  world.limiting.limitOf = [](const Packet&) { return uint16_t{3}; };
  (void)world.say(client(9), kServer, 100);
  for (int i = 0; i < 2000; ++i) {
    for (int k = 0; k < 3; ++k) {
      senders[world.tags + 1] = 9;
      (void)world.say(kServer, client(9), 1000);
    }
    world.pass(kNanosPerMilli);
  }
  CHECK(near(double(bytes[9]) * 4, 8e6));
}

TEST_CASE("a queue is bounded, and a flow that floods it leaves room for others") {
  LimitClass limit = limitOf("all", 8 * kMbit);
  limit.queueBytes = 50'000;
  ShapingWorld world{{{limit}}};
  for (int i = 0; i < 500; ++i) (void)world.say(client(1), kServer, 1000);
  const uint64_t waiting = world.stage.statistics()[0].waiting;
  CHECK(waiting > 35'000);
  CHECK(waiting <= 45'000);
  for (uint16_t port = 1; port <= 5; ++port) CHECK(world.say(client(2, port), kServer, 1000).action == Verdict::Action::hold);
  CHECK(world.drops(DropReason::gatewayLimited) == world.dropped.size());
  for (uint16_t port = 100; port < 300; ++port) (void)world.say(client(2, port), kServer, 1000);
  CHECK(world.stage.statistics()[0].waiting <= 50'000);
  // Those who came later to a long queue do not wait until it has gone.
  const auto newcomer = world.tags - 200;
  world.pass(kSecond / 50);
  CHECK(world.left.contains(newcomer));
  CHECK(world.stage.statistics()[0].waiting > 0);
}

TEST_CASE("all queues together are bounded, and other flows go on") {
  Pipeline::Settings settings;
  settings.limits.limitBlocks = 64;
  ShapingWorld world{{{limitOf("each", 64 * kKbit, LimitPer::flow)}}, settings};
  for (uint16_t port = 1; port <= 100; ++port) {
    for (int i = 0; i < 10; ++i) (void)world.say(client(1, port), kServer, 1000);
  }
  CHECK(world.waiting == 64);
  CHECK(world.pipeline.statistics().memory.limited == 64 * PacketStore::kBlockBytes);
  world.limiting.limitOf = [](const Packet&) { return uint16_t{0}; };
  for (int i = 0; i < 100; ++i) CHECK(world.say(client(2), kServer, 1000).goesOn());
  // The first of each flow went on at once.
  CHECK(world.out.size() == 200);
}

TEST_CASE("instances are bounded: the idle ones make room, and when none is, newcomers share one") {
  Pipeline::Settings settings;
  settings.limits.limitInstances = 50;
  LimitClass each = limitOf("each", kMbit, LimitPer::source);
  each.parent = 1;
  each.way = LimitWay::together;
  LimitClass all = limitOf("all", 1000 * kMbit);
  all.way = LimitWay::together;
  ShapingWorld world{{{all, each}}, settings};
  world.limiting.limitOf = [](const Packet&) { return uint16_t{2}; };
  const auto burst = [&](uint8_t from, uint8_t to) {
    for (uint8_t number = from; number < to; ++number) {
      for (int i = 0; i < 4; ++i) (void)world.say(client(number), kServer, 1500);
    }
  };
  burst(0, 50);
  CHECK(world.stage.instances().shared() == 0);
  CHECK(world.waiting == 50 * 3);
  burst(50, 100);
  CHECK(world.stage.instances().shared() >= 50);
  // Those of "all", those that count, and the one that newcomers share.
  CHECK(world.stage.instances().size() <= 1 + 50 + 1);
  world.pass(10 * kSecond);
  CHECK(world.waiting == 0);
  const uint64_t shared = world.stage.instances().shared();
  burst(100, 140);
  CHECK(world.stage.instances().shared() == shared);
  world.pass(kSecond);
  for (int i = 0; i < 200; ++i) {
    world.now += kSecond;
    world.pipeline.timer(world.now / kNanosPerMilli);
  }
  CHECK(world.stage.instances().size() == 0);
}

TEST_CASE("what waits of a flow is dropped when it is denied, and goes on when it merely ends") {
  Pipeline::Settings settings;
  settings.limits.oneSidedTimeout = 100;
  ShapingWorld world{{{limitOf("all", 64 * kKbit)}}, settings};
  world.limiting.inspects = true;
  for (int i = 0; i < 5; ++i) (void)world.say(client(1), kServer, 1000);
  for (int i = 0; i < 5; ++i) (void)world.say(client(2), kServer, 1000);
  CHECK(world.waiting == 9);
  CHECK(!world.send(udpPacket(client(1), kServer, bytesOf("DENY"))).goesOn());
  CHECK(world.discarded == std::vector<DropReason>(4, DropReason::gatewayRule));
  world.pipeline.timer((world.now + kSecond) / kNanosPerMilli);
  world.pipeline.timer((world.now + 2 * kSecond) / kNanosPerMilli);
  CHECK(world.pipeline.statistics().flows <= 1);
  world.now += 2 * kSecond;
  world.pass(kSecond);
  CHECK(world.waiting == 0);
  CHECK(world.out.size() == 6);
}

TEST_CASE("a packet that waited for a verdict waits for its limit, too, and is not overtaken") {
  ShapingWorld world{{{limitOf("all", 80 * kKbit)}}};
  world.limiting.inspects = true;
  (void)world.say(client(1), kServer, 1000);
  CHECK(world.send(udpPacket(client(1), kServer, bytesOf("HOLD"))).action == Verdict::Action::hold);
  (void)world.say(client(1), kServer, 1000);
  world.pipeline.decide(world.limiting.last, Side::initiator, {}, world.now / kNanosPerMilli);
  (void)world.say(client(1), kServer, 1000);
  CHECK(world.waiting == 3);
  CHECK(world.pipeline.statistics().memory.waiting == 0);
  // A change of the limit does not let later packets pass those that wait.
  world.pipeline.flows().find(world.limiting.last)->limit = 0;
  (void)world.say(client(1), kServer, 1000);
  world.pass(kSecond);
  CHECK(world.say(client(1), kServer, 1000).goesOn());
  std::vector<uint64_t> tags;
  for (const auto& departure : world.out) tags.push_back(departure.tag);
  CHECK(tags == std::vector<uint64_t>{1, 2, 3, 4, 5, 6});
  CHECK(world.pipeline.statistics().stages.back().name == "limits");
  CHECK(world.pipeline.statistics().stages.back().packets == 6);
}

TEST_CASE("what inspection held back and lets go when it ends waits for its limit, too") {
  Pipeline::Settings settings;
  settings.conditions.set(Condition::urgentData, ConditionAction::bypass);
  ShapingWorld world{{{limitOf("all", 80 * kKbit)}}, settings};
  world.limiting.inspects = true;
  const auto segment = [&](uint32_t sequence, uint8_t flags = kTcpAck) {
    return world.send(tcpPacket({.sequence = sequence, .flags = flags, .urgent = 1, .data = Bytes(1000, 'u')})).action;
  };
  CHECK(segment(1) == Verdict::Action::accept);
  for (uint32_t i = 2; i <= 4; ++i) CHECK(segment(i * 1000 + 1) == Verdict::Action::hold);
  CHECK(world.pipeline.statistics().memory.outOfOrder > 0);
  // Inspection ends here; the packet at hand stands behind those that waited for another one.
  CHECK(segment(5001, kTcpAck | kTcpUrg) == Verdict::Action::hold);
  CHECK(world.pipeline.statistics().memory.outOfOrder == 0);
  CHECK(world.out.size() == 1);
  world.pass(kSecond);
  CHECK(world.out.size() == 5);
  CHECK(near(rateOf(world.out), 80e3, 0.03));
}

TEST_CASE("a fragmented datagram waits as one, and leaves in its fragments") {
  ShapingWorld world{{{limitOf("all", 80 * kKbit)}}};
  world.keepsBytes = true;
  (void)world.say(client(1), kServer, 1000);
  const Bytes whole = udpPacket(client(1), kServer, Bytes(2000, 'z'));
  const std::vector<Bytes> parts{fragmentOf(whole, 0, 1000), fragmentOf(whole, 1000, 1008)};
  for (const Bytes& part : parts) CHECK(world.send(part).action == Verdict::Action::hold);
  CHECK(world.out.size() == 1);
  CHECK(world.pipeline.statistics().memory.fragments == 0);
  world.pass(kSecond);
  REQUIRE(world.out.size() == 3);
  CHECK(world.contents[1] == parts[0]);
  CHECK(world.contents[2] == parts[1]);
}

TEST_CASE("packets that waited for long are marked where their sender knows marks, with a right checksum") {
  for (const bool v6 : {false, true}) {
    const Host from = v6 ? kClient6 : kClient;
    const Host to = v6 ? kServer6 : kServer;
    ShapingWorld world{{{limitOf("all", 64 * kKbit)}}};
    world.keepsBytes = true;
    const auto packet = [&](uint8_t mark) {
      Bytes bytes = udpPacket(from, to, Bytes(1400, 'e'));
      bytes[1] = static_cast<uint8_t>(bytes[1] | (v6 ? mark << 4 : mark));
      if (!v6) {
        put16(bytes, 10, 0);
        put16(bytes, 10, slowChecksum(Bytes(bytes.begin(), bytes.begin() + 20)));
      }
      return bytes;
    };
    for (const uint8_t mark : std::vector<uint8_t>{0, 2, 1, 0, 3}) (void)world.send(packet(mark));
    world.pass(2 * kSecond);
    REQUIRE(world.contents.size() == 5);
    std::vector<int> marks;
    for (Bytes& bytes : world.contents) {
      marks.push_back((v6 ? bytes[1] >> 4 : bytes[1]) & 3);
      Packet parsedPacket;
      REQUIRE(parsePacket(bytes, {}, 0, parsedPacket) == DropReason::none);
      CHECK(checkTransport(parsedPacket) == DropReason::none);
    }
    CHECK(marks == std::vector<int>{0, 3, 3, 0, 3});
    CHECK(world.stage.statistics()[0].marked == 3);
  }
}

TEST_CASE("other numbers take effect at once; other limits let go what waits, in order, and begin anew") {
  ShapingWorld world{{{limitOf("a", 64 * kKbit), limitOf("b", kMbit)}}};
  world.limiting.limitOf = [](const Packet&) { return uint16_t{2}; };
  CHECK(world.say(client(2), kServer, 1000).goesOn());
  CHECK(world.say(client(3), kServer, 1000).goesOn());
  const FlowRef ofB = world.limiting.last;
  world.limiting.limitOf = [](const Packet&) { return uint16_t{1}; };
  for (int i = 0; i < 20; ++i) (void)world.say(client(1), kServer, 1000);
  CHECK(world.waiting == 19);
  const auto configure = [&](std::vector<LimitClass> classes) {
    world.stage.configure({std::move(classes)}, world.pipeline.custody(), world.now);
  };
  const FlowRef ofA = world.limiting.last;
  const auto limitNow = [&](const FlowRef& ref) { return world.pipeline.flows().find(ref)->limit; };
  configure({limitOf("a", 8 * kMbit), limitOf("b", kMbit)});
  world.pipeline.flows().forEach([&](Flow& flow) { world.stage.renumber(flow); });
  CHECK(limitNow(ofA) == 1);
  CHECK(limitNow(ofB) == 2);
  CHECK(world.waiting == 19);
  const size_t before = world.out.size();
  world.pass(kSecond / 100);
  CHECK(near(double(world.out.size() - before), 10, 0.11));
  for (int i = 0; i < 30; ++i) (void)world.say(client(1), kServer, 1000);
  CHECK(world.waiting > 20);
  configure({limitOf("b", kMbit), limitOf("c", kMbit)});
  CHECK(world.waiting == 0);
  for (size_t i = 1; i < world.out.size(); ++i) CHECK(world.out[i].tag > world.out[i - 1].tag);
  CHECK(world.stage.instances().size() == 0);
  // The burst of 1,250 bytes is there again, for those whose limit still is.
  for (int i = 0; i < 2; ++i) CHECK(world.say(client(2), kServer, 1000).goesOn());
  CHECK(world.say(client(2), kServer, 1000).action == Verdict::Action::hold);
  for (int i = 0; i < 9; ++i) CHECK(world.say(client(1), kServer, 1000).goesOn());
  CHECK(limitNow(ofA) == 0);
  Flow& unheard = *world.pipeline.flows().find(ofB);
  CHECK(unheard.limit == 2);
  world.stage.renumber(unheard);
  world.stage.renumber(unheard);
  CHECK(unheard.limit == 1);
  CHECK(unheard.watched);
  // A flow that has got a number of today keeps it.
  CHECK(world.say(client(4), kServer, 1000).action == Verdict::Action::hold);
  CHECK(limitNow(world.limiting.last) == 1);
}

TEST_CASE("settings that mean nothing are refused with a sentence that says what to do") {
  const auto problem = [](std::vector<LimitClass> classes) { return problemOf({std::move(classes)}).value_or(""); };
  CHECK(problem({}).empty());
  CHECK(problem({limitOf("a", 64 * kKbit)}).empty());
  CHECK(problem({limitOf("a", 100)}).find("Limit a: give a rate from 8 kbit/s") == 0);
  CHECK(problem({limitOf("a", kMbit, LimitPer::none, kKbit * 10)}).find("give a ceiling") != std::string::npos);
  CHECK(problem({limitOf("a", kMbit, LimitPer::address)}).find("way: up") != std::string::npos);
  LimitClass child = limitOf("b", kMbit);
  child.parent = 3;
  CHECK(problem({limitOf("a", kMbit), child}).find("parent that exists") != std::string::npos);
  child.parent = 2;
  CHECK(problem({limitOf("a", kMbit), child}).find("not itself") != std::string::npos);
  child.parent = 1;
  CHECK(problem({limitOf("a", kMbit), child}).empty());
  CHECK(problem({limitOf("a", kMbit, LimitPer::source), child}).find("several instances of a") != std::string::npos);
  child.per = LimitPer::flow;
  CHECK(problem({limitOf("a", kMbit, LimitPer::source), child}).empty());
  child.way = LimitWay::together;
  CHECK(problem({limitOf("a", kMbit, LimitPer::source), child}).find("wider") != std::string::npos);
}
