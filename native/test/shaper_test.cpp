#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

#include "core/bytes.h"
#include "core/packet_store.h"
#include "core/shaper.h"
#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

constexpr Nanos kMicro = 1'000;
constexpr Nanos kMilli = 1'000'000;

Bytes numbered(uint32_t number, size_t bytes) {
  Bytes packet(bytes, static_cast<uint8_t>(number * 7));
  storeBe32(packet.data(), number);
  return packet;
}

struct Left {
  uint32_t number;
  TunnelHandle tunnel;
  size_t bytes;
};

// Everything that is due, in order.
std::vector<Left> takeAll(Shaper& shaper, Nanos now) {
  std::vector<Left> all;
  for (;;) {
    const size_t before = all.size();
    while (const auto departure = shaper.take(now)) {
      const uint32_t number = loadBe32(departure->packet.data());
      const Bytes expected = numbered(number, departure->packet.size());
      CHECK(std::equal(expected.begin(), expected.end(), departure->packet.begin()));
      all.push_back({number, departure->link.tunnel, departure->packet.size()});
    }
    shaper.recycle();
    if (all.size() == before) return all;
  }
}

std::vector<uint32_t> numbersOf(const std::vector<Left>& all) {
  std::vector<uint32_t> numbers;
  for (const Left& left : all) numbers.push_back(left.number);
  return numbers;
}

LinkShape delayed(Nanos delay) { return *completed({0, 0, 0, delay, 0, 0, 0}); }

}  // namespace

TEST_CASE("packet store: any sizes come back whole, and a full store refuses") {
  constexpr uint32_t kBlocks = 100;
  PacketStore store{kBlocks};
  std::mt19937_64 random{3};
  std::map<uint32_t, Bytes> held;
  for (uint32_t i = 0; i < 20'000; ++i) {
    const size_t size = std::uniform_int_distribution<size_t>{4, i % 5 == 0 ? 60'000U : 2'100U}(random);
    const Bytes packet = numbered(i, size);
    const size_t blocks = (size + PacketStore::kBlockBytes - 1) / PacketStore::kBlockBytes;
    const bool fits = blocks <= store.freeBlocks();
    const uint32_t stored = store.put(packet);
    REQUIRE((stored != PacketStore::kNone) == fits);
    if (fits) held.emplace(stored, packet);
    if (fits && random() % 4 != 0) continue;
    const auto one = std::next(held.begin(), static_cast<long>(random() % held.size()));
    Bytes back(store.bytes(one->first));
    store.copy(one->first, back);
    CHECK(back == one->second);
    store.free(one->first);
    held.erase(one);
  }
  for (const auto& [stored, packet] : held) store.free(stored);
  CHECK(store.freeBlocks() == kBlocks);
}

TEST_CASE("shaper: packets of all tunnels leave when their links' models say, in the order of a plain sort") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Shaper shaper{seed};
    std::mt19937_64 random{seed};
    struct Expected {
      Nanos due;
      uint32_t number;
      TunnelHandle tunnel;
    };
    std::vector<Expected> expected;
    std::vector<LinkModel> models;
    std::vector<LinkShape> shapes;
    constexpr TunnelHandle kTunnels = 9;
    for (TunnelHandle tunnel = 0; tunnel < kTunnels; ++tunnel) {
      // As the shaper seeds them.
      models.emplace_back(ShapeRandom{seed ^ (tunnel * 2)}.next());
      const Nanos delay = static_cast<Nanos>(random() % 30) * kMilli;
      shapes.push_back(*completed({tunnel % 3 == 0 ? 0 : 1'000'000 * (1 + random() % 100), 0, 0, delay, delay / 3,
                                   tunnel % 2 == 0 ? 0.1 : 0, tunnel % 4 == 0 ? 0.2 : 0}));
    }
    Nanos now = kNanosPerSecond;
    std::vector<Left> left;
    for (uint32_t i = 0; i < 5000; ++i) {
      now += static_cast<Nanos>(random() % (20 * kMicro));
      const TunnelHandle tunnel = random() % kTunnels;
      const size_t bytes = 64 + random() % 1400;
      const auto admission = models[tunnel].admit(shapes[tunnel], bytes, now);
      CHECK(shaper.admit({1, tunnel, Way::out}, shapes[tunnel], numbered(i, bytes), bytes, now) == admission.reason);
      if (admission.reason == DropReason::none) expected.push_back({admission.due, i, tunnel});
      if (random() % 10 != 0) continue;
      for (const Left& one : takeAll(shaper, now)) left.push_back(one);
      CHECK(shaper.nextDue().value_or(now + 1) > now);
    }
    for (const Left& one : takeAll(shaper, now + kNanosPerSecond)) left.push_back(one);
    CHECK(shaper.waiting() == 0);
    CHECK(!shaper.nextDue());
    REQUIRE(left.size() == expected.size());
    for (TunnelHandle tunnel = 0; tunnel < kTunnels; ++tunnel) {
      std::vector<Expected> ofTunnel;
      std::copy_if(expected.begin(), expected.end(), std::back_inserter(ofTunnel),
                   [&](const Expected& one) { return one.tunnel == tunnel; });
      std::stable_sort(ofTunnel.begin(), ofTunnel.end(),
                       [](const Expected& a, const Expected& b) { return a.due < b.due; });
      std::vector<Left> gone;
      std::copy_if(left.begin(), left.end(), std::back_inserter(gone),
                   [&](const Left& one) { return one.tunnel == tunnel; });
      REQUIRE(gone.size() == ofTunnel.size());
      // Of packets due at the very same instant either may be first.
      for (size_t i = 0; i < gone.size(); ++i) {
        const bool same = gone[i].number == ofTunnel[i].number;
        const auto found = std::find_if(ofTunnel.begin(), ofTunnel.end(),
                                        [&](const Expected& one) { return one.number == gone[i].number; });
        CHECK((same || found->due == ofTunnel[i].due));
      }
    }
  }
}

