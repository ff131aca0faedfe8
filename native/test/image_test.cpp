#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "core/image.h"
#include "core/ring_id_cache.h"
#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

// The obvious way, one route after the other.
Hop slowRing(const std::vector<RingRange>& ranges, uint64_t id) {
  for (size_t i = 0; i < ranges.size(); ++i) {
    const uint64_t after = ranges[(i + ranges.size() - 1) % ranges.size()].until;
    const uint64_t until = ranges[i].until;
    const bool inside = after < until ? (id > after && id <= until) : (id > after || id <= until);
    if (inside) return ranges[i].hop;
  }
  return {};
}

bool slowMatches(const Address& address, const PrefixRoute& route) {
  for (size_t bit = 0; bit < route.bits; ++bit) {
    const auto at = [&](const Address& of) { return (of[bit / 8] >> (7 - bit % 8)) & 1; };
    if (at(address) != at(route.address)) return false;
  }
  return true;
}

Hop slowAddress(const ImageRoutes& routes, const Address& address, bool v6) {
  for (const ExactRoute& route : routes.exact) {
    if (route.address == address) return route.hop;
  }
  const PrefixRoute* best = nullptr;
  for (const PrefixRoute& route : routes.prefixes) {
    if (route.v6 == v6 && slowMatches(address, route) && (best == nullptr || route.bits > best->bits)) best = &route;
  }
  return best == nullptr ? Hop{} : best->hop;
}

Hop hopOf(uint64_t number) { return {HopKind::tunnel, number}; }

// Addresses that meet often: few distinct bytes.
Address randomAddress(std::mt19937_64& random, bool v6) {
  Address address = v6 ? Address{0xfd} : v4(10, 0, 0, 0);
  for (size_t i = v6 ? 6 : 13; i < 16; ++i) address[i] = static_cast<uint8_t>(random() % 3 * 0x55);
  return address;
}

}  // namespace

TEST_CASE("ring lookup agrees with the linear twin on random rings") {
  std::mt19937_64 random{11};
  for (int round = 0; round < 300; ++round) {
    std::vector<RingRange> ranges;
    const size_t count = random() % 40;
    // Small circles make neighbours and both ends of the circle likely.
    const uint64_t mask = round % 2 == 0 ? 0x3f : ~uint64_t{0};
    for (size_t i = 0; i < count; ++i) ranges.push_back({random() & mask, hopOf(i + 1)});
    if (round % 5 == 0) ranges.push_back({~uint64_t{0}, hopOf(1000)});
    if (round % 7 == 0) ranges.push_back({0, hopOf(1001)});
    std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.until < b.until; });
    const auto same = [](const auto& a, const auto& b) { return a.until == b.until; };
    ranges.erase(std::unique(ranges.begin(), ranges.end(), same), ranges.end());
    const auto image = ForwardingImage::build({1, {}, {}, ranges});
    REQUIRE(image != nullptr);
    for (int probe = 0; probe < 50; ++probe) {
      const uint64_t id = random() & mask;
      CHECK(image->lookupRing(id) == slowRing(ranges, id));
    }
    for (const RingRange& range : ranges) {
      for (const uint64_t id : {range.until - 1, range.until, range.until + 1}) {
        CHECK(image->lookupRing(id) == slowRing(ranges, id));
      }
    }
  }
}

TEST_CASE("an empty ring knows nobody, a ring of one is everybody") {
  const auto empty = ForwardingImage::build({});
  CHECK(empty->lookupRing(5).kind == HopKind::missing);
  const auto one = ForwardingImage::build({1, {}, {}, {{100, hopOf(7)}}});
  for (const uint64_t id : {uint64_t{0}, uint64_t{100}, uint64_t{101}, ~uint64_t{0}}) CHECK(one->lookupRing(id) == hopOf(7));
}

