#include "gateway/shaping/limit_tree.h"

#include <algorithm>

namespace p2pxbone::gateway {
namespace {

// 1/256 ns at the instance's own rate. Tags wrap around, which their comparison allows for.
uint64_t timeOf(uint64_t bytes, uint64_t rate) { return bytes * 8 * 1'000'000'000 * 256 / rate; }

}  // namespace

LimitTree::LimitTree() : nodes_(1) {}

uint32_t LimitTree::take(uint32_t parent) {
  uint32_t number = free_;
  if (number == kNone) {
    number = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    free_ = nodes_[number].parent;
    nodes_[number] = Node{};
  }
  nodes_[number].parent = parent;
  ++nodes_[parent].children;
  ++used_;
  return number;
}

void LimitTree::free(uint32_t node) {
  --nodes_[nodes_[node].parent].children;
  nodes_[node].parent = free_;
  free_ = node;
  --used_;
}

uint32_t LimitTree::addInstance(uint32_t parent, const Rates& rates, Nanos now) {
  const uint32_t number = take(parent);
  Node& node = nodes_[number];
  node.rate = rates.rate;
  node.burst = rates.burst;
  node.hasBucket = rates.ceiling != 0;
  if (node.hasBucket) node.bucket = RateBucket{rates.ceiling, rates.burst, now};
  node.tag = nodes_[parent].clock;
  return number;
}

void LimitTree::removeInstance(uint32_t instance) { free(instance); }

void LimitTree::setRates(uint32_t instance, const Rates& rates, Nanos now) {
  Node& node = nodes_[instance];
  refill(node, now);
  node.rate = rates.rate;
  node.burst = rates.burst;
  if (node.hasBucket) node.bucket.setRate(rates.ceiling);
  if (node.place == Place::blocked) {
    drop(instance);
    lift(instance, now);
  }
}

bool LimitTree::isIdle(uint32_t instance, Nanos now) {
  Node& node = nodes_[instance];
  return node.children == 0 && opens(node, now);
}

// While packets wait, a turn that comes late must cost nothing: the bucket may fill for one packet more than the burst.
void LimitTree::refill(Node& node, Nanos now) {
  if (node.hasBucket) node.bucket.refill(node.burst + node.largest, now);
}

bool LimitTree::opens(Node& node, Nanos now) {
  refill(node, now);
  return !node.hasBucket || node.bucket.open();
}

bool LimitTree::pass(uint32_t instance, uint32_t bytes, Nanos now) {
  now_ = std::max(now_, now);
  for (uint32_t number = instance; number != kRoot; number = nodes_[number].parent) {
    Node& node = nodes_[number];
    if (node.ready != kNone || !opens(node, now_)) return false;
  }
  charge(instance, bytes);
  return true;
}

void LimitTree::charge(uint32_t instance, uint32_t bytes) {
  for (uint32_t number = instance; number != kRoot; number = nodes_[number].parent) {
    Node& node = nodes_[number];
    Node& above = nodes_[node.parent];
    if (node.place == Place::out) join(number);
    above.clock = node.tag;
    node.tag += timeOf(bytes, node.rate);
    if (node.lines != 0) node.largest = std::max(node.largest, bytes);
    if (node.hasBucket) node.bucket.spend(bytes);
  }
}

// Whoever had nothing to send has saved nothing, and keeps what it was given beyond the others' share; which is never more
// than one packet, so that an old tag can be told from one that is ahead.
void LimitTree::join(uint32_t number) {
  Node& node = nodes_[number];
  const uint64_t clock = nodes_[node.parent].clock;
  const auto lead = static_cast<int64_t>(node.tag - clock);
  const auto most = static_cast<int64_t>(timeOf(kChargeMax, node.rate));
  node.tag = clock + static_cast<uint64_t>(std::clamp<int64_t>(lead, 0, most));
}

void LimitTree::countLines(uint32_t instance, int change) {
  for (uint32_t number = instance; number != kRoot; number = nodes_[number].parent) {
    Node& node = nodes_[number];
    node.lines += static_cast<uint32_t>(change);
    if (node.lines == 0) node.largest = 0;
  }
}

uint32_t LimitTree::addLine(uint32_t instance, uint32_t bytes, Nanos now) {
  now_ = std::max(now_, now);
  const uint32_t line = take(instance);
  // Before it begins to wait it can save no more than the burst.
  for (uint32_t number = instance; number != kRoot; number = nodes_[number].parent) refill(nodes_[number], now_);
  countLines(instance, 1);
  Node& node = nodes_[line];
  // As though the packet had been sent already: or a flow with one packet at a time would go before all others.
  node.tag = nodes_[instance].clock + bytes;
  node.place = Place::ready;
  heaps_.push(nodes_[instance].ready, line, node.tag);
  lift(instance, now_);
  return line;
}

void LimitTree::lift(uint32_t number, Nanos now) {
  while (number != kRoot) {
    Node& node = nodes_[number];
    if (node.place != Place::out || node.ready == kNone) return;
    if (!opens(node, now)) {
      node.place = Place::blocked;
      heaps_.push(blocked_, number, static_cast<uint64_t>(node.bucket.opensAt()));
      return;
    }
    join(number);
    node.place = Place::ready;
    heaps_.push(nodes_[node.parent].ready, number, node.tag);
    number = node.parent;
  }
}

void LimitTree::drop(uint32_t number) {
  while (number != kRoot) {
    Node& node = nodes_[number];
    const Place was = std::exchange(node.place, Place::out);
    if (was == Place::blocked) heaps_.erase(blocked_, number);
    if (was != Place::ready) return;
    Node& above = nodes_[node.parent];
    heaps_.erase(above.ready, number);
    if (above.ready != kNone) return;
    number = node.parent;
  }
}

void LimitTree::removeLine(uint32_t line) {
  const uint32_t instance = nodes_[line].parent;
  drop(line);
  countLines(instance, -1);
  free(line);
}

uint32_t LimitTree::next(Nanos now) {
  now_ = std::max(now_, now);
  while (blocked_ != kNone && static_cast<Nanos>(heaps_.keyOf(blocked_)) <= now_) {
    const uint32_t number = blocked_;
    heaps_.erase(blocked_, number);
    nodes_[number].place = Place::out;
    lift(number, now_);
  }
  uint32_t number = nodes_[kRoot].ready;
  while (number != kNone && nodes_[number].ready != kNone) number = nodes_[number].ready;
  return number;
}

void LimitTree::sent(uint32_t line, uint32_t bytes, bool more, Nanos now) {
  now_ = std::max(now_, now);
  const uint32_t instance = nodes_[line].parent;
  for (uint32_t number = instance; number != kRoot; number = nodes_[number].parent) refill(nodes_[number], now_);
  charge(instance, bytes);
  nodes_[instance].clock = nodes_[line].tag;
  nodes_[line].tag += bytes;
  if (more) {
    heaps_.erase(nodes_[instance].ready, line);
    heaps_.push(nodes_[instance].ready, line, nodes_[line].tag);
  } else {
    heaps_.erase(nodes_[instance].ready, line);
    countLines(instance, -1);
    free(line);
  }
  // From the bottom up, as whether one has something to send depends on those below it.
  for (uint32_t number = instance; number != kRoot;) {
    Node& node = nodes_[number];
    const uint32_t parent = node.parent;
    heaps_.erase(nodes_[parent].ready, number);
    node.place = Place::out;
    if (node.ready != kNone && node.hasBucket && !node.bucket.open()) {
      node.place = Place::blocked;
      heaps_.push(blocked_, number, static_cast<uint64_t>(node.bucket.opensAt()));
    } else if (node.ready != kNone) {
      node.place = Place::ready;
      heaps_.push(nodes_[parent].ready, number, node.tag);
    }
    number = parent;
  }
}

std::optional<Nanos> LimitTree::nextDue() const {
  if (nodes_[kRoot].ready != kNone) return now_;
  if (blocked_ == kNone) return std::nullopt;
  return static_cast<Nanos>(heaps_.keyOf(blocked_));
}

size_t LimitTree::memoryBytes() const { return nodes_.capacity() * (sizeof(Node) + TurnHeaps::kItemBytes); }

}  // namespace p2pxbone::gateway
