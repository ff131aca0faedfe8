#include "gateway/tcp_track.h"

#include <algorithm>

#include "core/bytes.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kWindowScaleMax = 14;
// How far behind the newest a segment or an acknowledgement may lie at least.
constexpr uint32_t kBehindMin = 66'000;
// The largest window there is (RFC 7323 §2.3), where the real one is not known.
constexpr int32_t kLiberalDistance = 1 << 30;

// Sequence numbers that it takes.
uint32_t lengthOf(const Packet& packet) {
  return static_cast<uint32_t>(packet.payloadBytes) + (packet.tcp.has(kTcpSyn) ? 1 : 0) +
         (packet.tcp.has(kTcpFin) ? 1 : 0);
}

void beginWithSyn(TcpEnd& end, uint32_t sequence, uint16_t window, uint8_t scale) {
  end = {};
  end.first = sequence + 1;
  end.end = sequence + 1;
  end.acked = sequence;
  end.maxEnd = sequence + 1;  // the other end has allowed nothing yet
  end.maxWindow = window;
  end.scale = scale;
  end.known = true;
  end.syn = true;
}

// Nothing is known of the end but what this packet of its says.
void beginInTheMiddle(TcpTrack& track, Side side, const Packet& packet) {
  TcpEnd& sender = track.of(side);
  if (!sender.known) {
    sender.first = packet.tcp.sequence;
    sender.end = packet.tcp.sequence;
    sender.acked = packet.tcp.sequence;
    sender.maxEnd = packet.tcp.sequence + static_cast<uint32_t>(kLiberalDistance);
    sender.scale = kWindowScaleMax;
    sender.known = true;
  }
  track.liberal = true;
}

// Both ends scale, or none (RFC 7323 §1.3).
void agreeOnScale(TcpTrack& track) {
  TcpEnd& a = track.ends[0];
  TcpEnd& b = track.ends[1];
  if (!a.syn || !b.syn) return;
  if (a.scale == kNoWindowScale || b.scale == kNoWindowScale) a.scale = b.scale = 0;
}

uint8_t shiftOf(uint8_t scale) { return scale == kNoWindowScale ? 0 : scale; }

void learnAcknowledgement(TcpTrack& track, Side side, const TcpHeader& tcp) {
  TcpEnd& sender = track.of(side);
  TcpEnd& receiver = track.of(other(side));
  const uint32_t window = tcp.has(kTcpSyn) ? tcp.window : uint32_t{tcp.window} << shiftOf(sender.scale);
  sender.maxWindow = std::max(sender.maxWindow, window);
  if (!receiver.known) return;
  receiver.acked = sequenceMax(receiver.acked, tcp.acknowledgement);
  if (track.liberal) receiver.end = sequenceMax(receiver.end, tcp.acknowledgement);
  // A closed window is probed with one byte.
  receiver.maxEnd = sequenceMax(receiver.maxEnd, tcp.acknowledgement + std::max(window, 1U));
  if (receiver.fin && !sequenceBefore(tcp.acknowledgement, receiver.finAt + 1)) receiver.finAcked = true;
}

bool acknowledgementPossible(const TcpTrack& track, Side side, const TcpHeader& tcp) {
  const TcpEnd& receiver = track.of(other(side));
  if (!tcp.has(kTcpAck) || !receiver.known) return true;
  if (!track.liberal && sequenceBefore(receiver.end, tcp.acknowledgement)) return false;
  const uint32_t behind = std::max(track.of(side).maxWindow, kBehindMin);
  return !sequenceBefore(tcp.acknowledgement, receiver.acked - behind);
}

bool sequencePossible(const TcpTrack& track, Side side, const Packet& packet) {
  const TcpEnd& sender = track.of(side);
  if (!sender.known) return true;
  const uint32_t sequence = packet.tcp.sequence;
  if (track.liberal) {
    const int32_t distance = sequenceDistance(sender.end, sequence);
    return distance >= -kLiberalDistance && distance <= kLiberalDistance;
  }
  if (sequenceBefore(sender.maxEnd, sequence)) return false;
  const uint32_t behind = std::max(track.of(other(side)).maxWindow, kBehindMin);
  return !sequenceBefore(sequence + lengthOf(packet), sender.acked - behind);
}

