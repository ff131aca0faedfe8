#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "gateway/shaping/limit_tree.h"
#include "gateway/test/fluid_shares.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

constexpr uint64_t kMbit = 1'000'000;
constexpr Nanos kSecond = 1'000'000'000;

// Lines that have always, or at a rate, packets to send. Every packet that goes is written down.
struct TreeWorld {
  struct Line {
    uint32_t number = LimitTree::kNone;
    uint32_t instance = 0;
    uint32_t packetMax = 1500;
    uint64_t arrives = 0;  // bits a second; 0: always more
    double backlog = 0;    // bytes, of those that arrive at a rate
    uint32_t head = 0;
    uint64_t sent = 0;
  };
  struct Departure {
    Nanos at;
    size_t line;
    uint32_t bytes;
  };

  explicit TreeWorld(uint32_t seed) : random(seed) {}

  uint32_t instance(uint32_t parent, uint64_t rate, uint64_t ceiling, uint64_t burst = 0) {
    const uint32_t number = tree.addInstance(parent, {rate, ceiling, burst}, now);
    parents[number] = parent;
    return number;
  }
  size_t line(uint32_t instance, uint32_t packetMax = 1500, uint64_t arrives = 0) {
    lines.push_back({.instance = instance, .packetMax = packetMax, .arrives = arrives});
    return lines.size() - 1;
  }
  uint32_t size(const Line& one) { return one.packetMax / 2 + static_cast<uint32_t>(random() % (one.packetMax / 2)) + 1; }

  void fill(Line& one, Nanos step) {
    if (one.arrives != 0) one.backlog = std::min(one.backlog + 1e-9 * double(step) * double(one.arrives) / 8, 1e6);
    if (one.number != LimitTree::kNone) return;
    if (one.head == 0) one.head = size(one);
    if (one.arrives != 0 && one.backlog < one.head) return;
    one.number = tree.addLine(one.instance, one.head, now);
    names[one.number] = static_cast<size_t>(&one - lines.data());
  }

  void depart() {
    for (uint32_t number = tree.next(now); number != LimitTree::kNone; number = tree.next(now)) {
      Line& one = lines[names[number]];
      const uint32_t bytes = one.head;
      departures.push_back({now, names[number], bytes});
      one.sent += bytes;
      one.backlog -= bytes;
      one.head = size(one);
      const bool more = one.arrives == 0 || one.backlog >= one.head;
      tree.sent(number, bytes, more, now);
      if (!more) one.number = LimitTree::kNone;
    }
  }

  // `late`: how much later than it is due next() is called, at most.
  void run(Nanos time, Nanos late = 0) {
    const Nanos end = now + time;
    constexpr Nanos kArrivals = 1'000'000;
    Nanos arrivals = now;
    while (now < end) {
      if (now >= arrivals) {
        for (Line& one : lines) fill(one, kArrivals);
        arrivals += kArrivals;
      }
      depart();
      Nanos due = tree.nextDue().value_or(end);
      REQUIRE(due > now);
      if (late != 0) due += static_cast<Nanos>(random() % static_cast<uint64_t>(late));
      now = std::min({arrivals, due, end});
      if (late != 0 && due < arrivals) now = std::min(due, end);
    }
  }

  // The most that any span of so much time has seen below the instance.
  uint64_t mostIn(uint32_t instance, Nanos span) {
    uint64_t sum = 0;
    uint64_t most = 0;
    size_t first = 0;
    for (const Departure& departure : departures) {
      if (!isBelow(lines[departure.line].instance, instance)) continue;
      sum += departure.bytes;
      for (; departures[first].at + span <= departure.at; ++first) {
        if (isBelow(lines[departures[first].line].instance, instance)) sum -= departures[first].bytes;
      }
      most = std::max(most, sum);
    }
    return most;
  }
  bool isBelow(uint32_t instance, uint32_t above) {
    for (; instance != LimitTree::kRoot; instance = parents[instance])
      if (instance == above) return true;
    return above == LimitTree::kRoot;
  }
  double rateOf(size_t name, Nanos time) const { return double(lines[name].sent) * 8e9 / double(time); }

