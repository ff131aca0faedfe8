// What is missing from a TCP stream: who waits for it, how long, and what follows when it does not come.
#include "gateway/inspection.h"

namespace p2pxbone::gateway {

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

void Inspection::skipped(Flow& flow, Side side, Stream& stream, uint64_t bytes, Millis now) {
  StageAnswer answer = askGap(flow, side, bytes, now);
  if (answer.verdict.goesOn()) answer = drain(flow, side, now);
  watchGap(flow, side, stream);
  if (answer.denies()) deny(flow, answer, now);
}

void Inspection::watchGap(const Flow& flow, Side side, const Stream& stream) {
  const uint32_t item = flow.ref.index * 2 + static_cast<uint32_t>(indexOf(side));
  if (stream.gapSince() && !gaps_.isScheduled(item)) {
    gaps_.schedule(item, *stream.gapSince() + parts_.limits.gapTimeout);
  }
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

}  // namespace p2pxbone::gateway