TcpVerdict trackReset(TcpTrack& track, Side side, const Packet& packet) {
  const TcpEnd& sender = track.of(side);
  const TcpEnd& receiver = track.of(other(side));
  const TcpHeader& tcp = packet.tcp;
  if (!sender.known) {
    // RFC 9293 §3.10.7.3: an answer to a SYN must acknowledge it.
    const bool answers = tcp.has(kTcpAck) && receiver.known && tcp.acknowledgement == receiver.end;
    if (!answers && !track.liberal) return TcpVerdict::outsideWindow;
  } else if (track.liberal) {
    if (!sequencePossible(track, side, packet)) return TcpVerdict::outsideWindow;
  } else if (sequenceBefore(tcp.sequence, sender.acked) || sequenceBefore(sender.maxEnd, tcp.sequence)) {
    return TcpVerdict::outsideWindow;
  }
  track.phase = TcpPhase::reset;
  return TcpVerdict::valid;
}

bool repeatsSyn(const TcpEnd& sender, const TcpHeader& tcp) { return sender.syn && tcp.sequence + 1 == sender.first; }

// A SYN of an end whose SYN is known already, or that was picked up later than that.
TcpVerdict trackLateSyn(TcpTrack& track, Side side, const Packet& packet) {
  const TcpHeader& tcp = packet.tcp;
  const TcpEnd& sender = track.of(side);
  if (repeatsSyn(sender, tcp)) {
    if (!acknowledgementPossible(track, side, tcp)) return TcpVerdict::outsideWindow;
    if (tcp.has(kTcpAck)) learnAcknowledgement(track, side, tcp);
    return TcpVerdict::valid;
  }
  if (tcp.has(kTcpAck)) return TcpVerdict::badState;
  const bool over = track.phase == TcpPhase::closed || track.phase == TcpPhase::reset;
  const bool unanswered = track.phase == TcpPhase::opening && !track.of(other(side)).known;
  if (over || unanswered) return TcpVerdict::restart;
  return probe(track, side, packet) ? TcpVerdict::valid : TcpVerdict::badState;
}

TcpVerdict trackSyn(TcpTrack& track, Side side, const Packet& packet) {
  TcpEnd& sender = track.of(side);
  const TcpEnd& receiver = track.of(other(side));
  const TcpHeader& tcp = packet.tcp;
  if (answersProbe(track, side, packet)) return TcpVerdict::restart;
  if (sender.known) return trackLateSyn(track, side, packet);
  if (tcp.has(kTcpAck) && receiver.known && !track.liberal) {
    const bool acknowledgesSyn = !sequenceBefore(tcp.acknowledgement, receiver.first) &&
                                 !sequenceBefore(receiver.end, tcp.acknowledgement);
    if (!acknowledgesSyn) return TcpVerdict::outsideWindow;
  }
  beginWithSyn(sender, tcp.sequence, tcp.window, windowScaleOf(packet));
  sender.end += static_cast<uint32_t>(packet.payloadBytes);
  if (receiver.known) sender.maxEnd = sender.first + std::max(receiver.maxWindow, 1U);
  // Now both beginnings are certain, whatever came between them.
  if (receiver.syn) track.liberal = false;
  agreeOnScale(track);
  if (tcp.has(kTcpAck)) learnAcknowledgement(track, side, tcp);
  return TcpVerdict::valid;
}

void updatePhase(TcpTrack& track) {
  const TcpEnd& a = track.ends[0];
  const TcpEnd& b = track.ends[1];
  if (a.finAcked && b.finAcked) {
    track.phase = TcpPhase::closed;
  } else if (a.fin || b.fin) {
    track.phase = TcpPhase::closing;
  } else {
    track.phase = TcpPhase::open;
  }
}

}  // namespace

