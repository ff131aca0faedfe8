#include <doctest/doctest.h>

#include <thread>
#include <utility>

#include "core/epoch.h"
#include "core/packet_ring.h"
#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

TEST_CASE("packet ring: order and contents survive any sizes, and a full ring refuses") {
  PacketRing ring;
  CHECK(ring.front().empty());
  size_t pushed = 0;
  while (ring.push(Bytes(1500, static_cast<uint8_t>(pushed)))) ++pushed;
  CHECK(pushed > 1000);
  CHECK(pushed * 1500 <= PacketRing::kBytes);
  for (size_t i = 0; i < pushed; ++i) {
    REQUIRE(ring.front().size() == 1500);
    REQUIRE(ring.front()[0] == static_cast<uint8_t>(i));
    ring.pop();
  }
  CHECK(ring.front().empty());
}

TEST_CASE("packet ring: a producer and a sleeping consumer in two threads") {
  PacketRing ring;
  constexpr uint32_t kPackets = 200'000;
  uint32_t received = 0;
  bool inOrder = true;
  std::thread consumer{[&] {
    while (ring.wait()) {
      const auto packet = ring.front();
      const uint32_t number = (uint32_t{packet[0]} << 16) | (uint32_t{packet[1]} << 8) | packet[2];
      if (number != received || packet.size() != 20 + number % 3000) inOrder = false;
      ++received;
      ring.pop();
      if (received == kPackets) return;
    }
  }};
  for (uint32_t i = 0; i < kPackets; ++i) {
    Bytes packet(20 + i % 3000, 0);
    packet[0] = static_cast<uint8_t>(i >> 16);
    packet[1] = static_cast<uint8_t>(i >> 8);
    packet[2] = static_cast<uint8_t>(i);
    while (!ring.push(packet)) {
      ring.wake();
      std::this_thread::yield();
    }
    if (i % 7 == 0) ring.wake();
  }
  ring.wake();
  consumer.join();
  CHECK(received == kPackets);
  CHECK(inOrder);
}

TEST_CASE("packet ring: closing wakes the consumer") {
  PacketRing ring;
  std::thread consumer{[&] { CHECK(!ring.wait()); }};
  ring.close();
  consumer.join();
}

TEST_CASE("epochs: what is retired lives as long as a worker may hold it, and no longer") {
  EpochDomain domain;
  EpochDomain::Worker& worker = domain.addWorker();
  auto object = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = object;
  worker.enter();
  domain.retire(std::move(object));
  CHECK(!seen.expired());
  worker.leave();
  domain.reclaim();
  CHECK(seen.expired());
  // A worker that came later holds nothing old.
  auto second = std::make_shared<int>(2);
  const std::weak_ptr<int> secondSeen = second;
  domain.retire(std::move(second));
  CHECK(secondSeen.expired());
}

TEST_CASE("epochs: readers under constant replacement never see freed memory") {
  struct Pair {
    uint64_t a = 0;
    uint64_t b = 0;
    ~Pair() { a = b + 1; }
  };
  EpochDomain domain;
  std::atomic<const Pair*> slot{nullptr};
  auto current = std::make_shared<const Pair>();
  slot.store(current.get());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> torn{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    EpochDomain::Worker& worker = domain.addWorker();
    threads.emplace_back([&] {
      while (!stop.load()) {
        const EpochBatch batch{worker};
        const Pair* pair = slot.load();
        for (int reads = 0; reads < 20; ++reads) {
          if (pair->a != pair->b) torn.fetch_add(1);
        }
      }
    });
  }
  for (uint64_t i = 1; i <= 20'000; ++i) {
    auto next = std::make_shared<const Pair>(Pair{i, i});
    slot.store(next.get());
    domain.retire(std::exchange(current, std::move(next)));
    if (i % 100 == 0) domain.synchronize();
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  CHECK(torn.load() == 0);
}
