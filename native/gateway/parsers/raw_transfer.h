// A flow that is one file from its first byte to its last: an FTP data connection, a DCC SEND. What the file is, another
// flow has said.
#pragma once

#include <string>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class RawTransferParser final : public ParserBase {
 public:
  // `endsBySize`: the file is whole as soon as its size is reached, although the connection stays open.
  RawTransferParser(const FlowHint& hint, bool endsBySize);
  void hint(const FlowHint& hint) override;

 private:
  bool step(Side side, ParserEvents& events) override;
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;
  void closed(Side side, ParserEvents& events) override;
  [[nodiscard]] bool bounded() const { return endsBySize_ && size_.value_or(0) > 0; }

  bool endsBySize_;
  FlowHint::Kind kind_ = FlowHint::Kind::any;
  std::string name_;
  std::optional<uint64_t> size_;
  uint64_t offset_ = 0;
  std::optional<Side> sender_;
  bool begun_ = false;
  uint64_t received_ = 0;
};

}  // namespace p2pxbone::gateway
