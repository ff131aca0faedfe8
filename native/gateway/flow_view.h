// The first data of a flow, as recognisers look at it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/packet.h"
#include "gateway/chunk.h"

namespace p2pxbone::gateway {

struct FlowEnds {
  Address initiator{};
  Address responder{};
  uint16_t initiatorPort = 0;
  uint16_t responderPort = 0;
  uint8_t protocol = 0;

  [[nodiscard]] const Address& address(Side side) const { return side == Side::initiator ? initiator : responder; }
  [[nodiscard]] uint16_t port(Side side) const { return side == Side::initiator ? initiatorPort : responderPort; }
};

// A datagram, or consecutive bytes of one direction of a stream.
struct Piece {
  Side side = Side::initiator;
  uint16_t bytes = 0;
};

struct FlowView {
  const FlowEnds& ends;
  bool datagrams = false;
  // What each side has sent, from its first byte on; the datagrams of a side stand behind one another.
  std::array<std::span<const uint8_t>, 2> bytes;
  // In the order of arrival. Together they are all of `bytes`.
  std::span<const Piece> pieces;

  [[nodiscard]] std::span<const uint8_t> of(Side side) const { return bytes[indexOf(side)]; }

  // Calls take(Side, std::span<const uint8_t>) with each piece in the order of arrival, as long as it returns true.
  template <typename Take>
  void forEachPiece(Take take) const {
    std::array<size_t, 2> at{};
    for (const Piece& piece : pieces) {
      size_t& offset = at[indexOf(piece.side)];
      if (!take(piece.side, of(piece.side).subspan(offset, piece.bytes))) return;
      offset += piece.bytes;
    }
  }
};

}  // namespace p2pxbone::gateway
