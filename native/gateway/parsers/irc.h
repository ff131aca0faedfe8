// IRC: messages to people and channels, and the files and chats that are offered in them (DCC).
#pragma once

#include <string>
#include <vector>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

// The initiator is the client.
class IrcParser final : public ParserBase {
 private:
  bool step(Side side, ParserEvents& events) override;
  [[nodiscard]] bool mayAnnounce() const override { return true; }
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;
  bool message(Side side, std::string_view line, ParserEvents& events);
  void said(Side side, ChatMessage::Kind kind, std::string_view from, std::string_view to, std::string_view text,
            ParserEvents& events);
  void dcc(Side side, std::string_view request, ParserEvents& events);

  std::string nick_;
};

// A DCC CHAT connection: lines, and nothing else.
class DccChatParser final : public ParserBase {
 private:
  bool step(Side side, ParserEvents& events) override;
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;
};

}  // namespace p2pxbone::gateway
