// Follows the state of a TCP connection from the middle: which segments its ends can accept. What they would not accept
// must not count here either, or forged segments could make the gateway look away.
#pragma once

#include <array>
#include <cstdint>

#include "gateway/chunk.h"
#include "gateway/packet.h"

namespace p2pxbone::gateway {

// Sequence numbers wrap; these hold for distances below 2^31.
[[nodiscard]] constexpr int32_t sequenceDistance(uint32_t from, uint32_t to) { return static_cast<int32_t>(to - from); }
[[nodiscard]] constexpr bool sequenceBefore(uint32_t a, uint32_t b) { return sequenceDistance(a, b) > 0; }
[[nodiscard]] constexpr uint32_t sequenceMax(uint32_t a, uint32_t b) { return sequenceBefore(a, b) ? b : a; }

inline constexpr uint8_t kNoWindowScale = 0xff;

// The window scale option of a SYN (RFC 7323 §2.2), at most 14; kNoWindowScale if it has none.
[[nodiscard]] uint8_t windowScaleOf(const Packet& packet);

enum class TcpPhase : uint8_t {
  opening,
  open,
  closing,  // an end has said FIN
  closed,   // both have, and both FINs are acknowledged
  reset,    // an RST has passed. If data still come the connection lives, and is inspected as before
};

// What is known of one end.
struct TcpEnd {
  uint32_t first = 0;   // sequence number of the first byte of its stream
  uint32_t end = 0;     // one past the highest that it has sent
  uint32_t acked = 0;   // highest acknowledgement that it has got
  uint32_t maxEnd = 0;  // highest that the other end has allowed it to send
  uint32_t maxWindow = 0;  // largest that it has offered, bytes
  uint32_t finAt = 0;
  uint8_t scale = 0;
  bool known = false;  // a packet of it was seen
  bool syn = false;    // its SYN was seen, so that its numbers are certain
  bool fin = false;
  bool finAcked = false;
};

struct TcpTrack {
  std::array<TcpEnd, 2> ends;
  TcpPhase phase = TcpPhase::opening;
  // Only one end's packets pass here, or the connection's beginning was not seen: windows are not to be relied on.
  bool liberal = false;
  // A SYN that came while the connection was open. If it is answered, a new connection takes its place.
  bool probing = false;
  Side probeSide = Side::initiator;
  uint32_t probeSequence = 0;

  [[nodiscard]] TcpEnd& of(Side side) { return ends[indexOf(side)]; }
  [[nodiscard]] const TcpEnd& of(Side side) const { return ends[indexOf(side)]; }
};

enum class TcpVerdict : uint8_t {
  valid,
  outsideWindow,  // no end would accept it
  badState,
  restart,  // it begins a new connection between the same ports
};

// `packet` comes from `side`. Unless it is valid the track is as before.
[[nodiscard]] TcpVerdict trackTcp(TcpTrack& track, Side side, const Packet& packet);

// A SYN with another number than the one before, by which its sender would begin a new connection between the same ports: the
// track remembers it. Whether the other end has given up the old one only its answer tells.
[[nodiscard]] bool probe(TcpTrack& track, Side side, const Packet& packet);
// Whether the packet is the latest of these.
[[nodiscard]] bool isProbe(const TcpTrack& track, Side side, const Packet& packet);
// The new connection takes the old one's place.
[[nodiscard]] bool answersProbe(const TcpTrack& track, Side side, const Packet& packet);

// What was seen of a handshake: the initiator's SYN if it was `asked`, the responder's if it was `answered`.
struct TcpHandshake {
  uint32_t initiatorSequence = 0;
  uint32_t responderSequence = 0;
  uint16_t initiatorWindow = 0;
  uint16_t responderWindow = 0;
  uint8_t initiatorScale = kNoWindowScale;
  uint8_t responderScale = kNoWindowScale;
  bool asked = false;
  bool answered = false;
};
[[nodiscard]] TcpTrack trackOf(const TcpHandshake& handshake);

}  // namespace p2pxbone::gateway
