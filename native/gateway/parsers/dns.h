// DNS, in datagrams or behind a length in a stream: what was asked, and what the answer was.
#pragma once

#include <array>
#include <optional>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class DnsParser final : public ParserBase {
 private:
  bool step(Side side, ParserEvents& events) override;
  void datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) override;
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;

  std::array<std::optional<uint16_t>, 2> length_;
};

}  // namespace p2pxbone::gateway
