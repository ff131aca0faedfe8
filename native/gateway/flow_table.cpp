#include "gateway/flow_table.h"

#include <algorithm>

#include "gateway/stream.h"

namespace p2pxbone::gateway {
namespace {

// Flows of one list that are looked at for one to evict; more would make a full table slow.
constexpr int kEvictionLooksMax = 16;

}  // namespace

FlowTable::FlowTable(const Limits& limits, const HashSeed& seed, Ended ended)
    : limits_(limits),
      hash_(seed),
      ended_(std::move(ended)),
      halfOpen_(limits),
      buckets_(std::bit_ceil(std::max(1U, limits.flows)), kNone) {}

FlowTable::~FlowTable() = default;

uint32_t FlowTable::find(const FlowKey& key, uint64_t hash) {
  uint32_t index = buckets_[hash & (buckets_.size() - 1)];
  while (index != kNone && !(flowAt(index).key == key)) index = nodes_[index].nextInBucket;
  return index;
}

Flow* FlowTable::find(const FlowKey& key) {
  const uint32_t index = find(key, hashOf(hash_, key));
  return index == kNone ? nullptr : &flowAt(index);
}

Flow* FlowTable::find(const FlowRef& ref) {
  if (ref.index >= allocated_) return nullptr;
  Flow& flow = flowAt(ref.index);
  return flow.ref == ref ? &flow : nullptr;
}

FlowTable::Found FlowTable::admit(const Packet& packet, Millis now, bool mayPickUp) {
  const DirectedKey directed = keyOf(packet);
  const uint64_t hash = hashOf(hash_, directed.key);
  const uint32_t index = find(directed.key, hash);
  if (index != kNone) {
    Flow& flow = flowAt(index);
    return {Outcome::known, &flow, flow.sideOf(directed.senderIsB)};
  }
  if (!packet.isTcp()) {
    Flow* flow = create(directed, hash, directed.senderIsB, now);
    return {flow == nullptr ? Outcome::full : Outcome::created, flow, Side::initiator};
  }
  HalfOpenFlows::Promotion promotion;
  switch (halfOpen_.look(packet, directed, hash, now, promotion)) {
    case HalfOpenFlows::Outcome::handshake: return {Outcome::handshake};
    case HalfOpenFlows::Outcome::forged: return {Outcome::forged};
    case HalfOpenFlows::Outcome::promoted: return createFromHandshake(directed, hash, promotion, now);
    case HalfOpenFlows::Outcome::unknown: break;
  }
  const bool begins = packet.tcp.has(kTcpSyn);  // with data, or it would be half-open
  if (!begins && (packet.payloadBytes == 0 || packet.tcp.has(kTcpRst))) {
    counters_.strays.add();
    return {Outcome::stray};
  }
  if (!begins && !mayPickUp) return {Outcome::midFlow};
  // Of a SYN with data its sender is the first speaker; of a flow in the middle, whoever is heard first.
  Flow* flow = create(directed, hash, directed.senderIsB, now);
  if (flow == nullptr) return {Outcome::full};
  if (!begins) {
    flow->pickedUp = true;
    counters_.pickedUp.add();
  }
  return {Outcome::created, flow, Side::initiator};
}

void FlowTable::expect(const Packet& packet, Millis now) {
  const DirectedKey directed = keyOf(packet);
  halfOpen_.expect(packet, directed, hashOf(hash_, directed.key), now);
}

FlowTable::Found FlowTable::createFromHandshake(const DirectedKey& directed, uint64_t hash,
                                                const HalfOpenFlows::Promotion& promotion, Millis now) {
  Flow* flow = create(directed, hash, promotion.initiatorIsB, now);
  if (flow == nullptr) return {Outcome::full};
  flow->tcp = trackOf(promotion.handshake);
  for (size_t side = 0; side < 2; ++side) {
    if (promotion.packets[side] == 0) continue;
    flow->directions[side] = {promotion.packets[side], promotion.bytes[side], promotion.seen, promotion.seen};
  }
  update(*flow, now);
  return {Outcome::created, flow, flow->sideOf(directed.senderIsB)};
}

uint32_t FlowTable::takeIndex() {
  if (size_ >= limits_.flows && !evictOne()) return kNone;
  if (free_ != kNone) {
    const uint32_t index = free_;
    free_ = nodes_[index].nextInBucket;
    return index;
  }
  if (allocated_ % kSlabFlows == 0) {
    slabs_.push_back(std::make_unique<Flow[]>(kSlabFlows));
    nodes_.resize(size_t{allocated_} + kSlabFlows);
  }
  return allocated_++;
}

Flow* FlowTable::create(const DirectedKey& directed, uint64_t hash, bool initiatorIsB, Millis now) {
  const uint32_t index = takeIndex();
  if (index == kNone) return nullptr;
  Flow& flow = flowAt(index);
  flow.key = directed.key;
  flow.initiatorIsB = initiatorIsB;
  flow.ref = {index, nextId_++};
  uint32_t& bucket = buckets_[hash & (buckets_.size() - 1)];
  nodes_[index].nextInBucket = bucket;
  bucket = index;
  enlist(index, Order::oneSided, now);
  wheel_.schedule(index, now + limits_.oneSidedTimeout);
  ++size_;
  counters_.created.add();
  return &flow;
}

void FlowTable::count(Flow& flow, Side side, const WireSize& size, Millis now) {
  DirectionStatistics& direction = flow.of(side);
  const bool first = direction.packets == 0;
  direction.packets += size.packets;
  if (first) {
    direction.first = now;
    // The other end has spoken for the first time.
    if (flow.bothSpoke()) update(flow, now);
  }
  direction.bytes += size.bytes;
  direction.last = now;
}

void FlowTable::update(Flow& flow, Millis now) {
  const uint32_t index = flow.ref.index;
  const Order order = orderOf(flow);
  if (order != nodes_[index].order) {
    delist(index);
    enlist(index, order, now);
  }
  // A timer that fires too early sets itself again, so only a time-out that has become shorter needs care.
  wheel_.schedule(index, now + timeoutOf(flow));
}

FlowTable::Order FlowTable::orderOf(const Flow& flow) const {
  const bool over = flow.key.protocol == kProtocolTcp &&
                    (flow.tcp.phase == TcpPhase::closed || flow.tcp.phase == TcpPhase::reset);
  if (over) return Order::over;
  return flow.bothSpoke() ? Order::others : Order::oneSided;
}

Millis FlowTable::timeoutOf(const Flow& flow) const {
  if (flow.key.protocol == kProtocolTcp) {
    if (flow.phase == FlowPhase::denied) return limits_.deniedTimeout;
    switch (flow.tcp.phase) {
      case TcpPhase::closed:
      case TcpPhase::reset: return limits_.closedTimeout;
      case TcpPhase::closing: return limits_.closingTimeout;
      case TcpPhase::opening: return limits_.halfOpenTimeout;
      case TcpPhase::open: break;
    }
    return flow.bothSpoke() ? limits_.establishedTimeout : limits_.oneSidedTimeout;
  }
  return flow.bothSpoke() ? limits_.datagramTimeout : limits_.oneSidedTimeout;
}

Millis FlowTable::lastOf(const Flow& flow) { return std::max(flow.directions[0].last, flow.directions[1].last); }

FlowEnd FlowTable::causeOf(const Flow& flow) {
  const bool over = flow.key.protocol == kProtocolTcp &&
                    (flow.tcp.phase == TcpPhase::closed || flow.tcp.phase == TcpPhase::reset);
  return over ? FlowEnd::closed : FlowEnd::idle;
}

void FlowTable::enlist(uint32_t index, Order order, Millis now) {
  Node& node = nodes_[index];
  List& list = lists_[static_cast<size_t>(order)];
  node.order = order;
  node.enlisted = now;
  node.older = list.newest;
  node.newer = kNone;
  (list.newest == kNone ? list.oldest : nodes_[list.newest].newer) = index;
  list.newest = index;
}

void FlowTable::delist(uint32_t index) {
  const Node& node = nodes_[index];
  List& list = lists_[static_cast<size_t>(node.order)];
  (node.older == kNone ? list.oldest : nodes_[node.older].newer) = node.newer;
  (node.newer == kNone ? list.newest : nodes_[node.newer].older) = node.older;
}

bool FlowTable::evictOne() {
  for (size_t order = 0; order < kOrders; ++order) {
    for (int look = 0; look < kEvictionLooksMax && lists_[order].oldest != kNone; ++look) {
      const uint32_t index = lists_[order].oldest;
      Flow& flow = flowAt(index);
      const bool last = look + 1 == kEvictionLooksMax;
      const bool spoke = order != static_cast<size_t>(Order::over) && lastOf(flow) > nodes_[index].enlisted && !last;
      if (flow.waits() || spoke) {
        delist(index);
        enlist(index, static_cast<Order>(order), lastOf(flow));
        continue;
      }
      Counter* const counters[] = {&counters_.evictedOver, &counters_.evictedOneSided, &counters_.evictedOthers};
      counters[order]->add();
      end(flow, FlowEnd::evicted);
      return true;
    }
  }
  return false;
}

void FlowTable::end(Flow& flow, FlowEnd cause) {
  ended_(flow, cause);
  const uint32_t index = flow.ref.index;
  uint32_t* link = &buckets_[hashOf(hash_, flow.key) & (buckets_.size() - 1)];
  while (*link != index) link = &nodes_[*link].nextInBucket;
  *link = nodes_[index].nextInBucket;
  delist(index);
  wheel_.cancel(index);
  flow = Flow{};
  nodes_[index].nextInBucket = free_;
  free_ = index;
  --size_;
  counters_.ended.add();
}

void FlowTable::endAll() {
  for (uint32_t index = 0; index < allocated_; ++index)
    if (flowAt(index).ref.index == index) end(flowAt(index), FlowEnd::shutdown);
}

void FlowTable::timer(Millis now, uint32_t eventsMax) {
  wheel_.advance(now, eventsMax, [&](uint32_t index) {
    Flow& flow = flowAt(index);
    const Millis due = lastOf(flow) + timeoutOf(flow);
    if (due > now || flow.waits()) {
      wheel_.schedule(index, std::max(due, now + 1));
    } else {
      end(flow, causeOf(flow));
    }
  });
}

size_t FlowTable::memoryBytes() const {
  return slabs_.size() * kSlabFlows * (sizeof(Flow) + sizeof(Node)) + buckets_.size() * sizeof(uint32_t) +
         wheel_.memoryBytes() + halfOpen_.memoryBytes();
}

}  // namespace p2pxbone::gateway
