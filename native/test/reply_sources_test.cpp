#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "os/reply_sources.h"
#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

Endpoint peerOf(uint32_t number) {
  Endpoint peer;
  peer.ip = v4(10, static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number));
  peer.port = 4000;
  return peer;
}

}  // namespace

TEST_CASE("reply sources: the last address at which a peer was heard, until it has long been silent") {
  ReplySources sources{1};
  Endpoint otherPort = peerOf(1);
  otherPort.port = 4001;
  CHECK(!sources.find(peerOf(1), 1000));
  sources.heard(peerOf(1), v4(192, 0, 2, 1), 1000);
  sources.heard(otherPort, v6(7), 1000);
  CHECK(sources.find(peerOf(1), 1000) == v4(192, 0, 2, 1));
  CHECK(sources.find(otherPort, 1000) == v6(7));
  sources.heard(peerOf(1), v4(192, 0, 2, 2), 1001);
  CHECK(sources.find(peerOf(1), 1001) == v4(192, 0, 2, 2));
  CHECK(!sources.find(peerOf(1), 1001 + ReplySources::kSilenceMax));
  // Heard regularly at the same address, it stays.
  for (Millis now = 2000; now < 2 * ReplySources::kSilenceMax; now += 1000) {
    sources.heard(peerOf(1), v4(192, 0, 2, 2), now);
    REQUIRE(sources.find(peerOf(1), now) == v4(192, 0, 2, 2));
  }
}

TEST_CASE("reply sources: an address that is gone is forgotten, a newer one is not") {
  ReplySources sources{1};
  sources.heard(peerOf(1), v4(192, 0, 2, 1), 1000);
  sources.forget(peerOf(2), v4(192, 0, 2, 1));
  sources.forget(peerOf(1), v4(192, 0, 2, 9));
  CHECK(sources.find(peerOf(1), 1000) == v4(192, 0, 2, 1));
  sources.forget(peerOf(1), v4(192, 0, 2, 1));
  CHECK(!sources.find(peerOf(1), 1000));
  sources.heard(peerOf(1), v4(192, 0, 2, 2), 1000);
  CHECK(sources.find(peerOf(1), 1000) == v4(192, 0, 2, 2));
}

TEST_CASE("reply sources: the table is bounded, and the most recent peers are in it") {
  ReplySources sources{1};
  constexpr uint32_t kMany = ReplySources::kPeersMax * 4;
  for (uint32_t i = 0; i < kMany; ++i) sources.heard(peerOf(i), v4(192, 0, 2, 1), 1000 + i);
  const auto known = [&](uint32_t begin, uint32_t end) {
    uint32_t count = 0;
    for (uint32_t i = begin; i < end; ++i) count += sources.find(peerOf(i), 1000 + kMany) ? 1 : 0;
    return count;
  };
  CHECK(known(0, kMany) <= ReplySources::kPeersMax);
  CHECK(known(kMany - 1000, kMany) > 950);
  CHECK(sources.find(peerOf(kMany - 1), 1000 + kMany));
}

TEST_CASE("reply sources: endpoints that meet under one key are scattered under another") {
  constexpr uint64_t kPlaces = 2048;
  const auto placeOf = [](uint32_t number, uint64_t key) { return keyedHash(peerOf(number), key) % kPlaces; };
  std::vector<uint32_t> together;
  for (uint32_t i = 1; i < 200'000; ++i) {
    if (placeOf(i, 1) == placeOf(0, 1)) together.push_back(i);
  }
  CHECK(together.size() > 50);
  CHECK(together.size() < 150);
  size_t still = 0;
  for (const uint32_t i : together) still += placeOf(i, 2) == placeOf(0, 2) ? 1 : 0;
  CHECK(still <= 3);
}

TEST_CASE("reply sources: readers in other threads see whole notes") {
  ReplySources sources{1};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> torn{0};
  std::atomic<uint64_t> found{0};
  std::vector<std::thread> threads;
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&, reader] {
      while (!stop.load()) {
        const auto local = sources.find(peerOf(1), 1000);
        if (!local) continue;
        found.fetch_add(1);
        for (const uint8_t byte : *local) {
          if (byte != (*local)[0]) torn.fetch_add(1);
        }
        if (reader == 1 && (*local)[0] % 16 == 0) sources.forget(peerOf(1), *local);
      }
    });
  }
  uint32_t round = 0;
  for (; round < 50'000 || (found.load() < 1000 && round < 50'000'000); ++round) {
    HostAddress local;
    local.fill(static_cast<uint8_t>(round));
    sources.heard(peerOf(1), local, 1000);
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  CHECK(torn.load() == 0);
  CHECK(found.load() > 0);
}