uint8_t windowScaleOf(const Packet& packet) {
  const std::span<const uint8_t> options = packet.transport().first(packet.tcp.headerBytes).subspan(kTcpHeaderBytesMin);
  for (size_t at = 0; at < options.size();) {
    const uint8_t kind = options[at];
    if (kind == 0) break;
    if (kind == 1) {
      ++at;
      continue;
    }
    if (at + 1 >= options.size() || options[at + 1] < 2 || at + options[at + 1] > options.size()) break;
    if (kind == 3 && options[at + 1] == 3) return std::min(options[at + 2], kWindowScaleMax);
    at += options[at + 1];
  }
  return kNoWindowScale;
}

bool probe(TcpTrack& track, Side side, const Packet& packet) {
  const TcpHeader& tcp = packet.tcp;
  if ((tcp.flags & (kTcpSyn | kTcpAck | kTcpRst)) != kTcpSyn || packet.payloadBytes != 0) return false;
  if (repeatsSyn(track.of(side), tcp)) return false;
  track.probing = true;
  track.probeSide = side;
  track.probeSequence = tcp.sequence;
  return true;
}

bool isProbe(const TcpTrack& track, Side side, const Packet& packet) {
  const TcpHeader& tcp = packet.tcp;
  return tcp.has(kTcpSyn) && !tcp.has(kTcpAck) && track.probing && track.probeSide == side &&
         track.probeSequence == tcp.sequence;
}

bool answersProbe(const TcpTrack& track, Side side, const Packet& packet) {
  const TcpHeader& tcp = packet.tcp;
  return tcp.has(kTcpSyn) && tcp.has(kTcpAck) && track.probing && track.probeSide != side &&
         tcp.acknowledgement == track.probeSequence + 1;
}

TcpVerdict trackTcp(TcpTrack& track, Side side, const Packet& packet) {
  const TcpHeader& tcp = packet.tcp;
  if (tcp.has(kTcpRst)) return trackReset(track, side, packet);
  if (tcp.has(kTcpSyn)) return trackSyn(track, side, packet);
  if (!track.of(side).known || !track.of(other(side)).known) beginInTheMiddle(track, side, packet);
  if (!sequencePossible(track, side, packet) || !acknowledgementPossible(track, side, tcp)) {
    return TcpVerdict::outsideWindow;
  }
  TcpEnd& sender = track.of(side);
  const uint32_t end = tcp.sequence + lengthOf(packet);
  sender.end = sequenceMax(sender.end, end);
  if (tcp.has(kTcpFin) && !sender.fin) {
    sender.fin = true;
    sender.finAt = end - 1;
  }
  if (tcp.has(kTcpAck)) learnAcknowledgement(track, side, tcp);
  updatePhase(track);
  return TcpVerdict::valid;
}

TcpTrack trackOf(const TcpHandshake& handshake) {
  TcpTrack track;
  if (handshake.asked) {
    beginWithSyn(track.ends[0], handshake.initiatorSequence, handshake.initiatorWindow, handshake.initiatorScale);
  } else if (handshake.answered) {
    // The answer tells the number; window and scale it does not. What that end says may go another way altogether, as it
    // does where each direction is routed for itself.
    beginWithSyn(track.ends[0], handshake.initiatorSequence, 0xffff, kWindowScaleMax);
    track.liberal = true;
  }
  if (handshake.answered) {
    beginWithSyn(track.ends[1], handshake.responderSequence, handshake.responderWindow, handshake.responderScale);
  }
  if (handshake.asked) agreeOnScale(track);
  if (handshake.answered) {
    track.ends[0].acked = handshake.initiatorSequence + 1;
    track.ends[0].maxEnd = handshake.initiatorSequence + 1 + std::max<uint32_t>(handshake.responderWindow, 1);
    track.ends[1].maxEnd = handshake.responderSequence + 1 + std::max(track.ends[0].maxWindow, 1U);
  }
  return track;
}

}  // namespace p2pxbone::gateway
