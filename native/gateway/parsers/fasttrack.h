// FastTrack (Kazaa): its HTTP-like transfers. The links to supernodes are encrypted and tell nothing.
#pragma once

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class FastTrackParser final : public ParserBase {
 private:
  bool step(Side side, ParserEvents& events) override;
};

}  // namespace p2pxbone::gateway
