#include "gateway/inspection.h"

#include <cassert>

#include "gateway/answers.h"
#include "gateway/rewrite.h"

namespace p2pxbone::gateway {

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
    if (answer.denies()) return answer;
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

StageAnswer Inspection::askGap(Flow& flow, Side side, uint64_t bytes, Millis now) {
  return ask(flow, side, now, [&](ChunkStage& stage, const StageContext& context) {
    return stage.gap(context, side, bytes);
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
  if (answer.denies()) {
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
  if (verdict.goesOn()) notePassed(flow, side, packet);
  return verdict;
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
  if (stream.bringsUnseen(packet)) {
    const auto verdict = meet(Condition::streamGap, &flow, now);
    if (!verdict || !verdict->goesOn()) return verdict.value_or(Verdict::drop(DropReason::gatewayStreamGap));
    if (flow.phase != FlowPhase::inspected) return *verdict;
  }
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
  if (!answer.denies()) {
    const bool wasTold = flow.streams->endTold[indexOf(side)];
    const StageAnswer end = askEnd(flow, side, stream, now);
    if (!end.verdict.goesOn()) answer = end;
    // Nothing comes behind it.
    if (!wasTold && flow.streams->endTold[indexOf(side)]) answer.keepBack = end.keepBack;
  }
  const Verdict verdict = conclude(flow, side, current, answer, now);
  // What waits for a verdict may have gone on all the same, for want of room; the flow with it.
  if (!verdict.goesOn() || answer.holds() || flow.phase != FlowPhase::inspected || !stream.hasMore()) return verdict;
  // What waited for this packet leaves behind it.
  if (!flow.fastPass || stream.waitingCount() != 0) letGo(flow, side, current, now);
  const StageAnswer later = drain(flow, side, now);
  watchGap(flow, side, stream);
  // With fast pass what came before its turn is at the receiver, but of no use to it without the packet at hand.
  if (!later.denies()) return current.gone || !later.holds() ? verdict : conclude(flow, side, current, later, now);
  deny(flow, later, now);
  return later.verdict;
}

Verdict Inspection::conclude(Flow& flow, Side side, Current& current, const StageAnswer& answer, Millis now) {
  if (answer.denies()) {
    deny(flow, answer, now);
    if (answer.verdict.action == Verdict::Action::reject && !current.packet.isTcp()) {
      answerUnknown(current.packet, now);
    }
    return answer.verdict;
  }
  if (!answer.holds()) {
    releaseKept(flow, side, now);
    return answer.keepBack ? keepBack(flow, side, current, now) : Verdict::accept();
  }
  // One that was in the line already is put before the others by resume().
  if (current.held != kNotHeld) return answer.verdict;
  Flow::Waiting& line = flow.waiting[indexOf(side)];
  line.firstInspected = lines_.push(flow, side, current.packet);
  if (line.firstInspected) return answer.verdict;
  // Its data count as seen: where it is dropped, so are copies of it until the verdict.
  return meet(Condition::heldFull, &flow, now).value_or(Verdict::drop(DropReason::gatewayHeldFull));
}

}  // namespace p2pxbone::gateway
