#include "gateway/half_open.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace p2pxbone::gateway {
namespace {

constexpr Millis kTick = 16;

constexpr uint8_t kInitiatorIsB = 1;
constexpr uint8_t kAsked = 2;     // the initiator's SYN was seen
constexpr uint8_t kAnswered = 4;  // the responder's SYN was seen
// Instead of a SYN the responder has acknowledged something else (RFC 5961 §4.2): it has a connection of these ports that the
// initiator has lost. Entry::responderSequence is what it acknowledges.
constexpr uint8_t kChallenged = 8;

constexpr uint8_t kScaleNone = 15;

uint8_t packScale(uint8_t scale) { return scale == kNoWindowScale ? kScaleNone : scale; }
uint8_t unpackScale(unsigned scale) { return scale == kScaleNone ? kNoWindowScale : static_cast<uint8_t>(scale); }

void count(uint8_t& packets, uint16_t& bytes, const Packet& packet) {
  if (packets < 0xff) ++packets;
  bytes = static_cast<uint16_t>(std::min<size_t>(0xffff, bytes + packet.bytes.size()));
}

}  // namespace

void HalfOpenFlows::Free::operator()(Entry* entries) const { std::free(entries); }

HalfOpenFlows::HalfOpenFlows(const Limits& limits)
    : sets_(std::bit_ceil(std::max(1U, (limits.halfOpenFlows + kWays - 1) / kWays))),
      timeoutTicks_(static_cast<uint32_t>(limits.halfOpenTimeout / kTick)),
      entries_(static_cast<Entry*>(std::calloc(size_t{sets_} * kWays, sizeof(Entry)))) {
  if (!entries_) throw std::bad_alloc();
}

bool HalfOpenFlows::alive(const Entry& entry, uint32_t tick) const {
  return entry.fingerprint != 0 && tick - entry.seen < timeoutTicks_;
}

HalfOpenFlows::Entry* HalfOpenFlows::find(Entry* set, uint64_t fingerprint, uint32_t tick) const {
  Entry* found = std::find_if(set, set + kWays, [&](const Entry& entry) { return entry.fingerprint == fingerprint; });
  return found != set + kWays && alive(*found, tick) ? found : nullptr;
}

HalfOpenFlows::Entry* HalfOpenFlows::place(Entry* set, uint32_t tick) {
  Entry* oldest = set;
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (!alive(*entry, tick)) return entry;
    if (tick - entry->seen > tick - oldest->seen) oldest = entry;
  }
  counters_.evicted.add();
  return oldest;
}

HalfOpenFlows::Outcome HalfOpenFlows::begin(const Packet& packet, const DirectedKey& directed, uint64_t hash,
                                            Entry* known, uint32_t tick) {
  const bool answer = packet.tcp.has(kTcpAck);
  Entry* set = &entries_[(hash & (sets_ - 1)) * kWays];
  // The same again, or another attempt before the first one was answered.
  const bool repeated = known != nullptr && packet.tcp.sequence == known->initiatorSequence;
  Entry& entry = known != nullptr ? *known : *place(set, tick);
  if (!repeated) {
    entry = {};
    entry.fingerprint = hash | 1;
    entry.scales = kScaleNone << 4 | kScaleNone;
    counters_.begun.add();
  }
  entry.seen = tick;
  if (answer) {
    // The SYN went another way, or its entry is gone. The sender is the responder all the same.
    entry.flags = static_cast<uint8_t>(kAnswered | (directed.senderIsB ? 0 : kInitiatorIsB));
    entry.initiatorSequence = packet.tcp.acknowledgement - 1;
    entry.responderSequence = packet.tcp.sequence;
    entry.responderWindow = packet.tcp.window;
    entry.scales = static_cast<uint8_t>((entry.scales & 0xf0) | packScale(windowScaleOf(packet)));
    count(entry.responderPackets, entry.responderBytes, packet);
    return Outcome::handshake;
  }
  entry.flags = static_cast<uint8_t>((entry.flags & kAnswered) | kAsked | (directed.senderIsB ? kInitiatorIsB : 0));
  entry.initiatorSequence = packet.tcp.sequence;
  entry.initiatorWindow = packet.tcp.window;
  entry.scales = static_cast<uint8_t>((entry.scales & 0x0f) | packScale(windowScaleOf(packet)) << 4);
  count(entry.initiatorPackets, entry.initiatorBytes, packet);
  return Outcome::handshake;
}

HalfOpenFlows::Outcome HalfOpenFlows::answer(const Packet& packet, const DirectedKey&, Entry& entry) {
  const TcpHeader& tcp = packet.tcp;
  if (tcp.acknowledgement != entry.initiatorSequence + 1) return Outcome::forged;
  if ((entry.flags & kAnswered) != 0 && tcp.sequence != entry.responderSequence) return Outcome::forged;
  entry.flags = static_cast<uint8_t>((entry.flags & ~kChallenged) | kAnswered);
  entry.responderSequence = tcp.sequence;
  entry.responderWindow = tcp.window;
  entry.scales = static_cast<uint8_t>((entry.scales & 0xf0) | packScale(windowScaleOf(packet)));
  count(entry.responderPackets, entry.responderBytes, packet);
  return Outcome::handshake;
}

