#include "gateway/inspection.h"

#include <algorithm>
#include <cassert>

#include "gateway/answers.h"
#include "gateway/rewrite.h"

namespace p2pxbone::gateway {
namespace {

uint32_t endOf(const Packet& packet) {
  return packet.tcp.sequence + static_cast<uint32_t>(packet.payloadBytes) + (packet.tcp.has(kTcpSyn) ? 1 : 0) +
         (packet.tcp.has(kTcpFin) ? 1 : 0);
}

bool denies(const StageAnswer& answer) {
  return answer.verdict.action == Verdict::Action::drop || answer.verdict.action == Verdict::Action::reject;
}

bool holds(const StageAnswer& answer) { return answer.verdict.action == Verdict::Action::hold; }

}  // namespace

Inspection::Inspection(const Parts& parts)
    : parts_(parts),
      pool_(parts.limits.streamPages),
      lines_(parts.limits, parts.held),
      answers_(parts.limits.answersPerSecond, parts.limits.answersPerSecond) {}

void Inspection::addStage(ChunkStage& stage) {
  assert(stages_.size() < kChunkStagesMax);
  stages_.push_back(&stage);
}

// Every stage that is not done hears the question. The first one to deny ends it; `hold` is the answer if any holds.
template <typename Ask>
StageAnswer Inspection::ask(Flow& flow, Side side, Millis now, Ask&& question) {
  StageAnswer all;
  for (size_t slot = 0; slot < stages_.size(); ++slot) {
    const auto bit = static_cast<uint8_t>(1U << slot);
    if ((flow.stagesDone & bit) != 0) continue;
    const StageAnswer answer = question(*stages_[slot], StageContext{flow, slot, now});
    parts_.clock.lap(statistics_[slot]);
    if (answer.done) {
      flow.stagesDone |= bit;
      flow.memories[slot].reset();
    }
    all.keepBack = all.keepBack || answer.keepBack;
    if (answer.verdict.goesOn()) continue;
    statistics_[slot].stopped.add();
    if (denies(answer)) return answer;
    all.verdict = answer.verdict;
    counters_.holds.add();
    ++flow.waiting[indexOf(side)].holds;
  }
  return all;
}

StageAnswer Inspection::askData(Flow& flow, const Chunk& chunk, Millis now) {
  return ask(flow, chunk.side, now, [&](ChunkStage& stage, const StageContext& context) {
    return stage.data(context, chunk);
  });
}

StageAnswer Inspection::askEnd(Flow& flow, Side side, Stream& stream, Millis now) {
  bool& told = flow.streams->endTold[indexOf(side)];
  if (told || !stream.complete()) return {};
  told = true;
  return ask(flow, side, now, [&](ChunkStage& stage, const StageContext& context) { return stage.end(context, side); });
}

bool Inspection::allDone(const Flow& flow) const { return flow.stagesDone == (1U << stages_.size()) - 1; }

Verdict Inspection::syn(const Packet& packet, Millis now) {
  for (size_t slot = 0; slot < stages_.size(); ++slot) {
    const Verdict verdict = stages_[slot]->syn(packet, now);
    if (verdict.goesOn()) continue;
    statistics_[slot].stopped.add();
    return verdict;
  }
  return Verdict::accept();
}

void Inspection::begin(Flow& flow, Side side, const Packet& packet, Millis now) {
  if (packet.isTcp()) {
    for (size_t i = 0; i < 2; ++i) flow.passed[i] = flow.tcp.ends[i].first;
  }
  const StageAnswer answer = ask(flow, side, now, [&](ChunkStage& stage, const StageContext& context) {
    return stage.begin(context, packet);
  });
  if (denies(answer)) {
    deny(flow, answer, now);
  } else {
    settleIfDone(flow, now);
  }
}

Verdict Inspection::take(Flow& flow, Side side, Packet& packet, Millis now) {
  if (packet.isTcp()) acknowledge(flow, side, packet, now);
  if (flow.phase == FlowPhase::denied) return refuse(flow, side, packet, now);
  // Acknowledgements alone overtake nothing that could matter.
  const bool bare = packet.isTcp() && packet.payloadBytes == 0 && !packet.tcp.has(kTcpFin) && !packet.tcp.has(kTcpRst);
  if (flow.phase == FlowPhase::inspected && flow.waits(side) && !bare) return enqueue(flow, side, packet, now);
  if (flow.phase == FlowPhase::inspected && repeatsKept(flow, side, packet)) {
    lines_.counters().duplicates.add();
    return Verdict::drop(DropReason::gatewayHeldDuplicate);
  }
  Current current{packet};
  Verdict verdict = Verdict::accept();
  if (flow.phase == FlowPhase::inspected && !bare) {
    verdict = packet.isTcp() ? takeTcp(flow, side, current, now) : takeDatagram(flow, side, current, now);
  }
  settleIfDone(flow, now);
  if (current.gone) return Verdict::hold();
  if (verdict.goesOn() && packet.isTcp()) {
    flow.passed[indexOf(side)] = sequenceMax(flow.passed[indexOf(side)], endOf(packet));
  }
  return verdict;
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

Verdict Inspection::takeDatagram(Flow& flow, Side side, Current& current, Millis now) {
  const std::span<const uint8_t> payload = current.packet.payload();
  const Chunk chunk{side, flow.datagramBytes[indexOf(side)], payload, true};
  flow.datagramBytes[indexOf(side)] += payload.size();
  return conclude(flow, side, current, askData(flow, chunk, now), now);
}

Verdict Inspection::takeTcp(Flow& flow, Side side, Current& current, Millis now) {
  Packet& packet = current.packet;
  // An RST's data are for nobody.
  if (packet.tcp.has(kTcpRst)) return Verdict::accept();
  if (packet.tcp.has(kTcpUrg) && packet.payloadBytes != 0) {
    const auto verdict = meet(Condition::urgentData, &flow, now);
    if (!verdict) {
      clearUrgent(packet);
    } else if (!verdict->goesOn() || flow.phase != FlowPhase::inspected) {
      return *verdict;
    }
  }
  return takeSegment(flow, side, streamOf(flow, side), current, now);
}

Verdict Inspection::takeSegment(Flow& flow, Side side, Stream& stream, Current& current, Millis now) {
  Packet& packet = current.packet;
  if (stream.reachesBack(packet)) {
    const auto verdict = meet(Condition::streamOld, &flow, now);
    if (!verdict || !verdict->goesOn()) return verdict.value_or(Verdict::drop(DropReason::gatewayStreamHistory));
    if (flow.phase != FlowPhase::inspected) return *verdict;
  }
  Stream::Result result = stream.take(packet, now);
  if (result.outcome == Stream::Outcome::full && result.condition == Condition::streamHistory) {
    // With one end only there are no acknowledgements to tell what may be forgotten. Otherwise the policy says it: `pass`
    // forgets what is under way, so that inspection itself can go on.
    const bool oneSided = flow.of(other(side)).packets == 0;
    if (!oneSided) {
      const auto verdict = meet(Condition::streamHistory, &flow, now);
      if (!verdict) return Verdict::drop(DropReason::gatewayStreamHistory);
      if (!verdict->goesOn() || flow.phase != FlowPhase::inspected) return *verdict;
    }
    stream.forgetHistory();
    result = stream.take(packet, now);
    if (result.outcome == Stream::Outcome::full) return Verdict::drop(DropReason::gatewayStreamHistory);
  }
  if (packet.rewritten) counters_.rewritten.add();
  switch (result.outcome) {
    case Stream::Outcome::old: return Verdict::accept();
    case Stream::Outcome::afterEnd: return Verdict::drop(DropReason::gatewayAfterEnd);
    case Stream::Outcome::covered:
      return flow.fastPass ? Verdict::accept() : Verdict::drop(DropReason::gatewayHeldDuplicate);
    case Stream::Outcome::ahead: return ahead(flow, side, stream, current, now);
    case Stream::Outcome::full: return full(flow, now);
    case Stream::Outcome::next: break;
  }
  StageAnswer answer;
  if (result.fresh != 0) {
    answer = askData(flow, {side, result.offset, packet.payload().last(result.fresh), false}, now);
  }
  if (!denies(answer)) {
    const bool wasTold = flow.streams->endTold[indexOf(side)];
    const StageAnswer end = askEnd(flow, side, stream, now);
    if (!end.verdict.goesOn()) answer = end;
    // Nothing comes behind it.
    if (!wasTold && flow.streams->endTold[indexOf(side)]) answer.keepBack = end.keepBack;
  }
  const Verdict verdict = conclude(flow, side, current, answer, now);
  if (!verdict.goesOn() || !stream.hasMore()) return verdict;
  // What waited for this packet leaves behind it.
  if (!flow.fastPass || stream.waitingCount() != 0) letGo(flow, side, current, now);
  const StageAnswer later = drain(flow, side, now);
  watchGap(flow, side, stream);
  if (!denies(later)) return verdict;
  deny(flow, later, now);
  return later.verdict;
}

Verdict Inspection::conclude(Flow& flow, Side side, Current& current, const StageAnswer& answer, Millis now) {
  if (denies(answer)) {
    deny(flow, answer, now);
    if (answer.verdict.action == Verdict::Action::reject && !current.packet.isTcp()) {
      answerUnknown(current.packet, now);
    }
    return answer.verdict;
  }
  if (!holds(answer)) {
    releaseKept(flow, side, now);
    return answer.keepBack ? keepBack(flow, side, current) : Verdict::accept();
  }
  // One that was in the line already is put before the others by resume().
  if (current.held != kNotHeld) return answer.verdict;
  Flow::Waiting& line = flow.waiting[indexOf(side)];
  line.firstInspected = lines_.push(flow, side, current.packet);
  if (line.firstInspected) return answer.verdict;
  // Its data count as seen, so that it cannot be let go before the verdict. Until then copies of it are dropped, too.
  parts_.conditionCounters.add(Condition::heldFull);
  return Verdict::drop(DropReason::gatewayHeldFull);
}

Verdict Inspection::keepBack(Flow& flow, Side side, Current& current) {
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
    parts_.conditionCounters.add(Condition::heldFull);
    return Verdict::drop(DropReason::gatewayHeldFull);
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
  if (packet.isTcp()) flow.passed[indexOf(side)] = sequenceMax(flow.passed[indexOf(side)], endOf(packet));
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

Verdict Inspection::ahead(Flow& flow, Side side, Stream& stream, Current& current, Millis now) {
  watchGap(flow, side, stream);
  if (flow.fastPass) return Verdict::accept();
  if (stream.mayAwait()) {
    HeldId id = current.held;
    if (id == kNotHeld) {
      id = parts_.held.keep(current.packet, HeldFor::stream);
    } else {
      parts_.held.update(id, current.packet);
      parts_.held.answerFor(id, HeldFor::stream);
    }
    if (id != kNotHeld) {
      (void)stream.await(id, current.packet);
      current.gone = true;
      return Verdict::hold();
    }
  }
  return full(flow, now);
}

// With `pass` the packet goes on, and is a gap for inspection.
Verdict Inspection::full(Flow& flow, Millis now) {
  return meet(Condition::streamFull, &flow, now).value_or(Verdict::drop(DropReason::gatewayStreamFull));
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
  if (denies(answer)) {
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
    if (denies(later)) {
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

void Inspection::timer(FlowTable& table, Millis now) {
  gaps_.advance(now, 1024, [&](uint32_t item) {
    Flow* flow = table.at(item / 2);
    if (flow == nullptr) return;
    const Side side = item % 2 == 0 ? Side::initiator : Side::responder;
    Stream* stream = knownStream(*flow, side);
    if (stream == nullptr || !stream->gapSince()) return;
    if (*stream->gapSince() + parts_.limits.gapTimeout > now) {
      gaps_.schedule(item, *stream->gapSince() + parts_.limits.gapTimeout);
    } else if (flow->waits(side)) {
      gaps_.schedule(item, now + parts_.limits.gapTimeout);
    } else {
      gapTooOld(*flow, side, *stream, now);
    }
  });
}

void Inspection::watchGap(const Flow& flow, Side side, const Stream& stream) {
  const uint32_t item = flow.ref.index * 2 + static_cast<uint32_t>(indexOf(side));
  if (stream.gapSince() && !gaps_.isScheduled(item)) {
    gaps_.schedule(item, *stream.gapSince() + parts_.limits.gapTimeout);
  }
}

void Inspection::skipped(Flow& flow, Side side, Stream& stream, uint64_t bytes, Millis now) {
  StageAnswer answer = ask(flow, side, now, [&](ChunkStage& stage, const StageContext& context) {
    return stage.gap(context, side, bytes);
  });
  if (answer.verdict.goesOn()) answer = drain(flow, side, now);
  watchGap(flow, side, stream);
  if (denies(answer)) deny(flow, answer, now);
}

void Inspection::acknowledge(Flow& flow, Side side, const Packet& packet, Millis now) {
  const Side sender = other(side);
  Stream* stream = knownStream(flow, sender);
  if (stream == nullptr || !packet.tcp.has(kTcpAck)) return;
  // Where windows are known nothing can be acknowledged that was not seen; a gap there is not given up because of an
  // acknowledgement, which might be forged.
  const bool evenUnseen = flow.tcp.liberal && !flow.waits(sender);
  const uint64_t lost = stream->acknowledged(packet.tcp.acknowledgement, evenUnseen, now);
  if (lost == 0) return;
  parts_.conditionCounters.add(Condition::streamGap);
  skipped(flow, sender, *stream, lost, now);
}

void Inspection::gapTooOld(Flow& flow, Side side, Stream& stream, Millis now) {
  const auto verdict = meet(Condition::streamGap, &flow, now);
  if (flow.phase != FlowPhase::inspected) return;
  if (verdict && verdict->goesOn()) {
    const uint64_t lost = stream.skipGap(now);
    skipped(flow, side, stream, lost, now);
    settleIfDone(flow, now);
    return;
  }
  if (flow.fastPass) {
    // What lies beyond the gap has gone on unseen, and cannot be called back.
    deny(flow, {.verdict = Verdict::drop(DropReason::gatewayStreamGap)}, now);
    return;
  }
  while (const auto id = stream.takeAny()) {
    parts_.held.discard(*id, DropReason::gatewayStreamGap, parts_.outlet);
  }
  stream.forgetAhead();
}

}  // namespace p2pxbone::gateway
