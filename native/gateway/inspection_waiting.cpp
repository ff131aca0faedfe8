// How packets of inspected flows wait and leave: for a verdict, or until it is known whether they were the last.
#include <algorithm>

#include "gateway/inspection.h"

namespace p2pxbone::gateway {

void Inspection::notePassed(Flow& flow, Side side, const Packet& packet) {
  if (!packet.isTcp()) return;
  const uint32_t end = packet.tcp.sequence + static_cast<uint32_t>(packet.payloadBytes) +
                       (packet.tcp.has(kTcpSyn) ? 1 : 0) + (packet.tcp.has(kTcpFin) ? 1 : 0);
  flow.passed[indexOf(side)] = sequenceMax(flow.passed[indexOf(side)], end);
}

Verdict Inspection::enqueue(Flow& flow, Side side, Packet& packet, Millis now) {
  if (lines_.knows(flow, side, packet)) {
    lines_.counters().duplicates.add();
    return Verdict::drop(DropReason::gatewayHeldDuplicate);
  }
  if (lines_.push(flow, side, packet)) return Verdict::hold();
  const auto verdict = meet(Condition::heldFull, &flow, now);
  return verdict.value_or(Verdict::drop(DropReason::gatewayHeldFull));
}

Verdict Inspection::keepBack(Flow& flow, Side side, Current& current, Millis now) {
  Packet& packet = current.packet;
  Flow::Waiting& line = flow.waiting[indexOf(side)];
  line.keeps = true;
  line.keptEnd = packet.isTcp() ? packet.tcp.sequence + static_cast<uint32_t>(packet.payloadBytes) : 0;
  line.keptBegin = packet.isTcp() ? packet.tcp.sequence : 0;
  if (current.held != kNotHeld) {
    parts_.held.update(current.held, packet);
    parts_.held.answerFor(current.held, HeldFor::verdict);
    line.kept = current.held;
  } else {
    line.kept = parts_.held.keep(packet, HeldFor::verdict);
  }
  if (line.kept == kNotHeld) {
    const auto verdict = meet(Condition::heldFull, &flow, now);
    if (verdict && verdict->goesOn()) line.keeps = false;
    return verdict.value_or(Verdict::drop(DropReason::gatewayHeldFull));
  }
  current.gone = true;
  return Verdict::hold();
}

bool Inspection::repeatsKept(const Flow& flow, Side side, const Packet& packet) {
  const Flow::Waiting& line = flow.waiting[indexOf(side)];
  if (!line.keeps || !packet.isTcp() || packet.payloadBytes == 0) return false;
  const uint32_t end = packet.tcp.sequence + static_cast<uint32_t>(packet.payloadBytes);
  return sequenceBefore(line.keptBegin, end) && !sequenceBefore(line.keptEnd, end);
}

void Inspection::releaseKept(Flow& flow, Side side, Millis now) {
  Flow::Waiting& line = flow.waiting[indexOf(side)];
  line.keeps = false;
  const HeldId id = std::exchange(line.kept, kNotHeld);
  if (id == kNotHeld) return;
  Packet packet;
  parts_.held.load(id, packet, HeldPackets::Place::leaving);
  release(flow, side, id, packet, now);
}

// The packet is loaded, and has been inspected.
void Inspection::release(Flow& flow, Side side, HeldId held, Packet& packet, Millis now) {
  notePassed(flow, side, packet);
  const Verdict verdict = parts_.packetStages.pass(flow, side, packet, now, held);
  if (verdict.action == Verdict::Action::hold) return;
  if (!verdict.goesOn()) {
    parts_.held.discard(held, verdict.reason, parts_.outlet);
    return;
  }
  parts_.held.update(held, packet);
  parts_.held.release(held, parts_.outlet);
}

void Inspection::letGo(Flow& flow, Side side, Current& current, Millis now) {
  if (current.gone) return;
  HeldId id = current.held;
  if (id == kNotHeld) id = parts_.held.keep(current.packet, HeldFor::stream);
  // Without room it leaves after those that waited for it, which TCP can bear.
  if (id == kNotHeld) return;
  current.gone = true;
  release(flow, side, id, current.packet, now);
}

StageAnswer Inspection::drain(Flow& flow, Side side, Millis now) {
  Stream& stream = *knownStream(flow, side);
  const Flow::Waiting& line = flow.waiting[indexOf(side)];
  while (line.holds == 0) {
    if (const StageAnswer end = askEnd(flow, side, stream, now); !end.verdict.goesOn()) return end;
    while (const auto ready = stream.takeReady()) {
      Packet packet;
      parts_.held.load(*ready, packet, HeldPackets::Place::leaving);
      release(flow, side, *ready, packet, now);
    }
    uint64_t offset = 0;
    const auto bytes = stream.more(offset, now);
    if (!bytes) break;
    const StageAnswer answer = askData(flow, {side, offset, *bytes, false}, now);
    if (!answer.verdict.goesOn()) return answer;
    if (answer.keepBack) {
      // Its packet stands in the stream's line, where it waits like any other.
      ++flow.waiting[indexOf(side)].holds;
      return {.verdict = Verdict::hold()};
    }
  }
  return {};
}

void Inspection::decide(Flow& flow, Side side, const StageAnswer& answer, Millis now) {
  if (flow.phase != FlowPhase::inspected) return;
  if (answer.denies()) {
    deny(flow, answer, now);
    return;
  }
  Flow::Waiting& line = flow.waiting[indexOf(side)];
  if (line.holds == 0) {
    releaseKept(flow, side, now);
    settleIfDone(flow, now);
    return;
  }
  if (--line.holds == 0) makeReady(flow, side);
}

void Inspection::makeReady(Flow& flow, Side side) {
  Flow::Waiting& line = flow.waiting[indexOf(side)];
  if (line.ready) return;
  line.ready = true;
  ready_.push_back(flow.ref);
}

uint32_t Inspection::resume(Flow& flow, Side side, Millis now, uint32_t packetsMax) {
  Flow::Waiting& line = flow.waiting[indexOf(side)];
  uint32_t count = 0;
  releaseKept(flow, side, now);
  if (std::exchange(line.firstInspected, false)) {
    if (const HeldId id = lines_.pop(flow, side); id != kNotHeld) {
      Packet packet;
      parts_.held.load(id, packet, HeldPackets::Place::leaving);
      release(flow, side, id, packet, now);
      ++count;
    }
  }
  if (Stream* stream = knownStream(flow, side)) {
    const StageAnswer later = drain(flow, side, now);
    watchGap(flow, side, *stream);
    if (later.denies()) {
      deny(flow, later, now);
      return count;
    }
  }
  while (count < packetsMax && flow.phase == FlowPhase::inspected && line.holds == 0) {
    const HeldId id = lines_.pop(flow, side);
    if (id == kNotHeld) break;
    ++count;
    Packet packet;
    parts_.held.load(id, packet);
    Current current{packet, id};
    const Verdict verdict = packet.isTcp() ? takeTcp(flow, side, current, now) : takeDatagram(flow, side, current, now);
    if (current.gone) continue;
    switch (verdict.action) {
      case Verdict::Action::accept: letGo(flow, side, current, now); break;
      case Verdict::Action::hold:
        parts_.held.update(id, packet);
        parts_.held.setNext(id, line.first);
        line.first = id;
        if (line.last == kNotHeld) line.last = id;
        line.blocks += parts_.held.blocks(id);
        line.firstInspected = true;
        break;
      case Verdict::Action::drop:
      case Verdict::Action::reject: parts_.held.discard(id, verdict.reason, parts_.outlet); break;
    }
  }
  settleIfDone(flow, now);
  return count;
}

void Inspection::goOn(FlowTable& table, Millis now, uint32_t packetsMax) {
  // Each flow gets a share in turn, round after round.
  for (size_t i = 0; !ready_.empty() && packetsMax > 0;) {
    i %= ready_.size();
    Flow* flow = table.find(ready_[i]);
    bool more = false;
    for (const Side side : {Side::initiator, Side::responder}) {
      if (flow == nullptr || !flow->waiting[indexOf(side)].ready) continue;
      Flow::Waiting& line = flow->waiting[indexOf(side)];
      const uint32_t share = std::min<uint32_t>(packetsMax, 64);
      packetsMax -= std::min(packetsMax, std::max(1U, resume(*flow, side, now, share)));
      line.ready = flow->phase == FlowPhase::inspected && line.holds == 0 && line.first != kNotHeld;
      more = more || line.ready;
    }
    if (more) {
      ++i;
    } else {
      ready_[i] = ready_.back();
      ready_.pop_back();
    }
  }
}

}  // namespace p2pxbone::gateway
