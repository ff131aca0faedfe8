// MSN Messenger: decides by the first bytes whether a flow is a notification or switchboard connection, a file transfer, or
// a direct connection between two clients.
#pragma once

#include <string>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class MsnParser final : public ParserBase {
 public:
  explicit MsnParser(const FlowHint& hint) { MsnParser::hint(hint); }
  void hint(const FlowHint& hint) override;

 private:
  bool step(Side side, ParserEvents& events) override;
  [[nodiscard]] bool mayAnnounce() const override { return true; }

  std::string name_;
  std::optional<uint64_t> size_;
};

}  // namespace p2pxbone::gateway
