#include "gateway/shaping/limit_instances.h"

#include <algorithm>
#include <cstring>

namespace p2pxbone::gateway {
namespace {

// Instances looked at to find one that may be forgotten.
constexpr int kLooksMax = 8;

bool covers(const LimitClass& limit, Side side) {
  if (limit.per == LimitPer::address) return true;
  if (limit.way == LimitWay::up) return side == Side::initiator;
  return limit.way != LimitWay::down || side == Side::responder;
}

bool sameStructure(const LimitClass& a, const LimitClass& b) {
  return a.name == b.name && a.parent == b.parent && a.per == b.per && a.way == b.way;
}

}  // namespace

std::vector<LimitInstances::Row> LimitInstances::rowsOf(const ShapingSettings& settings) {
  std::vector<Row> rows;
  const std::vector<LimitClass>& classes = settings.classes;
  std::vector<uint64_t> least(classes.size() + 1, 0);  // rate of those below, by number
  for (const LimitClass& limit : classes) {
    uint64_t& rate = least[limit.parent];
    if (rate == 0 || limit.rate < rate) rate = limit.rate;
  }
  for (size_t i = 0; i < classes.size(); ++i) {
    const auto parent = static_cast<uint16_t>(classes[i].parent == 0 ? kNoRow : classes[i].parent - 1);
    rows.push_back({classes[i], parent, static_cast<uint16_t>(i), static_cast<uint16_t>(i + 1)});
  }
  for (size_t i = 0; i < classes.size(); ++i) {
    if (least[i + 1] == 0) continue;
    rows[i].direct = static_cast<uint16_t>(rows.size());
    Row own{classes[i], static_cast<uint16_t>(i), rows[i].direct, rows[i].number};
    own.limit.rate = std::min(least[i + 1], own.limit.rate);
    rows.push_back(own);
  }
  return rows;
}

// A row behind those of the classes has its parent's ceiling, and none of its own.
LimitTree::Rates LimitInstances::ratesOf(const Row& row) const {
  const bool own = &rows_[row.number - 1U] != &row;
  return {row.limit.rate, own ? 0 : ceilingOf(row.limit), burstOf(row.limit)};
}

bool LimitInstances::fits(const ShapingSettings& settings) const {
  const std::vector<Row> rows = rowsOf(settings);
  return std::equal(rows.begin(), rows.end(), rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
    return sameStructure(a.limit, b.limit) && a.number == b.number;
  });
}

void LimitInstances::configure(const ShapingSettings& settings, Nanos now) {
  if (!fits(settings)) {
    // Those below first: they are never newer than what is above them.
    while (oldest_ != kNone) remove(oldest_);
  }
  rows_ = rowsOf(settings);
  for (const auto& [key, instance] : map_) tree_.setRates(instance, ratesOf(rows_[key.row]), now);
}

uint16_t LimitInstances::limitOf(uint32_t instance) const { return rows_[instances_[instance].key.row].number; }

LimitInstances::Key LimitInstances::keyOf(uint16_t row, const Flow& flow, Side side) const {
  const LimitClass& limit = rows_[row].limit;
  Key key{.row = row};
  // The other ways see one side only, or make no difference.
  if (limit.way == LimitWay::both) key.side = static_cast<uint8_t>(indexOf(side));
  switch (limit.per) {
    case LimitPer::none: break;
    case LimitPer::flow: std::memcpy(key.address.data(), &flow.ref.id, sizeof flow.ref.id); break;
    case LimitPer::source: key.address = flow.address(Side::initiator); break;
    case LimitPer::destination: key.address = flow.address(Side::responder); break;
    case LimitPer::address: key.address = flow.address(limit.way == LimitWay::up ? side : other(side)); break;
  }
  return key;
}

uint32_t LimitInstances::find(const Flow& flow, Side side, uint16_t limit, Nanos now) {
  auto row = static_cast<uint16_t>(limit - 1);
  while (!covers(rows_[row].limit, side)) {
    row = rows_[row].parent;
    if (row == kNoRow) return kNone;
  }
  return get(keyOf(rows_[row].direct, flow, side), flow, side, now);
}

uint32_t LimitInstances::get(const Key& key, const Flow& flow, Side side, Nanos now) {
  const Row& row = rows_[key.row];
  if (const auto found = map_.find(key); found != map_.end()) {
    // From below, so that what is above is newer.
    for (uint32_t number = found->second; number != LimitTree::kRoot; number = instances_[number].parent) {
      delist(number);
      enlist(number, now);
    }
    return found->second;
  }
  const bool bounded = row.limit.per == LimitPer::none || key.shared;
  if (!bounded && counted_ >= instancesMax_ && !makeRoom(now, 0)) {
    shared_.add();
    return get({.row = key.row, .side = key.side, .shared = true}, flow, side, now);
  }
  uint32_t parent = LimitTree::kRoot;
  if (row.parent != kNoRow) {
    Key above = keyOf(row.parent, flow, side);
    // One for all kinds of flows must not belong to the instance of one of them.
    if (key.shared && rows_[row.parent].limit.per != LimitPer::none) {
      above = {.row = row.parent, .side = above.side, .shared = true};
    }
    parent = get(above, flow, side, now);
  }
  const uint32_t instance = tree_.addInstance(parent, ratesOf(row), now);
  if (instance >= instances_.size()) instances_.resize(size_t{instance} + 1);
  instances_[instance] = {.key = key, .parent = parent};
  map_.emplace(key, instance);
  if (!bounded) ++counted_;
  enlist(instance, now);
  for (uint32_t number = parent; number != LimitTree::kRoot; number = instances_[number].parent) {
    delist(number);
    enlist(number, now);
  }
  return instance;
}

bool LimitInstances::makeRoom(Nanos now, Nanos idle) {
  uint32_t number = oldest_;
  for (int look = 0; look < kLooksMax && number != kNone; ++look) {
    const uint32_t newer = instances_[number].newer;
    if (now - instances_[number].used < idle) return false;
    if (tree_.isIdle(number, now)) {
      const Key& key = instances_[number].key;
      const bool counted = rows_[key.row].limit.per != LimitPer::none && !key.shared;
      remove(number);
      if (counted) return true;
    }
    number = newer;
  }
  return false;
}

void LimitInstances::expire(Nanos now) {
  for (int look = 0; look < kLooksMax && makeRoom(now, kIdle); ++look) {
  }
}

void LimitInstances::remove(uint32_t instance) {
  const Key& key = instances_[instance].key;
  if (rows_[key.row].limit.per != LimitPer::none && !key.shared) --counted_;
  delist(instance);
  map_.erase(key);
  tree_.removeInstance(instance);
}

void LimitInstances::enlist(uint32_t number, Nanos now) {
  Instance& instance = instances_[number];
  instance.used = now;
  instance.older = newest_;
  instance.newer = kNone;
  (newest_ == kNone ? oldest_ : instances_[newest_].newer) = number;
  newest_ = number;
}

void LimitInstances::delist(uint32_t number) {
  const Instance& instance = instances_[number];
  (instance.older == kNone ? oldest_ : instances_[instance.older].newer) = instance.newer;
  (instance.newer == kNone ? newest_ : instances_[instance.newer].older) = instance.older;
}

size_t LimitInstances::memoryBytes() const {
  return instances_.capacity() * sizeof(Instance) + map_.size() * (sizeof(Key) + 4 * sizeof(void*));
}

}  // namespace p2pxbone::gateway