TcpHandshake HalfOpenFlows::handshakeOf(const Entry& entry) {
  return {entry.initiatorSequence,
          entry.responderSequence,
          entry.initiatorWindow,
          entry.responderWindow,
          unpackScale(entry.scales >> 4U),
          unpackScale(entry.scales & 0x0fU),
          (entry.flags & kAsked) != 0,
          (entry.flags & kAnswered) != 0};
}

HalfOpenFlows::Outcome HalfOpenFlows::promote(Entry& entry, Promotion& promotion) {
  promotion.handshake = handshakeOf(entry);
  promotion.initiatorIsB = (entry.flags & kInitiatorIsB) != 0;
  promotion.packets = {entry.initiatorPackets, entry.responderPackets};
  promotion.bytes = {entry.initiatorBytes, entry.responderBytes};
  entry.fingerprint = 0;
  counters_.promoted.add();
  return Outcome::promoted;
}

HalfOpenFlows::Outcome HalfOpenFlows::look(const Packet& packet, const DirectedKey& directed, uint64_t hash, Millis now,
                                           Promotion& promotion) {
  const auto tick = static_cast<uint32_t>(now / kTick);
  Entry* entry = find(&entries_[(hash & (sets_ - 1)) * kWays], hash | 1, tick);
  const TcpHeader& tcp = packet.tcp;
  const bool syn = tcp.has(kTcpSyn);
  const bool empty = packet.payloadBytes == 0;
  if (entry == nullptr) {
    return syn && empty ? begin(packet, directed, hash, nullptr, tick) : Outcome::unknown;
  }
  const bool fromInitiator = directed.senderIsB == ((entry->flags & kInitiatorIsB) != 0);
  if (syn && empty && fromInitiator && !tcp.has(kTcpAck)) {
    const bool settled = (entry->flags & kAnswered) != 0 && tcp.sequence != entry->initiatorSequence;
    if (!settled) return begin(packet, directed, hash, entry, tick);
  }
  if (syn && empty && !fromInitiator && tcp.has(kTcpAck)) return answer(packet, directed, *entry);
  const bool answered = (entry->flags & kAnswered) != 0;
  const bool bare = (tcp.flags & (kTcpSyn | kTcpRst | kTcpFin | kTcpAck)) == kTcpAck;
  if (bare && empty && !fromInitiator && !answered && tcp.acknowledgement != entry->initiatorSequence + 1) {
    entry->flags |= kChallenged;
    entry->responderSequence = tcp.acknowledgement;
    count(entry->responderPackets, entry->responderBytes, packet);
    return Outcome::handshake;
  }
  if (tcp.has(kTcpRst) && empty) {
    // The initiator ends what the responder has, and asks once more (RFC 9293 §3.10.7.3).
    if (fromInitiator && (entry->flags & kChallenged) != 0 && tcp.sequence == entry->responderSequence) {
      count(entry->initiatorPackets, entry->initiatorBytes, packet);
      return Outcome::handshake;
    }
    // RFC 9293 §3.10.7.3: it must acknowledge the SYN, or come from who sent it.
    const bool valid = fromInitiator ? tcp.sequence == entry->initiatorSequence + 1 || (entry->flags & kAsked) == 0
                                     : tcp.has(kTcpAck) && tcp.acknowledgement == entry->initiatorSequence + 1;
    const bool afterAnswer = !fromInitiator && answered &&
                             tcp.sequence == entry->responderSequence + 1;
    if (!valid && !afterAnswer) return Outcome::forged;
    entry->fingerprint = 0;
    counters_.refused.add();
    return Outcome::handshake;
  }
  // What no end would accept makes no record: one begins with a packet that is its connection's.
  TcpTrack track = trackOf(handshakeOf(*entry));
  const TcpVerdict verdict = trackTcp(track, fromInitiator ? Side::initiator : Side::responder, packet);
  if (verdict == TcpVerdict::outsideWindow || verdict == TcpVerdict::badState) return Outcome::forged;
  promotion.seen = now - Millis{tick - entry->seen} * kTick;
  return promote(*entry, promotion);
}

void HalfOpenFlows::expect(const Packet& packet, const DirectedKey& directed, uint64_t hash, Millis now) {
  const auto tick = static_cast<uint32_t>(now / kTick);
  Entry* entry = find(&entries_[(hash & (sets_ - 1)) * kWays], hash | 1, tick);
  const bool fromInitiator = entry != nullptr && directed.senderIsB == ((entry->flags & kInitiatorIsB) != 0);
  const bool repeated = fromInitiator && packet.tcp.sequence == entry->initiatorSequence;
  if (entry != nullptr && !repeated) entry->fingerprint = 0;
  (void)begin(packet, directed, hash, repeated ? entry : nullptr, tick);
}

uint32_t HalfOpenFlows::countLive(Millis now) const {
  const auto tick = static_cast<uint32_t>(now / kTick);
  return static_cast<uint32_t>(std::count_if(entries_.get(), entries_.get() + size_t{sets_} * kWays,
                                             [&](const Entry& entry) { return alive(entry, tick); }));
}

}  // namespace p2pxbone::gateway
