// OpenNap (Napster): what clients and servers say to each other, and transfers between clients.
#pragma once

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

// Decides by the first bytes which of the two it is.
class OpenNapParser final : public ParserBase {
 public:
  explicit OpenNapParser(const FlowHint& hint) : size_(hint.size) {}
  void hint(const FlowHint& hint) override;

 private:
  bool step(Side side, ParserEvents& events) override;
  [[nodiscard]] bool mayAnnounce() const override { return true; }

  std::optional<uint64_t> size_;
};

}  // namespace p2pxbone::gateway
