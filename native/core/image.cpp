#include "core/image.h"

#include <openssl/sha.h>

#include <algorithm>
#include <bit>

#include "core/bytes.h"

namespace p2pxbone {
namespace {

bool byAddress(const ExactRoute& left, const ExactRoute& right) { return left.address < right.address; }

}  // namespace

Address maskAddress(const Address& address, uint8_t bits) {
  Address masked{};
  const size_t whole = bits / 8;
  std::copy_n(address.begin(), whole, masked.begin());
  if (bits % 8 != 0) masked[whole] = static_cast<uint8_t>(address[whole] & (0xff00 >> (bits % 8)));
  return masked;
}

uint64_t hashAddress(const Address& address) {
  // Two rounds of a multiply and fold; the keys come from our own route compiler, not from strangers.
  uint64_t hash = loadBe64(address.data()) * 0x9e3779b97f4a7c15ULL;
  hash = (hash ^ (hash >> 32) ^ loadBe64(address.data() + 8)) * 0xd6e8feb86659fd93ULL;
  return hash ^ (hash >> 32);
}

uint64_t ringIdOfIpv4(const uint8_t* fourBytes, std::string_view viId) {
  // The id is short and fixed for a node's life; longer ones are refused when the node is opened.
  std::array<uint8_t, 4 + 256> input{};
  const size_t length = std::min(viId.size(), input.size() - 4);
  std::copy_n(fourBytes, 4, input.begin());
  std::copy_n(viId.begin(), length, input.begin() + 4);
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(input.data(), 4 + length, digest.data());
  return loadBe64(digest.data());
}

uint64_t ringIdOfIpv6(const Address& address) { return loadBe64(address.data() + 8); }

std::shared_ptr<const ForwardingImage> ForwardingImage::build(const ImageRoutes& routes, std::optional<Address>* twice) {
  std::shared_ptr<ForwardingImage> image{new ForwardingImage};
  image->generation_ = routes.generation;
  if (!image->addExact(routes.exact, twice) || !image->addPrefixes(routes.prefixes) || !image->addRanges(routes.ranges)) {
    return nullptr;
  }
  return image;
}

bool ForwardingImage::addExact(const std::vector<ExactRoute>& routes, std::optional<Address>* twice) {
  if (routes.size() > kRoutesMax) return false;
  exact_ = routes;
  if (exact_.empty()) return true;
  buckets_.assign(std::bit_ceil(exact_.size() * 2), 0);
  const size_t mask = buckets_.size() - 1;
  for (size_t i = 0; i < exact_.size(); ++i) {
    if (exact_[i].hop.kind == HopKind::ring) return false;
    if (findExact(exact_[i].address) != nullptr) {
      if (twice != nullptr) *twice = exact_[i].address;
      return false;
    }
    size_t bucket = hashAddress(exact_[i].address) & mask;
    while (buckets_[bucket] != 0) bucket = (bucket + 1) & mask;
    buckets_[bucket] = static_cast<uint32_t>(i + 1);
  }
  return true;
}

bool ForwardingImage::addPrefixes(const std::vector<PrefixRoute>& routes) {
  if (routes.size() > kRoutesMax) return false;
  for (const PrefixRoute& route : routes) {
    if (route.bits > 128 || (!route.v6 && route.bits < 96)) return false;
    auto& levels = levels_[route.v6 ? 1 : 0];
    auto level = std::find_if(levels.begin(), levels.end(), [&](const Level& it) { return it.bits == route.bits; });
    if (level == levels.end()) level = levels.insert(levels.end(), Level{route.bits, {}});
    level->routes.push_back({maskAddress(route.address, route.bits), route.hop});
  }
  for (auto& levels : levels_) {
    std::sort(levels.begin(), levels.end(), [](const Level& a, const Level& b) { return a.bits > b.bits; });
    for (Level& level : levels) {
      std::sort(level.routes.begin(), level.routes.end(), byAddress);
      const auto same = [](const ExactRoute& a, const ExactRoute& b) { return a.address == b.address; };
      if (std::adjacent_find(level.routes.begin(), level.routes.end(), same) != level.routes.end()) return false;
    }
  }
  return true;
}

bool ForwardingImage::addRanges(const std::vector<RingRange>& ranges) {
  if (ranges.size() > kRoutesMax) return false;
  for (const RingRange& range : ranges) {
    if (range.hop.kind == HopKind::ring) return false;
    if (!untils_.empty() && range.until <= untils_.back()) return false;
    untils_.push_back(range.until);
    rangeHops_.push_back(range.hop);
  }
  return true;
}

const ExactRoute* ForwardingImage::findExact(const Address& address) const {
  if (buckets_.empty()) return nullptr;
  const size_t mask = buckets_.size() - 1;
  for (size_t bucket = hashAddress(address) & mask; buckets_[bucket] != 0; bucket = (bucket + 1) & mask) {
    const ExactRoute& route = exact_[buckets_[bucket] - 1];
    if (route.address == address) return &route;
  }
  return nullptr;
}

Hop ForwardingImage::lookupExact(const Address& address) const {
  const ExactRoute* const route = findExact(address);
  return route == nullptr ? Hop{} : route->hop;
}

Hop ForwardingImage::lookupAddress(const Address& destination, bool v6) const {
  if (const ExactRoute* route = findExact(destination)) return route->hop;
  for (const Level& level : levels_[v6 ? 1 : 0]) {
    const ExactRoute wanted{maskAddress(destination, level.bits), {}};
    const auto found = std::lower_bound(level.routes.begin(), level.routes.end(), wanted, byAddress);
    if (found != level.routes.end() && found->address == wanted.address) return found->hop;
  }
  return {};
}

Hop ForwardingImage::lookupRing(uint64_t id) const {
  if (untils_.empty()) return {};
  const auto found = std::lower_bound(untils_.begin(), untils_.end(), id);
  const size_t index = found == untils_.end() ? 0 : static_cast<size_t>(found - untils_.begin());
  return rangeHops_[index];
}

}  // namespace p2pxbone
