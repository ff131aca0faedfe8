#include "gateway/pipeline.h"

#include "gateway/checks.h"
#include "gateway/rewrite.h"

namespace p2pxbone::gateway {
namespace {

constexpr std::array<std::string_view, kStageCount> kStageNames{"connectionCache", "checks", "fragments", "flowTable",
                                                                "stream"};

// Packets that go on after a verdict: in the call that brings it, and in one call of the timer.
constexpr uint32_t kResumedAtOnceMax = 64;
constexpr uint32_t kResumedByTimerMax = 512;

}  // namespace

std::string_view stageName(StageId stage) { return kStageNames[static_cast<size_t>(stage)]; }

void Pipeline::CountingOutlet::release(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag) {
  released.add();
  redirect(bytes, offload);
  outlet_.release(bytes, offload, tag);
}

void Pipeline::CountingOutlet::emit(std::span<uint8_t> bytes) {
  redirect(bytes, {});
  outlet_.emit(bytes);
}

void Pipeline::CountingOutlet::redirect(std::span<uint8_t> bytes, const Offload& offload) {
  Packet packet;
  if (redirects_ == nullptr || redirects_->size() == 0 || parsePacket(bytes, offload, 0, packet) != DropReason::none) return;
  (void)redirects_->leave(packet);
}

void Pipeline::CountingOutlet::discard(uint64_t tag, DropReason reason) {
  drops_.add(reason);
  outlet_.discard(tag, reason);
}

Pipeline::Pipeline(const Settings& settings, Outlet& outlet)
    : settings_(settings),
      conditions_(settings.conditions),
      fastPass_(settings.fastPass),
      outlet_(outlet, drops_, settings.redirects),
      clock_(settings.clock),
      cache_(settings.limits.deniedConnections, settings.seed),
      held_(settings_.limits),
      fragments_(settings_.limits, settings.seed, held_),
      packetStages_({held_, outlet_}, clock_),
      inspection_({settings_.limits, conditions_, conditionCounters_, cache_, held_, outlet_, clock_, packetStages_}),
      table_(settings_.limits, settings.seed,
             [this](Flow& flow, FlowEnd cause) { inspection_.over(flow, cause, now_); }) {}

Pipeline::~Pipeline() = default;

void Pipeline::lap(StageId stage, bool stopped) {
  StageStatistics& statistics = statistics_[static_cast<size_t>(stage)];
  clock_.lap(statistics);
  if (stopped) statistics.stopped.add();
}

Pipeline::Processed Pipeline::process(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag, Millis now) {
  now_ = now;
  totals_.packets.add();
  totals_.bytes.add(bytes.size());
  clock_.begin();
  Packet packet;
  Flow* flow = nullptr;
  DropReason reason = parsePacket(bytes, offload, tag, packet);
  Redirects* const redirects = settings_.redirects;
  if (reason == DropReason::none && redirects != nullptr && redirects->arrive(packet, now) == Redirects::Arrival::refused) {
    reason = DropReason::gatewayRedirect;
  }
  Verdict verdict = reason == DropReason::none ? pass(packet, now, flow) : Verdict::drop(reason);
  if (packet.parts != kNoParts && verdict.action != Verdict::Action::hold) verdict = leaveInParts(packet, verdict);
  if (verdict.goesOn() && redirects != nullptr && !redirects->leave(packet) && flow != nullptr && flow->redirected &&
      packet.ip.destination == flow->address(Side::responder)) {
    // What was known of it had to make room.
    verdict = Verdict::drop(DropReason::gatewayRedirect, flow->verdict.rule);
  }
  const bool changed = packet.rewritten || packet.moved || packet.bytes.size() != bytes.size();
  switch (verdict.action) {
    case Verdict::Action::accept:
      finishRewrite(packet);
      totals_.accepted.add();
      break;
    case Verdict::Action::hold: totals_.held.add(); break;
    case Verdict::Action::drop:
    case Verdict::Action::reject: drops_.add(verdict.reason); break;
  }
  return {verdict, packet.bytes, changed, flow == nullptr ? 0 : flow->mark};
}

// The fragments of a datagram share its fate; all of them were copied, the one at hand included.
Verdict Pipeline::leaveInParts(Packet& packet, const Verdict& verdict) {
  const HeldId id = held_.keep(packet, HeldFor::fragments);
  if (verdict.goesOn()) {
    held_.release(id, outlet_);
  } else {
    held_.discard(id, verdict.reason, outlet_);
  }
  return Verdict::hold();
}

Verdict Pipeline::pass(Packet& packet, Millis now, Flow*& flow) {
  const std::optional<Verdict> denied = refuseDenied(packet, now);
  lap(StageId::connectionCache, denied.has_value());
  if (denied) return *denied;
  if (packet.ip.fragment) {
    const std::optional<Verdict> collected = collect(packet, now);
    lap(StageId::fragments, collected.has_value());
    if (collected) return *collected;
    // They would leave as the fragments they came in, most of which have no ports.
    const bool redirected = settings_.redirects != nullptr && settings_.redirects->concerns(packet);
    if (packet.parts != kNoParts && redirected) return Verdict::drop(DropReason::gatewayRedirect);
  }
  const DropReason reason = checkTransport(packet);
  lap(StageId::checks, reason != DropReason::none);
  if (reason != DropReason::none) return Verdict::drop(reason);
  if (const auto verdict = cutSynData(packet)) return *verdict;
  return enter(packet, now, flow);
}

// TCP connections that exist are not refused because another one to the same port was: only SYNs are, and what is picked
// up in the middle. Other protocols have no such beginnings.
std::optional<Verdict> Pipeline::refuseDenied(const Packet& packet, Millis now) {
  const InnerPacket& ip = packet.ip;
  if (packet.isTcp() && (ip.tcpFlags & (kTcpSyn | kTcpAck)) != kTcpSyn) return std::nullopt;
  const auto rule = cache_.find({ip.source, ip.destination, ip.destinationPort, ip.protocol}, now);
  if (!rule) return std::nullopt;
  return Verdict::drop(DropReason::gatewayDenied, *rule);
}

std::optional<Verdict> Pipeline::collect(Packet& packet, Millis now) {
  const auto policy = inspection_.meet(Condition::fragmented, nullptr, now);
  if (policy) return policy;
  const Defragmenter::Result result = fragments_.take(packet, now, outlet_);
  switch (result.outcome) {
    case Defragmenter::Outcome::waiting: return Verdict::hold();
    case Defragmenter::Outcome::complete:
    case Defragmenter::Outcome::alone: return std::nullopt;
    case Defragmenter::Outcome::duplicate:
    case Defragmenter::Outcome::refused: return Verdict::drop(result.reason);
    case Defragmenter::Outcome::full: break;
  }
  const auto full = inspection_.meet(Condition::fragmentsFull, nullptr, now);
  return full.value_or(Verdict::drop(result.reason));
}

std::optional<Verdict> Pipeline::cutSynData(Packet& packet) {
  if (!packet.isTcp() || !packet.tcp.has(kTcpSyn) || packet.payloadBytes == 0) return std::nullopt;
  conditionCounters_.add(Condition::synData);
  switch (conditions_[Condition::synData]) {
    case ConditionAction::drop:
      // Fragments cannot be shortened, and no honest SYN comes in them.
      if (packet.parts != kNoParts) return Verdict::drop(reasonOf(Condition::synData));
      trimPayload(packet, 0);
      return std::nullopt;
    case ConditionAction::dropFlow: return Verdict::drop(reasonOf(Condition::synData));
    case ConditionAction::inspect:
    case ConditionAction::pass:
    case ConditionAction::bypass: break;
  }
  return std::nullopt;
}

Verdict Pipeline::enter(Packet& packet, Millis now, Flow*& flow) {
  // Once more at most: a new connection takes the place of one between the same ports.
  for (int attempt = 0;; ++attempt) {
    const bool mayPickUp = conditions_[Condition::midFlow] == ConditionAction::inspect;
    const FlowTable::Found found = table_.admit(packet, now, mayPickUp);
    lap(StageId::flowTable, false);
    if (found.flow == nullptr) return withoutFlow(found.outcome, packet, now);
    Record record = Record::stays;
    const bool created = found.outcome == FlowTable::Outcome::created;
    const Verdict verdict = follow(*found.flow, found.side, created, packet, now, record);
    if (record == Record::stays) {
      flow = found.flow;
      return verdict;
    }
    table_.end(*found.flow, FlowEnd::replaced);
    if (record == Record::ends || attempt > 0) return verdict;
  }
}

Verdict Pipeline::withoutFlow(FlowTable::Outcome outcome, const Packet& packet, Millis now) {
  const auto met = [&](Condition condition) {
    return inspection_.meet(condition, nullptr, now).value_or(Verdict::drop(reasonOf(condition)));
  };
  switch (outcome) {
    case FlowTable::Outcome::forged: return met(Condition::outsideWindow);
    case FlowTable::Outcome::midFlow: return met(Condition::midFlow);
    case FlowTable::Outcome::full: return met(Condition::flowsFull);
    case FlowTable::Outcome::handshake: {
      if (packet.tcp.has(kTcpAck) || !packet.tcp.has(kTcpSyn)) return Verdict::accept();
      const Verdict verdict = inspection_.syn(packet, now);
      if (verdict.action == Verdict::Action::reject) inspection_.answerUnknown(packet, now);
      return verdict;
    }
    case FlowTable::Outcome::stray:
    case FlowTable::Outcome::known:
    case FlowTable::Outcome::created: break;
  }
  return Verdict::accept();
}

Verdict Pipeline::follow(Flow& flow, Side side, bool created, Packet& packet, Millis now, Record& record) {
  if (packet.isTcp()) {
    if (flow.phase == FlowPhase::denied) return followDenied(flow, side, packet, now, record);
    const TcpPhase before = flow.tcp.phase;
    const TcpVerdict tracked = trackTcp(flow.tcp, side, packet);
    if (tracked == TcpVerdict::restart) {
      record = Record::restarts;
      return Verdict::accept();
    }
    // The stages have heard of no flow whose first packet was none of it.
    if (created && tracked != TcpVerdict::valid) record = Record::ends;
    if (tracked == TcpVerdict::badState) return Verdict::drop(DropReason::gatewayTcpState);
    if (tracked == TcpVerdict::outsideWindow) {
      const auto verdict = inspection_.meet(Condition::outsideWindow, &flow, now);
      return verdict.value_or(Verdict::drop(reasonOf(Condition::outsideWindow)));
    }
    table_.count(flow, side, wireSizeOf(packet), now);
    if (flow.tcp.phase != before) table_.update(flow, now);
    if (!created && isProbe(flow.tcp, side, packet)) return admitProbe(packet, now);
  } else {
    table_.count(flow, side, wireSizeOf(packet), now);
  }
  if (created) {
    if (flow.pickedUp) conditionCounters_.add(Condition::midFlow);
    flow.fastPass = fastPass_;
    inspection_.begin(flow, side, packet, now);
    const auto rule = cache_.find({packet.ip.source, packet.ip.destination, packet.ip.destinationPort,
                                   packet.ip.protocol}, now);
    if (rule && flow.pickedUp) inspection_.deny(flow, {.verdict = Verdict::drop(DropReason::gatewayDenied, *rule)}, now);
  }
  switch (flow.phase) {
    case FlowPhase::settled: return packetStages_.pass(flow, side, packet, now);
    case FlowPhase::denied: return inspection_.refuse(flow, side, packet, now);
    case FlowPhase::inspected: break;
  }
  const Verdict verdict = inspection_.take(flow, side, packet, now);
  lap(StageId::stream, !verdict.goesOn());
  return verdict.goesOn() ? packetStages_.pass(flow, side, packet, now) : verdict;
}

// What is refused reaches no end, and does not count for what the ends' state is. So only the other end can say that the old
// connection is gone; its ports serve a new one then.
Verdict Pipeline::followDenied(Flow& flow, Side side, const Packet& packet, Millis now, Record& record) {
  if (answersProbe(flow.tcp, side, packet)) {
    record = Record::restarts;
    return Verdict::accept();
  }
  table_.count(flow, side, wireSizeOf(packet), now);
  if (!probe(flow.tcp, side, packet)) return inspection_.refuse(flow, side, packet, now);
  return admitProbe(packet, now);
}

// To the policy, it is the beginning of a connection like any other.
Verdict Pipeline::admitProbe(const Packet& packet, Millis now) {
  const Verdict verdict = inspection_.syn(packet, now);
  if (verdict.goesOn()) table_.expect(packet, now);
  if (verdict.action == Verdict::Action::reject) inspection_.answerUnknown(packet, now);
  return verdict;
}

void Pipeline::decide(const FlowRef& ref, Side side, const StageAnswer& answer, Millis now) {
  now_ = now;
  Flow* flow = table_.find(ref);
  if (flow == nullptr) return;
  inspection_.decide(*flow, side, answer, now);
  inspection_.goOn(table_, now, kResumedAtOnceMax);
}

void Pipeline::deny(const FlowRef& ref, const StageAnswer& answer, Millis now) {
  now_ = now;
  if (Flow* flow = table_.find(ref)) inspection_.deny(*flow, answer, now);
}

void Pipeline::timer(Millis now) {
  now_ = now;
  inspection_.goOn(table_, now, kResumedByTimerMax);
  inspection_.timer(table_, now);
  fragments_.timer(now, outlet_);
  table_.timer(now);
  packetStages_.depart(now * kNanosPerMilli);
  if (settings_.redirects != nullptr) settings_.redirects->timer(now);
}

void Pipeline::shutdown(Millis now) {
  now_ = now;
  table_.endAll();
  packetStages_.shutdown();
}

Pipeline::Statistics Pipeline::statistics() {
  Statistics all;
  all.packets = totals_.packets.get();
  all.bytes = totals_.bytes.get();
  all.accepted = totals_.accepted.get();
  all.held = totals_.held.get();
  all.released = outlet_.released.get();
  drops_.addTo(all.drops);
  for (size_t i = 0; i < kConditionCount; ++i) all.conditions[i] = conditionCounters_.counts[i].get();
  all.flows = table_.size();
  all.resets = inspection_.counters().resets.get();
  all.unreachables = inspection_.counters().unreachables.get();
  all.withheldAnswers = inspection_.counters().withheld.get();
  const auto line = [&](std::string_view name, const StageStatistics& stage) {
    all.stages.push_back({name, stage.packets.get(), stage.stopped.get(), stage.samples.get(), stage.nanoseconds.get()});
  };
  for (size_t i = 0; i < kStageCount; ++i) line(kStageNames[i], statistics_[i]);
  inspection_.forEachStage(line);
  packetStages_.forEach(line);
  const auto blocks = [&](HeldFor purpose) { return uint64_t{held_.blocksFor(purpose)} * PacketStore::kBlockBytes; };
  all.memory = {.flows = table_.memoryBytes(),
                .connectionCache = cache_.memoryBytes(),
                .fragments = blocks(HeldFor::fragments),
                .outOfOrder = blocks(HeldFor::stream),
                .waiting = blocks(HeldFor::verdict),
                .limited = blocks(HeldFor::limit),
                .streams = uint64_t{inspection_.pages().used()} * PagePool::kPageBytes,
                .heldMax = uint64_t{settings_.limits.heldBlocks} * PacketStore::kBlockBytes,
                .streamsMax = uint64_t{settings_.limits.streamPages} * PagePool::kPageBytes};
  return all;
}

}  // namespace p2pxbone::gateway
