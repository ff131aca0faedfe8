#include "gateway/connection_cache.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <tuple>

#include "gateway/test/gateway_packets.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

constexpr HashSeed kSeed{11, 22};

DeniedConnection connectionOf(uint8_t host, uint16_t port, uint8_t protocol = kProtocolTcp) {
  return {v4(10, 0, 0, host), v4(10, 9, 9, 9), port, protocol};
}

}  // namespace

TEST_CASE("a denied connection is known until its time is over, by address, port and protocol") {
  ConnectionCache cache(64, kSeed);
  cache.deny(connectionOf(1, 80), 7, 1000, 2000);
  CHECK(cache.find(connectionOf(1, 80), 1999) == 7);
  CHECK(!cache.find(connectionOf(1, 81), 1999));
  CHECK(!cache.find(connectionOf(2, 80), 1999));
  CHECK(!cache.find(connectionOf(1, 80, kProtocolUdp), 1999));
  CHECK(!cache.find(connectionOf(1, 80), 2000));
  CHECK(cache.counters().hits.get() == 1);
  CHECK(cache.counters().denied.get() == 1);
}

TEST_CASE("denying again lengthens the time and never shortens it") {
  ConnectionCache cache(64, kSeed);
  cache.deny(connectionOf(1, 80), 7, 0, 500);
  cache.deny(connectionOf(1, 80), 8, 0, 400);
  CHECK(cache.find(connectionOf(1, 80), 499) == 8);
  cache.deny(connectionOf(1, 80), 8, 0, 900);
  CHECK(cache.find(connectionOf(1, 80), 899) == 8);
  CHECK(cache.counters().extended.get() == 2);
  cache.forget(connectionOf(1, 80));
  CHECK(!cache.find(connectionOf(1, 80), 100));
}

TEST_CASE("a cache that is full gives up what would be forgotten soonest and stays as large as it is") {
  ConnectionCache cache(8, kSeed);  // one set
  for (uint16_t port = 1; port <= 8; ++port) cache.deny(connectionOf(1, port), port, 0, 1000 + port);
  const size_t bytes = cache.memoryBytes();
  cache.deny(connectionOf(1, 9), 9, 0, 5000);
  CHECK(!cache.find(connectionOf(1, 1), 10));
  for (uint16_t port = 2; port <= 9; ++port) CHECK(cache.find(connectionOf(1, port), 10) == port);
  CHECK(cache.counters().evicted.get() == 1);
  CHECK(cache.memoryBytes() == bytes);
}

TEST_CASE("the cache agrees with a plain map as long as it has room") {
  std::mt19937 random(5);
  ConnectionCache cache(65536, kSeed);
  std::map<std::tuple<uint8_t, uint16_t>, Millis> twin;
  Millis now = 0;
  for (int step = 0; step < 20000; ++step) {
    now += random() % 3;
    const auto host = static_cast<uint8_t>(random() % 200);
    const auto port = static_cast<uint16_t>(random() % 20 + 1);
    Millis& until = twin[{host, port}];
    if (random() % 4 == 0) {
      const Millis wanted = now + 1 + static_cast<Millis>(random() % 3000);
      cache.deny(connectionOf(host, port), 1, now, wanted);
      until = until > now ? std::max(until, wanted) : wanted;
    }
    REQUIRE(cache.find(connectionOf(host, port), now).has_value() == (until > now));
  }
  CHECK(cache.counters().evicted.get() == 0);
}

TEST_CASE("another seed spreads connections otherwise") {
  // 64 sets: connections that share one with the first seed are spread over many with the second.
  const auto setMates = [](const HashSeed& seed, const std::vector<uint16_t>& ports) {
    ConnectionCache cache(512, seed);
    for (const uint16_t port : ports) cache.deny(connectionOf(1, port), 1, 0, 1000);
    return cache.counters().evicted.get();
  };
  std::vector<uint16_t> colliding;
  for (uint16_t port = 1; port < 20000 && colliding.size() < 24; ++port) {
    std::vector<uint16_t> tried = colliding;
    tried.push_back(port);
    // With the eight of one set in place, the next one there evicts.
    if (colliding.size() < 8) {
      KeyedHash hash(kSeed);
      const DeniedConnection c = connectionOf(1, port);
      hash.add(c.source).add(c.destination).add(uint64_t{c.destinationPort} << 8 | c.protocol);
      if ((hash.finish() & 63) == 0) colliding = tried;
    } else if (setMates(kSeed, tried) > setMates(kSeed, colliding)) {
      colliding = tried;
    }
  }
  REQUIRE(colliding.size() == 24);
  CHECK(setMates(kSeed, colliding) == 16);
  CHECK(setMates({33, 44}, colliding) == 0);
}
