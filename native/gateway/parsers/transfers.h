// The open transfers of a flow, one of each side: keeps beginnings and ends paired.
#pragma once

#include <array>

#include "gateway/parsers/parser.h"

namespace p2pxbone::gateway {

class Transfers {
 public:
  // One that is still open is cut.
  void begin(Side sender, const Transfer& transfer, ParserEvents& events) {
    end(sender, false, events);
    open_[indexOf(sender)] = true;
    events.transferBegins(sender, transfer);
  }
  // Nothing, unless one is open.
  void pass(Side sender, std::span<const uint8_t> bytes, ParserEvents& events) {
    if (open(sender) && !bytes.empty()) events.transferData(sender, bytes);
  }
  void end(Side sender, bool complete, ParserEvents& events) {
    if (!open(sender)) return;
    open_[indexOf(sender)] = false;
    events.transferEnds(sender, complete);
  }
  [[nodiscard]] bool open(Side side) const { return open_[indexOf(side)]; }

 private:
  std::array<bool, 2> open_{};
};

}  // namespace p2pxbone::gateway