  std::mt19937 random;
  LimitTree tree;
  Nanos now = 0;
  std::vector<Line> lines;
  std::map<uint32_t, size_t> names;
  std::map<uint32_t, uint32_t> parents;
  std::vector<Departure> departures;
};

bool near(double is, double shouldBe, double share = 0.02) { return std::abs(is - shouldBe) <= share * shouldBe; }

}  // namespace

TEST_CASE("a bucket is exact for rates that do not divide a second, and owes what went beyond") {
  RateBucket bucket{7'777'777, 0, 0};
  Nanos now = 0;
  uint64_t bytes = 0;
  while (now < 100 * kSecond) {
    bucket.refill(0, now);
    REQUIRE(bucket.open());
    bucket.spend(1499);
    bytes += 1499;
    now = bucket.opensAt();
    bucket.refill(0, now - 1);
    REQUIRE(!bucket.open());
  }
  // 1,499 bytes take 1,541,828.6 ns, and the fraction of a nanosecond that each waits too long is all that is lost.
  CHECK(std::abs(double(bytes) * 8 / 100 - 7'777'777) < 7'777'777 * 1e-6 + 1499 * 8 / 100.0);
  RateBucket full{8000, 1000, 0};
  full.refill(1000, -5);
  full.spend(1000);
  CHECK(full.open());
  full.spend(1);
  CHECK(!full.open());
  CHECK(full.opensAt() == 1'000'000);
  full.refill(1000, 3600 * kSecond);
  full.spend(1001);
  CHECK(!full.open());
}

TEST_CASE("heaps give the least item, whatever is put in and taken out, and keys may wrap around") {
  std::mt19937 random{5};
  TurnHeaps heaps;
  std::array<uint32_t, 3> tops{TurnHeaps::kNone, TurnHeaps::kNone, TurnHeaps::kNone};
  std::array<std::set<std::pair<uint64_t, uint32_t>>, 3> slow;
  std::vector<int> where(200, -1);
  uint64_t base = 0xffffffffffff0000;
  for (int step = 0; step < 20'000; ++step) {
    const auto item = static_cast<uint32_t>(random() % where.size());
    const size_t heap = random() % 3;
    if (where[item] < 0) {
      const uint64_t offset = static_cast<uint64_t>(step) * 10 + random() % 1000;
      heaps.push(tops[heap], item, base + offset);
      slow[heap].insert({offset, item});
      where[item] = static_cast<int>(heap);
    } else {
      const auto of = static_cast<size_t>(where[item]);
      heaps.erase(tops[of], item);
      slow[of].erase({heaps.keyOf(item) - base, item});
      where[item] = -1;
    }
    for (size_t i = 0; i < 3; ++i) {
      REQUIRE((tops[i] == TurnHeaps::kNone) == slow[i].empty());
      if (!slow[i].empty()) REQUIRE(heaps.keyOf(tops[i]) - base == slow[i].begin()->first);
    }
  }
}

TEST_CASE("random trees of limits give every line what a fluid would get, and no instance more than its ceiling") {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    TreeWorld world{seed};
    std::mt19937& random = world.random;
    const auto upTo = [&](uint64_t most) { return uint64_t{random() % most} + 1; };
    FluidNode top;
    std::vector<std::pair<uint32_t, uint64_t>> ceilings;
    std::vector<std::vector<size_t>> paths;
    const auto grow = [&](auto& self, FluidNode& fluid, uint32_t number, int depth, std::vector<size_t> path) -> void {
      const bool leaf = depth == 3 || (depth > 0 && random() % 3 == 0);
      const size_t count = depth == 0 ? 2 : upTo(3);
      for (size_t i = 0; i < count; ++i) {
        FluidNode child;
        if (leaf) {
          const uint64_t arrives = random() % 3 == 0 ? upTo(3) * kMbit : 0;
          (void)world.line(number, 1500, arrives);
          child.demand = arrives == 0 ? 1e12 : double(arrives);
          fluid.below.push_back(child);
          path.push_back(i);
          paths.push_back(path);
          path.pop_back();
          continue;
        }
        const uint64_t rate = upTo(4) * kMbit;
        const uint64_t ceiling = rate + upTo(6) * kMbit;
        child.weight = double(rate);
        child.ceiling = double(ceiling);
        const uint32_t below = world.instance(number, rate, ceiling, ceiling / 800);
        ceilings.emplace_back(below, ceiling);
        fluid.below.push_back(child);
        path.push_back(i);
        self(self, fluid.below.back(), below, depth + 1, path);
        path.pop_back();
      }
    };
    grow(grow, top, LimitTree::kRoot, 0, {});
    top.give(1e15);
    constexpr Nanos kTime = 20 * kSecond;
    world.run(kTime);
    for (size_t i = 0; i < world.lines.size(); ++i) {
      const FluidNode* node = &top;
      for (const size_t step : paths[i]) node = &node->below[step];
      CAPTURE(i);
      CAPTURE(node->given);
      CAPTURE(world.rateOf(i, kTime));
      CHECK(near(world.rateOf(i, kTime), node->given));
    }
    for (const auto& limit : ceilings) {
      const auto [instance, ceiling] = limit;
      CHECK(world.mostIn(instance, kSecond) <= ceiling / 8 + ceiling / 800 + 2 * 1500);
    }
  }
}

