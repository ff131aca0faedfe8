// eDonkey and eMule: names in offers, searches and requests, where they are neither packed nor obfuscated. Parts of files
// arrive in any order and are not followed.
#pragma once

#include <array>
#include <optional>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class EDonkeyParser final : public ParserBase {
 private:
  struct Frame {
    uint8_t protocol = 0;
    uint32_t bytes = 0;  // with the operation's code
  };

  bool step(Side side, ParserEvents& events) override;
  void datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) override;
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;
  void operation(Side side, uint8_t protocol, std::span<const uint8_t> bytes, ParserEvents& events);

  std::array<std::optional<Frame>, 2> frames_;
};

}  // namespace p2pxbone::gateway
