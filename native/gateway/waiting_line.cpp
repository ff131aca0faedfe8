#include "gateway/waiting_line.h"

namespace p2pxbone::gateway {
namespace {

uint32_t endOf(const Packet& packet) {
  return packet.tcp.sequence + static_cast<uint32_t>(packet.payloadBytes) + (packet.tcp.has(kTcpFin) ? 1 : 0);
}

}  // namespace

bool WaitingLines::push(Flow& flow, Side side, Packet& packet) {
  Flow::Waiting& line = flow.waiting[indexOf(side)];
  const bool first = line.first == kNotHeld;
  if (packet.isTcp()) {
    // What comes behind a hole does not count: the hole may still be filled.
    const bool joins = !sequenceBefore(line.queuedEnd, packet.tcp.sequence);
    if (first) {
      line.queuedEnd = endOf(packet);
    } else if (joins) {
      line.queuedEnd = sequenceMax(line.queuedEnd, endOf(packet));
    }
  }
  const bool room = line.blocks < limits_.heldBlocksPerFlow;
  const HeldId id = room ? held_.keep(packet, HeldFor::verdict) : kNotHeld;
  if (id == kNotHeld) {
    counters_.refused.add();
    return false;
  }
  counters_.packets.add();
  line.blocks += held_.blocks(id);
  held_.setNext(id, kNotHeld);
  if (first) {
    line.first = id;
  } else {
    held_.setNext(line.last, id);
  }
  line.last = id;
  return true;
}

bool WaitingLines::knows(const Flow& flow, Side side, const Packet& packet) const {
  const Flow::Waiting& line = flow.waiting[indexOf(side)];
  if (!packet.isTcp() || packet.payloadBytes == 0) return false;
  return !sequenceBefore(line.queuedEnd, endOf(packet));
}

HeldId WaitingLines::pop(Flow& flow, Side side) {
  Flow::Waiting& line = flow.waiting[indexOf(side)];
  const HeldId id = line.first;
  if (id == kNotHeld) return kNotHeld;
  line.blocks -= held_.blocks(id);
  line.first = held_.next(id);
  if (line.first == kNotHeld) line.last = kNotHeld;
  return id;
}

void WaitingLines::discardAll(Flow& flow, Side side, DropReason reason, Outlet& outlet) {
  for (HeldId id = pop(flow, side); id != kNotHeld; id = pop(flow, side)) held_.discard(id, reason, outlet);
}

}  // namespace p2pxbone::gateway
