#include "core/address_plan.h"

#include <algorithm>

#include "core/bytes.h"

namespace p2pxbone {
namespace {

// The upper `bits` of 64; 0..64.
uint64_t maskOf(int bits) { return bits == 0 ? 0 : ~uint64_t{0} << (64 - bits); }

}  // namespace

AddressPlan::AddressPlan(const std::vector<Prefix>& members, const std::vector<Prefix>& links) {
  add(links, SourceKind::link);
  add(members, SourceKind::member);
}

void AddressPlan::add(const std::vector<Prefix>& prefixes, SourceKind kind) {
  if (prefixes.size() > kPrefixesMax) valid_ = false;
  for (const Prefix& prefix : prefixes) {
    if (prefix.bits > 128 || (!prefix.v6 && prefix.bits < 96)) valid_ = false;
    if (!valid_) return;
    Entry entry{{}, {maskOf(std::min<int>(prefix.bits, 64)), maskOf(std::max(prefix.bits - 64, 0))}, prefix.v6, kind};
    for (size_t i = 0; i < 2; ++i) entry.network[i] = loadBe64(&prefix.address[i * 8]) & entry.mask[i];
    entries_.push_back(entry);
  }
}

SourceKind AddressPlan::kindOf(const Address& source, bool v6) const {
  const uint64_t high = loadBe64(source.data());
  const uint64_t low = loadBe64(&source[8]);
  for (const Entry& entry : entries_) {
    const bool inside = (high & entry.mask[0]) == entry.network[0] && (low & entry.mask[1]) == entry.network[1];
    if (inside && entry.v6 == v6) return entry.kind;
  }
  return SourceKind::foreign;
}

}  // namespace p2pxbone