TEST_CASE("address lookup agrees with the linear twin on random tables") {
  std::mt19937_64 random{12};
  for (int round = 0; round < 200; ++round) {
    ImageRoutes routes;
    for (size_t i = random() % 20; i > 0; --i) {
      const Address address = randomAddress(random, random() % 2 == 0);
      const bool known = std::any_of(routes.exact.begin(), routes.exact.end(),
                                     [&](const ExactRoute& route) { return route.address == address; });
      if (!known) routes.exact.push_back({address, hopOf(i)});
    }
    for (size_t i = random() % 20; i > 0; --i) {
      const bool isV6 = random() % 2 == 0;
      const auto bits = static_cast<uint8_t>(isV6 ? random() % 129 : 96 + random() % 33);
      const PrefixRoute route{randomAddress(random, isV6), bits, isV6, hopOf(100 + i)};
      const bool known = std::any_of(routes.prefixes.begin(), routes.prefixes.end(), [&](const PrefixRoute& other) {
        return other.v6 == isV6 && other.bits == bits && slowMatches(route.address, other);
      });
      if (!known) routes.prefixes.push_back(route);
    }
    const auto image = ForwardingImage::build(routes);
    REQUIRE(image != nullptr);
    for (int probe = 0; probe < 100; ++probe) {
      const bool isV6 = random() % 2 == 0;
      const Address address = randomAddress(random, isV6);
      CHECK(image->lookupAddress(address, isV6) == slowAddress(routes, address, isV6));
    }
  }
}

TEST_CASE("an IPv6 default route is not IPv4's") {
  const auto image = ForwardingImage::build({1, {}, {{Address{}, 0, true, hopOf(1)}}, {}});
  CHECK(image->lookupAddress(v6(3), true) == hopOf(1));
  CHECK(image->lookupAddress(v4(10, 0, 0, 1), false).kind == HopKind::missing);
}

TEST_CASE("tables that contradict themselves are refused") {
  const Address address = v4(10, 0, 0, 1);
  CHECK(ForwardingImage::build({1, {{address, hopOf(1)}, {address, hopOf(2)}}, {}, {}}) == nullptr);
  std::optional<Address> twice;
  const ImageRoutes repeated{1, {{v6(1), hopOf(1)}, {address, hopOf(1)}, {address, hopOf(1)}}, {}, {}};
  CHECK(ForwardingImage::build(repeated, &twice) == nullptr);
  CHECK(twice == address);
  CHECK(ForwardingImage::build({1, {{address, {HopKind::ring, 0}}}, {}, {}}) == nullptr);
  // The same prefix, written with different host bits.
  CHECK(ForwardingImage::build({1, {}, {{address, 120, false, hopOf(1)}, {v4(10, 0, 0, 9), 120, false, hopOf(2)}}, {}}) ==
        nullptr);
  CHECK(ForwardingImage::build({1, {}, {{address, 95, false, hopOf(1)}}, {}}) == nullptr);
  CHECK(ForwardingImage::build({1, {}, {{address, 129, true, hopOf(1)}}, {}}) == nullptr);
  CHECK(ForwardingImage::build({1, {}, {}, {{5, hopOf(1)}, {5, hopOf(2)}}}) == nullptr);
  CHECK(ForwardingImage::build({1, {}, {}, {{6, hopOf(1)}, {5, hopOf(2)}}}) == nullptr);
  CHECK(ForwardingImage::build({1, {}, {}, {{5, {HopKind::ring, 0}}}}) == nullptr);
}

TEST_CASE("an IPv4 address's place on the circle") {
  const std::array<uint8_t, 4> address{10, 77, 0, 1};
  // printf '\x0a\x4d\x00\x01lab' | sha256sum
  CHECK(ringIdOfIpv4(address.data(), "lab") == 0xe002240b52287d70ULL);
  CHECK(ringIdOfIpv4(address.data(), "lab2") != ringIdOfIpv4(address.data(), "lab"));
  CHECK(ringIdOfIpv6(v6(0x0123456789abcdefULL)) == 0x0123456789abcdefULL);
}

TEST_CASE("the ring id cache gives what hashing gives, for every node") {
  std::mt19937 random{13};
  RingIdCache cache;
  for (int i = 0; i < 20'000; ++i) {
    const std::array<uint8_t, 4> address{10, 0, static_cast<uint8_t>(random() % 8), static_cast<uint8_t>(random())};
    const uint32_t node = 1 + static_cast<uint32_t>(random() % 2);
    const std::string vi = node == 1 ? "one" : "two";
    REQUIRE(cache.idOf(node, address.data(), vi) == ringIdOfIpv4(address.data(), vi));
  }
}
