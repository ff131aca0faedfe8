// FTP's control connection: commands and replies, and the data connections that they announce.
#pragma once

#include <string>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

// The initiator is the client.
class FtpParser final : public ParserBase {
 public:
  explicit FtpParser(const FlowEnds& ends) : ends_(ends) {}

 private:
  bool step(Side side, ParserEvents& events) override;
  [[nodiscard]] bool mayAnnounce() const override { return true; }
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;
  bool command(std::string_view line, ParserEvents& events);
  bool reply(std::string_view line, ParserEvents& events);
  void transferCommand(std::string_view verb, std::string_view argument, ParserEvents& events);
  // Where the client will be connected to (active), or the server (passive).
  void announced(const Address& address, uint16_t port, bool active, ParserEvents& events);
  void learn(ParserEvents& events);

  FlowEnds ends_;
  Address dataAddress_{};
  uint16_t dataPort_ = 0;
  bool active_ = false;
  bool securing_ = false;  // AUTH was sent
  uint64_t restart_ = 0;
  FlowHint::Kind kind_ = FlowHint::Kind::any;
  std::string path_;
  bool stores_ = false;
  std::optional<uint64_t> size_;
};

}  // namespace p2pxbone::gateway
