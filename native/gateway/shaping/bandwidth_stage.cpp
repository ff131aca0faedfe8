#include "gateway/shaping/bandwidth_stage.h"

#include <algorithm>
#include <cassert>
#include <string_view>
#include <unordered_map>

#include "gateway/shaping/ecn.h"

namespace p2pxbone::gateway {
namespace {

// A line may grow to so many times the room that is left in its queue. Whoever sends too much leaves some to the others, and
// the more there are of its kind, the less each takes (Choudhury, Hahne: dynamic queue length thresholds, 1998).
constexpr uint64_t kLineShare = 4;

uint32_t chargeOf(const Packet& packet) {
  return static_cast<uint32_t>(std::min<uint64_t>(wireSizeOf(packet).bytes, LimitTree::kChargeMax));
}

}  // namespace

BandwidthStage::BandwidthStage(const ShapingSettings& settings, const Limits& limits, const HashSeed& seed)
    : settings_(settings),
      blocksMax_(limits.limitBlocks),
      instances_(tree_, limits.limitInstances, seed),
      counters_(std::make_unique<Counters[]>(settings.classes.size())),
      waitingBytes_(settings.classes.size()) {
  assert(!problemOf(settings));
  instances_.configure(settings, 0);
}

uint32_t BandwidthStage::lineOf(const Flow& flow, Side side) const {
  const uint32_t line = flow.limitLines[indexOf(side)];
  if (line >= lines_.size()) return LimitTree::kNone;
  const Waiting& waiting = lines_[line];
  const bool its = waiting.first != kNotHeld && waiting.flow == flow.ref.id && waiting.side == side;
  return its ? line : LimitTree::kNone;
}

Verdict BandwidthStage::packet(const PacketContext& context, Packet& packet) {
  now_ = std::max(now_, context.now);
  Flow& flow = context.flow;
  renumber(flow);
  const uint32_t bytes = chargeOf(packet);
  // What waits must not be overtaken, even if the flow's limit is another one by now.
  const uint32_t line = lineOf(flow, context.side);
  if (line != LimitTree::kNone) return wait(context, packet, tree_.instanceOf(line), line, bytes);
  if (flow.limit == 0 || flow.limit > settings_.classes.size()) return Verdict::accept();
  const uint32_t instance = instances_.find(flow, context.side, flow.limit, now_);
  if (instance == LimitTree::kNone) return Verdict::accept();
  if (!tree_.pass(instance, bytes, now_)) return wait(context, packet, instance, LimitTree::kNone, bytes);
  Counters& counters = countersOf(instance);
  counters.packets.add();
  counters.bytes.add(bytes);
  return Verdict::accept();
}

bool BandwidthStage::hasRoom(const Custody& custody, uint32_t instance, uint32_t line, uint32_t bytes) const {
  if (custody.held.blocksFor(HeldFor::limit) + PacketStore::blocksOf(bytes) > blocksMax_) return false;
  const Queue& queue = queues_[instance];
  if (queue.packets == 0) return true;
  const uint64_t room = queueOf(instances_.classOf(instance));
  if (queue.bytes + bytes > room) return false;
  return line == LimitTree::kNone || lines_[line].bytes + bytes <= kLineShare * (room - queue.bytes);
}

Verdict BandwidthStage::wait(const PacketContext& context, Packet& packet, uint32_t instance, uint32_t line,
                             uint32_t bytes) {
  if (instance >= queues_.size()) queues_.resize(size_t{instance} + 1);
  const HeldId id = hasRoom(context.custody, instance, line, bytes) ? context.keep(packet, HeldFor::limit) : kNotHeld;
  if (id == kNotHeld) {
    countersOf(instance).dropped.add();
    return Verdict::drop(DropReason::gatewayLimited);
  }
  HeldPackets& held = context.custody.held;
  held.setNext(id, kNotHeld);
  if (id >= tickets_.size()) tickets_.resize(size_t{id} + 1);
  tickets_[id] = {now_, bytes};
  if (line == LimitTree::kNone) {
    line = tree_.addLine(instance, bytes, now_);
    if (line >= lines_.size()) lines_.resize(size_t{line} + 1);
    lines_[line] = {context.flow.ref.id, context.side, id, id, 0};
    context.flow.limitLines[indexOf(context.side)] = line;
  } else {
    held.setNext(lines_[line].last, id);
    lines_[line].last = id;
  }
  lines_[line].bytes += bytes;
  queues_[instance].bytes += bytes;
  ++queues_[instance].packets;
  waitingBytes_[instances_.limitOf(instance) - 1U] += bytes;
  countersOf(instance).waited.add();
  return Verdict::hold();
}

HeldId BandwidthStage::takeFirst(uint32_t line, const HeldPackets& held) {
  Waiting& waiting = lines_[line];
  const HeldId id = waiting.first;
  const uint32_t bytes = tickets_[id].bytes;
  const uint32_t instance = tree_.instanceOf(line);
  waiting.first = held.next(id);
  waiting.bytes -= bytes;
  queues_[instance].bytes -= bytes;
  --queues_[instance].packets;
  waitingBytes_[instances_.limitOf(instance) - 1U] -= bytes;
  return id;
}

void BandwidthStage::letGo(HeldId id, const Custody& custody, Counters& counters) {
  const Ticket& ticket = tickets_[id];
  const Nanos waited = now_ - ticket.since;
  counters.packets.add();
  counters.bytes.add(ticket.bytes);
  counters.waitedMicros.add(static_cast<uint64_t>(waited / 1000));
  if (waited > kMarkAfter && markCongestion(custody.held.firstBytes(id))) counters.marked.add();
  custody.held.release(id, custody.outlet);
}

void BandwidthStage::depart(const Custody& custody, Nanos now) {
  now_ = std::max(now_, now);
  for (uint32_t count = 0; count < kDeparturesMax; ++count) {
    const uint32_t line = tree_.next(now_);
    if (line == LimitTree::kNone) break;
    Counters& counters = countersOf(tree_.instanceOf(line));
    const HeldId id = takeFirst(line, custody.held);
    tree_.sent(line, tickets_[id].bytes, lines_[line].first != kNotHeld, now_);
    letGo(id, custody, counters);
  }
  instances_.expire(now_);
}

void BandwidthStage::discardLine(uint32_t line, const Custody& custody, DropReason reason) {
  Counters& counters = countersOf(tree_.instanceOf(line));
  while (lines_[line].first != kNotHeld) {
    counters.dropped.add();
    custody.held.discard(takeFirst(line, custody.held), reason, custody.outlet);
  }
  tree_.removeLine(line);
}

void BandwidthStage::denied(const Custody& custody, const Flow& flow, DropReason reason) {
  for (const Side side : {Side::initiator, Side::responder}) {
    const uint32_t line = lineOf(flow, side);
    if (line != LimitTree::kNone) discardLine(line, custody, reason);
  }
}

void BandwidthStage::shutdown(const Custody& custody, DropReason reason) {
  for (uint32_t line = 0; line < lines_.size(); ++line) {
    if (lines_[line].first != kNotHeld) discardLine(line, custody, reason);
  }
}

void BandwidthStage::configure(const ShapingSettings& settings, const Custody& custody, Nanos now) {
  assert(!problemOf(settings));
  now_ = std::max(now_, now);
  std::unordered_map<std::string_view, uint16_t> numbers;
  for (size_t i = 0; i < settings.classes.size(); ++i) numbers.emplace(settings.classes[i].name, static_cast<uint16_t>(i + 1));
  renumbered_.assign(1, 0);
  for (const LimitClass& limit : settings_.classes) {
    const auto found = numbers.find(limit.name);
    renumbered_.push_back(found == numbers.end() ? uint16_t{0} : found->second);
  }
  ++numbering_;
  if (!instances_.fits(settings)) {
    for (uint32_t line = 0; line < lines_.size(); ++line) {
      if (lines_[line].first == kNotHeld) continue;
      Counters& counters = countersOf(tree_.instanceOf(line));
      while (lines_[line].first != kNotHeld) letGo(takeFirst(line, custody.held), custody, counters);
      tree_.removeLine(line);
    }
    counters_ = std::make_unique<Counters[]>(settings.classes.size());
    waitingBytes_.assign(settings.classes.size(), 0);
  }
  settings_ = settings;
  instances_.configure(settings, now_);
}

void BandwidthStage::renumber(Flow& flow) const {
  if (flow.limitNumbering == numbering_) return;
  flow.limitNumbering = numbering_;
  if (flow.limit == 0) return;
  flow.limit = flow.limit < renumbered_.size() ? renumbered_[flow.limit] : uint16_t{0};
  if (flow.limit == 0) flow.watched = false;
}

std::vector<BandwidthStage::Line> BandwidthStage::statistics() const {
  std::vector<Line> lines;
  for (size_t i = 0; i < settings_.classes.size(); ++i) {
    const Counters& counters = counters_[i];
    lines.push_back({settings_.classes[i].name, counters.packets.get(), counters.bytes.get(), counters.waited.get(),
                     counters.dropped.get(), counters.marked.get(), counters.waitedMicros.get(), waitingBytes_[i]});
  }
  return lines;
}

size_t BandwidthStage::memoryBytes() const {
  return tree_.memoryBytes() + instances_.memoryBytes() + lines_.capacity() * sizeof(Waiting) +
         queues_.capacity() * sizeof(Queue) + tickets_.capacity() * sizeof(Ticket);
}

}  // namespace p2pxbone::gateway
