// Gnutella 0.4 and 0.6: handshake, messages (searches, hits, pushes), and file transfers in either direction.
#pragma once

#include <array>
#include <string>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class GnutellaParser final : public ParserBase {
 private:
  enum class Phase : uint8_t { first, handshake, messages };
  struct Direction {
    Phase phase = Phase::first;
    bool accepts = false;  // the handshake block says that messages follow
    bool deflated = false;
    size_t headBytes = 0;
  };

  bool step(Side side, ParserEvents& events) override;
  [[nodiscard]] bool mayAnnounce() const override { return true; }
  bool first(Side side, ParserEvents& events);
  bool handshake(Side side, ParserEvents& events);
  bool blockStarts(Side side, std::string_view line, ParserEvents& events);
  bool blockEnds(Side side, ParserEvents& events);
  bool field(Side side, std::string_view line, ParserEvents& events);
  bool give(Side side, std::string_view line, ParserEvents& events);
  bool message(Side side, ParserEvents& events);
  void payload(Side side, uint8_t type, std::span<const uint8_t> bytes, ParserEvents& events);
  void hits(Side side, std::span<const uint8_t> bytes, ParserEvents& events);

  std::array<Direction, 2> directions_;
};

}  // namespace p2pxbone::gateway
