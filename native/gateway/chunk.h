// Ordered bytes, as every stage after ordering sees them.
#pragma once

#include <cstdint>
#include <span>

namespace p2pxbone::gateway {

// Who sends: the flow's first speaker, or the other.
enum class Side : uint8_t { initiator, responder };

[[nodiscard]] constexpr Side other(Side side) { return side == Side::initiator ? Side::responder : Side::initiator; }
[[nodiscard]] constexpr size_t indexOf(Side side) { return static_cast<size_t>(side); }

// The next bytes of one direction of a TCP flow, or one UDP payload.
struct Chunk {
  Side side = Side::initiator;
  // Of the first byte, counted from the start of this direction: the byte after the SYN, or the first byte seen of a flow
  // that was picked up in mid-flow. Of a datagram: the bytes of the datagrams before it.
  uint64_t offset = 0;
  // Dies with the call that hands it over.
  std::span<const uint8_t> bytes;
  bool datagram = false;
};

}  // namespace p2pxbone::gateway
