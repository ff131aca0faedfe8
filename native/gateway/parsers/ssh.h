// SSH: the versions that both ends say before everything is encrypted.
#pragma once

#include <array>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class SshParser final : public ParserBase {
 private:
  bool step(Side side, ParserEvents& events) override;

  std::array<size_t, 2> lines_{};
  std::array<bool, 2> told_{};
};

}  // namespace p2pxbone::gateway
