// How inspection of a flow ends: settled, bypassed, denied, or because the flow itself does.
#include <algorithm>

#include "core/icmp.h"
#include "gateway/inspection.h"

namespace p2pxbone::gateway {
namespace {

// RSTs that each end of a rejected flow gets for what it sends afterwards.
constexpr uint8_t kResetsMax = 16;

}  // namespace

Stream* Inspection::knownStream(Flow& flow, Side side) {
  if (!flow.streams || !flow.streams->directions[indexOf(side)]) return nullptr;
  return &*flow.streams->directions[indexOf(side)];
}

Stream& Inspection::streamOf(Flow& flow, Side side) {
  if (!flow.streams) flow.streams = std::make_unique<FlowStreams>();
  std::optional<Stream>& stream = flow.streams->directions[indexOf(side)];
  if (!stream) stream.emplace(pool_, parts_.limits, flow.tcp.of(side).first);
  return *stream;
}

std::optional<Verdict> Inspection::meet(Condition condition, Flow* flow, Millis now) {
  parts_.conditionCounters.add(condition);
  switch (parts_.conditions[condition]) {
    case ConditionAction::inspect: return std::nullopt;
    case ConditionAction::drop: return Verdict::drop(reasonOf(condition));
    case ConditionAction::pass: return Verdict::accept();
    case ConditionAction::dropFlow:
      if (flow != nullptr) deny(*flow, {.verdict = Verdict::drop(reasonOf(condition))}, now);
      return Verdict::drop(reasonOf(condition));
    case ConditionAction::bypass:
      if (flow != nullptr && flow->phase == FlowPhase::inspected) bypass(*flow, now);
      return Verdict::accept();
  }
  return std::nullopt;
}

void Inspection::forget(Flow& flow) {
  flow.streams.reset();
  for (auto& memory : flow.memories) memory.reset();
  for (size_t side = 0; side < 2; ++side) {
    flow.waiting[side] = {};
    gaps_.cancel(flow.ref.index * 2 + static_cast<uint32_t>(side));
  }
}

void Inspection::releaseWaiting(Flow& flow, Millis now) {
  const auto leave = [&](HeldId id, Side side) {
    if (!flow.watched) return parts_.held.release(id, parts_.outlet);
    Packet packet;
    parts_.held.load(id, packet, HeldPackets::Place::leaving);
    release(flow, side, id, packet, now);
  };
  for (const Side side : {Side::initiator, Side::responder}) {
    // Those of the stream came before those that stand in line behind a verdict, but for the one that was inspected.
    Flow::Waiting& line = flow.waiting[indexOf(side)];
    if (const HeldId kept = std::exchange(line.kept, kNotHeld); kept != kNotHeld) leave(kept, side);
    const HeldId first = line.firstInspected ? lines_.pop(flow, side) : kNotHeld;
    if (first != kNotHeld) leave(first, side);
    if (Stream* stream = knownStream(flow, side)) {
      while (const auto id = stream->takeAny()) leave(*id, side);
    }
    for (HeldId id = lines_.pop(flow, side); id != kNotHeld; id = lines_.pop(flow, side)) leave(id, side);
  }
}

void Inspection::dropWaiting(Flow& flow, DropReason reason) {
  for (const Side side : {Side::initiator, Side::responder}) {
    const HeldId kept = std::exchange(flow.waiting[indexOf(side)].kept, kNotHeld);
    if (kept != kNotHeld) parts_.held.discard(kept, reason, parts_.outlet);
    lines_.discardAll(flow, side, reason, parts_.outlet);
    if (Stream* stream = knownStream(flow, side)) {
      while (const auto id = stream->takeAny()) parts_.held.discard(*id, reason, parts_.outlet);
    }
  }
}

void Inspection::settle(Flow& flow, const Verdict& verdict, Millis now) {
  if (flow.phase != FlowPhase::inspected) return;
  flow.phase = FlowPhase::settled;
  flow.verdict = verdict;
  releaseWaiting(flow, now);
  forget(flow);
  counters_.settled.add();
}

void Inspection::settleIfDone(Flow& flow, Millis now) {
  // A verdict that is still to come may deny it yet.
  if (flow.phase == FlowPhase::inspected && allDone(flow) && !flow.waits() && !flow.keeps()) settle(flow, flow.verdict, now);
}

void Inspection::bypass(Flow& flow, Millis now) {
  counters_.bypassed.add();
  settle(flow, Verdict::accept(), now);
}

void Inspection::deny(Flow& flow, const StageAnswer& answer, Millis now) {
  if (flow.phase == FlowPhase::denied) return;
  // A packet in the middle of a connection, or a datagram, proves no sender: it would keep somebody else out.
  const bool isOpened = flow.key.protocol == kProtocolTcp && !flow.pickedUp;
  const bool proven = isOpened || flow.bothSpoke();
  if (answer.denyFor > 0 && proven) {
    parts_.denied.deny({flow.address(Side::initiator), flow.address(Side::responder), flow.port(Side::responder),
                        flow.key.protocol},
                       answer.verdict.rule, now, now + answer.denyFor);
  }
  dropWaiting(flow, answer.verdict.reason);
  parts_.packetStages.deny(flow, answer.verdict.reason);
  if (answer.verdict.action == Verdict::Action::reject && flow.key.protocol == kProtocolTcp) resetEnds(flow, now);
  forget(flow);
  flow.phase = FlowPhase::denied;
  flow.verdict = answer.verdict;
  counters_.denied.add();
}

void Inspection::resetEnds(Flow& flow, Millis now) {
  for (const Side to : {Side::initiator, Side::responder}) {
    const Side from = other(to);
    if (!flow.tcp.of(from).known) continue;
    // What the end expects next: what has gone on to it, up to the first gap.
    uint32_t sequence = flow.passed[indexOf(from)];
    if (const Stream* stream = knownStream(flow, from)) {
      if (sequenceBefore(stream->nextSequence(), sequence)) sequence = stream->nextSequence();
    }
    sequence = sequenceMax(sequence, flow.tcp.of(from).acked);
    sendReset(flow, to, {sequence, flow.passed[indexOf(to)], true}, now);
  }
}

// Whoever has finished a handshake is no forged sender: its RSTs are as many as its packets at most, and an end that gets none
// waits for minutes.
bool Inspection::mayReset(const Flow& flow, Millis now) {
  const bool shookHands = !flow.pickedUp && !flow.tcp.liberal && flow.tcp.of(Side::initiator).known && flow.tcp.of(Side::responder).known;
  return shookHands || mayAnswer(now);
}

bool Inspection::mayAnswer(Millis now) {
  if (answers_.take(now)) return true;
  counters_.withheld.add();
  return false;
}

void Inspection::sendReset(const Flow& flow, Side to, const Reset& reset, Millis now) {
  if (!mayReset(flow, now)) return;
  std::array<uint8_t, kResetBytesMax> bytes;
  const size_t length = buildReset(bytes, flow, to, reset);
  parts_.outlet.emit(std::span<uint8_t>{bytes}.first(length));
  counters_.resets.add();
}

Verdict Inspection::refuse(Flow& flow, Side side, const Packet& packet, Millis now) {
  ++flow.refusedPackets;
  flow.refusedBytes += packet.bytes.size();
  // If an end has not taken the first RST, what it sends tells which number it does take (RFC 5961 §3).
  const bool tell = flow.verdict.action == Verdict::Action::reject && packet.isTcp() && packet.tcp.has(kTcpAck) &&
                    !packet.tcp.has(kTcpRst) && flow.resets[indexOf(side)] < kResetsMax;
  if (tell) {
    ++flow.resets[indexOf(side)];
    sendReset(flow, side, {packet.tcp.acknowledgement, 0, false}, now);
  }
  return Verdict::drop(DropReason::gatewayFlowDenied, flow.verdict.rule);
}

void Inspection::answerUnknown(const Packet& packet, Millis now) {
  std::array<uint8_t, kIcmpv6PacketMax> bytes;
  size_t length = 0;
  if (packet.isTcp()) {
    length = buildResetFor(bytes, packet);
  } else if (mayAnswerWithError(packet.ip, packet.bytes)) {
    length = buildIcmpError(bytes, IcmpError::prohibited, 0, packet.ip.destination, packet.ip, packet.bytes);
  }
  if (length == 0 || !mayAnswer(now)) return;
  parts_.outlet.emit(std::span<uint8_t>{bytes}.first(length));
  (packet.isTcp() ? counters_.resets : counters_.unreachables).add();
}

void Inspection::over(Flow& flow, FlowEnd cause, Millis now) {
  dropWaiting(flow, DropReason::gatewayFlowGone);
  for (size_t slot = 0; slot < stages_.size(); ++slot) stages_[slot]->ended({flow, slot, now}, cause);
  forget(flow);
}

}  // namespace p2pxbone::gateway
