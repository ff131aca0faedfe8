#include "gateway/peer_cache.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

using namespace p2pxbone;
using namespace p2pxbone::gateway;

namespace {

Address addressOf(uint32_t number) {
  const uint8_t bytes[4] = {10, static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8),
                            static_cast<uint8_t>(number)};
  return mappedIpv4(bytes);
}

const Address kSomebody = addressOf(77);

}  // namespace

TEST_CASE("a learnt peer is found until it expires") {
  PeerCache cache(1, 64);
  cache.learn(addressOf(1), 6881, Application::bittorrent, 1000, 500);
  CHECK(cache.find(addressOf(1), 6881, kSomebody, 1000) == Application::bittorrent);
  CHECK(cache.find(addressOf(1), 6881, kSomebody, 1499) == Application::bittorrent);
  CHECK_FALSE(cache.find(addressOf(1), 6881, kSomebody, 1500));
  CHECK_FALSE(cache.find(addressOf(1), 6882, kSomebody, 1000));
  CHECK_FALSE(cache.find(addressOf(2), 6881, kSomebody, 1000));
}

TEST_CASE("learning anew prolongs and replaces; forgetting forgets") {
  PeerCache cache(1, 64);
  cache.learn(addressOf(1), 20, Application::bittorrent, 0, 10);
  cache.learn(addressOf(1), 20, Application::ftpData, 5, 10);
  CHECK(cache.find(addressOf(1), 20, kSomebody, 14) == Application::ftpData);
  cache.forget(addressOf(1), 20);
  CHECK_FALSE(cache.find(addressOf(1), 20, kSomebody, 6));
}

TEST_CASE("what is expected of two is not expected of others, and comes before what is expected of one") {
  PeerCache cache(1, 64);
  cache.learn(addressOf(1), 20, Application::ftpData, 0, 10, addressOf(2));
  CHECK(cache.find(addressOf(1), 20, addressOf(2), 0) == Application::ftpData);
  CHECK_FALSE(cache.find(addressOf(1), 20, addressOf(3), 0));
  cache.learn(addressOf(1), 20, Application::bittorrent, 0, 20);
  CHECK(cache.find(addressOf(1), 20, addressOf(2), 9) == Application::ftpData);
  CHECK(cache.find(addressOf(1), 20, addressOf(3), 9) == Application::bittorrent);
  CHECK(cache.find(addressOf(1), 20, addressOf(2), 10) == Application::bittorrent);
}

TEST_CASE("port 0 is nobody's") {
  PeerCache cache(1, 64);
  cache.learn(addressOf(1), 0, Application::bittorrent, 0);
  CHECK_FALSE(cache.find(addressOf(1), 0, kSomebody, 0));
  CHECK_FALSE(cache.find(Address{}, 0, kSomebody, 0));
}

TEST_CASE("the cache agrees with a map as long as nothing is evicted, and never invents") {
  std::mt19937 random{3};
  PeerCache cache(random(), 4096);
  std::map<std::pair<Address, uint16_t>, std::pair<Application, Millis>> slow;
  Millis now = 0;
  size_t wrong = 0;
  for (int i = 0; i < 20'000; ++i) {
    now += random() % 3;
    const Address address = addressOf(random() % 64);
    const auto port = static_cast<uint16_t>(1 + random() % 8);
    const auto application = static_cast<Application>(1 + random() % 5);
    switch (random() % 4) {
      case 0: {
        const Millis expiry = 1 + static_cast<Millis>(random() % 400);
        cache.learn(address, port, application, now, expiry);
        slow[{address, port}] = {application, now + expiry};
        break;
      }
      case 1:
        if (random() % 4 != 0) break;
        cache.forget(address, port);
        slow.erase({address, port});
        break;
      default: {
        const auto entry = slow.find({address, port});
        const bool alive = entry != slow.end() && entry->second.second > now;
        const auto found = cache.find(address, port, kSomebody, now);
        if (found) CHECK((alive && entry->second.first == *found));
        if (!found && alive) ++wrong;
      }
    }
  }
  // One eviction can be noticed many times, but without any nothing is missing.
  CHECK((wrong == 0 || cache.evicted() > 0));
  CHECK(wrong < 100);
}

TEST_CASE("the cache does not grow; what expires first makes room") {
  PeerCache cache(1, 16);
  const size_t bytes = cache.bytes();
  for (uint32_t i = 0; i < 10'000; ++i) cache.learn(addressOf(i), 1, Application::bittorrent, 0, 1000 + i);
  CHECK(cache.bytes() == bytes);
  CHECK(cache.evicted() == 10'000 - 16);
  CHECK(cache.find(addressOf(9999), 1, kSomebody, 0) == Application::bittorrent);
}
