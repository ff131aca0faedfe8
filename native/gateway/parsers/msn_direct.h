// MSN flows between two clients: the old file transfer (MSNFTP), and direct connections of the peer-to-peer layer.
#pragma once

#include <array>
#include <string>

#include "gateway/parsers/msn_p2p.h"
#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

// Lines, then blocks of the file. The name was said when the file was offered, on another flow.
class MsnFileTransfer final : public ParserBase {
 public:
  explicit MsnFileTransfer(std::string name) : name_(std::move(name)) {}
  void hint(const FlowHint& hint) override;

 private:
  bool step(Side side, ParserEvents& events) override;
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;
  bool line(Side side, ParserEvents& events);
  bool block(ParserEvents& events);

  std::string name_;
  std::optional<Side> sender_;
  uint64_t size_ = 0;
  uint64_t received_ = 0;
  uint64_t blockLeft_ = 0;
};

class MsnDirect final : public ParserBase {
 public:
  MsnDirect(std::string name, std::optional<uint64_t> size) : p2p_(std::move(name), size) {}

 private:
  bool step(Side side, ParserEvents& events) override;

  std::array<std::optional<uint32_t>, 2> length_;
  MsnP2p p2p_;
};

}  // namespace p2pxbone::gateway