TEST_CASE("turns that come late cost nothing as long as the burst is not less than they bring") {
  TreeWorld world{3};
  const uint32_t all = world.instance(LimitTree::kRoot, 100 * kMbit, 100 * kMbit, 125'000);
  const uint32_t one = world.instance(all, 30 * kMbit, 30 * kMbit, 37'500);
  const uint32_t other = world.instance(all, 10 * kMbit, 100 * kMbit, 125'000);
  (void)world.line(one);
  (void)world.line(other);
  world.run(5 * kSecond, 8'000'000);
  CHECK(near(world.rateOf(0, 5 * kSecond), 30e6));
  CHECK(near(world.rateOf(1, 5 * kSecond), 70e6));
}

TEST_CASE("packets of 64 KB and of 100 bytes share as their rates say, at 1 Mbit/s") {
  TreeWorld world{4};
  const uint32_t all = world.instance(LimitTree::kRoot, kMbit, kMbit, 1'250);
  const uint32_t small = world.instance(all, kMbit / 4, kMbit, 1'250);
  const uint32_t large = world.instance(all, kMbit * 3 / 4, kMbit, 1'250);
  const uint32_t bound = world.instance(all, kMbit / 4, kMbit / 10, 125);
  (void)world.line(small, 100);
  (void)world.line(large, 65'000);
  (void)world.line(bound, 65'000);
  constexpr Nanos kTime = 400 * kSecond;
  world.run(kTime);
  CHECK(near(world.rateOf(0, kTime), 225e3));
  CHECK(near(world.rateOf(1, kTime), 675e3));
  CHECK(near(world.rateOf(2, kTime), 100e3));
}

TEST_CASE("nobody starves beside others who are assured more than there is") {
  TreeWorld world{6};
  const uint32_t all = world.instance(LimitTree::kRoot, 10 * kMbit, 10 * kMbit, 12'500);
  for (int i = 0; i < 9; ++i) (void)world.line(world.instance(all, 100 * kMbit, 200 * kMbit, 250'000));
  (void)world.line(world.instance(all, kMbit, kMbit, 1'250));
  constexpr Nanos kTime = 200 * kSecond;
  world.run(kTime);
  CHECK(near(world.rateOf(9, kTime), 10e6 / 901));
  for (size_t i = 0; i < 9; ++i) CHECK(near(world.rateOf(i, kTime), 10e6 * 100 / 901));
}

TEST_CASE("who has borrowed gives back at once, and is not made to pay for it") {
  TreeWorld world{7};
  const uint32_t all = world.instance(LimitTree::kRoot, 10 * kMbit, 10 * kMbit, 12'500);
  (void)world.line(world.instance(all, 2 * kMbit, 10 * kMbit, 12'500));
  world.run(10 * kSecond);
  CHECK(near(world.rateOf(0, 10 * kSecond), 10e6));
  (void)world.line(world.instance(all, 8 * kMbit, 10 * kMbit, 12'500));
  const uint64_t before = world.lines[0].sent;
  world.run(kSecond);
  CHECK(near(double(world.lines[0].sent - before) * 8, 2e6, 0.03));
  CHECK(near(double(world.lines[1].sent) * 8, 8e6, 0.03));
}

TEST_CASE("who had nothing to send has saved nothing but the burst, whatever came before") {
  TreeWorld world{8};
  const uint32_t all = world.instance(LimitTree::kRoot, 10 * kMbit, 10 * kMbit, 12'500);
  const uint32_t early = world.instance(all, 5 * kMbit, 10 * kMbit, 12'500);
  const uint32_t late = world.instance(all, 5 * kMbit, 10 * kMbit, 12'500);
  // Both have sent, and one was silent for long.
  CHECK(world.tree.pass(early, 60'000, world.now));
  world.now += kSecond;
  CHECK(world.tree.pass(late, 60'000, world.now));
  world.now += kSecond;
  (void)world.line(early);
  world.run(10 * kSecond);
  (void)world.line(late);
  const uint64_t before = world.lines[0].sent;
  world.run(2 * kSecond);
  CHECK(near(double(world.lines[0].sent - before) * 4, 5e6, 0.03));
  CHECK(near(double(world.lines[1].sent) * 4, 5e6, 0.03));
}

TEST_CASE("after a pause no more goes than the burst and a packet, even if larger ones waited before") {
  LimitTree tree;
  const uint32_t instance = tree.addInstance(LimitTree::kRoot, {kMbit, kMbit, 1'000}, 0);
  CHECK(tree.pass(instance, 1'001, 0));
  const uint32_t line = tree.addLine(instance, 60'000, 0);
  const Nanos due = tree.nextDue().value_or(0);
  REQUIRE(tree.next(due) == line);
  tree.sent(line, 60'000, false, due);
  const Nanos later = due + 100 * kSecond;
  for (int i = 0; i < 11; ++i) CHECK(tree.pass(instance, 100, later));
  CHECK(!tree.pass(instance, 100, later));
}

TEST_CASE("a flow with one packet at a time gets no more than its share of a line") {
  LimitTree tree;
  const uint32_t instance = tree.addInstance(LimitTree::kRoot, {kMbit, kMbit, 0}, 0);
  Nanos now = 0;
  std::vector<uint32_t> greedy;
  for (int i = 0; i < 4; ++i) greedy.push_back(tree.addLine(instance, 1000, now));
  uint32_t sly = tree.addLine(instance, 1000, now);
  int sent = 0;
  int its = 0;
  for (; sent < 1000; now = std::max(now, tree.nextDue().value_or(now))) {
    for (uint32_t line = tree.next(now); line != LimitTree::kNone; line = tree.next(now)) {
      ++sent;
      const bool isSly = line == sly;
      tree.sent(line, 1000, !isSly, now);
      if (!isSly) continue;
      ++its;
      sly = tree.addLine(instance, 1000, now);
    }
  }
  CHECK(its >= 196);
  CHECK(its <= 204);
}

TEST_CASE("a packet passes where nothing waits and no ceiling is reached, and not before others whose turn it is") {
  LimitTree tree;
  const uint32_t all = tree.addInstance(LimitTree::kRoot, {kMbit, kMbit, 0}, 0);
  const uint32_t one = tree.addInstance(all, {kMbit, 2 * kMbit, 0}, 0);
  const uint32_t other = tree.addInstance(all, {kMbit, kMbit, 0}, 0);
  CHECK(tree.isIdle(one, 0));
  CHECK(!tree.isIdle(all, 0));
  CHECK(tree.pass(one, 1000, 0));
  // The ceiling above both is reached for 8 ms.
  CHECK(!tree.pass(other, 1000, 0));
  const uint32_t line = tree.addLine(other, 1000, 0);
  CHECK(tree.nextDue() == 8'000'000);
  CHECK(tree.next(7'999'999) == LimitTree::kNone);
  CHECK(!tree.pass(one, 1000, 8'000'000));
  CHECK(tree.next(8'000'000) == line);
  tree.removeLine(line);
  CHECK(!tree.nextDue());
  CHECK(tree.pass(one, 1000, 8'000'000));
  CHECK(!tree.isIdle(one, 8'000'001));
  CHECK(tree.isIdle(one, 12'000'000));
  tree.removeInstance(one);
  tree.removeInstance(other);
  tree.removeInstance(all);
  CHECK(tree.nodes() == 0);
}