TEST_CASE("shaper: what waits leaves at once and in order when its link is shaped no more") {
  Shaper shaper{1};
  const Shaper::Link link{1, 4097, Way::out};
  const Shaper::Link other{1, 4098, Way::out};
  std::vector<uint32_t> sent;
  for (uint32_t i = 0; i < 100; ++i) {
    sent.push_back(i);
    CHECK(shaper.admit(link, delayed(500 * kMilli), numbered(i, 100), 100, i * kMilli) == DropReason::none);
  }
  CHECK(shaper.admit(other, delayed(500 * kMilli), numbered(1000, 100), 100, 0) == DropReason::none);
  CHECK(takeAll(shaper, 100 * kMilli).empty());
  shaper.releaseIf([&](const Shaper::Link& each) { return each.tunnel == link.tunnel; }, 100 * kMilli);
  CHECK(shaper.nextDue() == 100 * kMilli);
  CHECK(numbersOf(takeAll(shaper, 100 * kMilli)) == sent);
  CHECK(shaper.queues() == 1);
  CHECK(numbersOf(takeAll(shaper, kNanosPerSecond)) == std::vector<uint32_t>{1000});
}

TEST_CASE("shaper: a changed shape keeps the order") {
  Shaper shaper{1};
  const Shaper::Link link{1, 4097, Way::in};
  CHECK(shaper.admit(link, delayed(50 * kMilli), numbered(1, 100), 100, 0) == DropReason::none);
  CHECK(shaper.admit(link, delayed(kMilli), numbered(2, 100), 100, 10 * kMilli) == DropReason::none);
  CHECK(takeAll(shaper, 49 * kMilli).empty());
  CHECK(numbersOf(takeAll(shaper, 50 * kMilli)) == std::vector<uint32_t>{1, 2});
}

TEST_CASE("shaper: limits are counted drops, and one tunnel cannot take everything") {
  constexpr uint32_t kBlocks = 64;
  Shaper shaper{1, kBlocks};
  const LinkShape shape = delayed(kMilli);
  for (uint32_t i = 0; i < kBlocks; ++i) {
    CHECK(shaper.admit({1, i + 1, Way::out}, shape, numbered(i, 100), 100, 0) == DropReason::none);
  }
  CHECK(shaper.admit({1, 1, Way::out}, shape, numbered(0, 100), 100, 0) == DropReason::shaperFull);
  CHECK(takeAll(shaper, kMilli).size() == kBlocks);

  Shaper whole{1};
  uint32_t taken = 0;
  while (whole.admit({1, 1, Way::out}, shape, numbered(taken, 100), 100, 0) == DropReason::none) ++taken;
  CHECK(taken == Shaper::kQueuePacketsMax);
  CHECK(whole.admit({1, 2, Way::out}, shape, numbered(0, 100), 100, 0) == DropReason::none);
  CHECK(takeAll(whole, kMilli).size() == taken + 1);

  Shaper wide{1};
  for (uint32_t i = 0; i < Shaper::kQueuesMax; ++i) {
    CHECK(wide.admit({1, i + 1, Way::out}, shape, numbered(i, 100), 100, 0) == DropReason::none);
  }
  CHECK(wide.admit({1, 1 << 20, Way::out}, shape, numbered(0, 100), 100, 0) == DropReason::shaperFull);
}

TEST_CASE("shaper: packets larger than a block come out in one piece") {
  Shaper shaper{1};
  std::vector<uint32_t> sent;
  for (uint32_t i = 0; i < 40; ++i) {
    sent.push_back(i);
    const Bytes packet = numbered(i, i % 2 == 0 ? 60'000 : 9'000);
    CHECK(shaper.admit({1, 1, Way::out}, delayed(kMilli), packet, packet.size(), 0) == DropReason::none);
  }
  CHECK(numbersOf(takeAll(shaper, kMilli)) == sent);
}
