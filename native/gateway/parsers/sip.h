// SIP over datagrams and streams: who calls whom, where the media will go, and text messages.
#pragma once

#include <array>
#include <string>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class SipParser final : public ParserBase {
 private:
  struct Message {
    bool started = false;
    bool whole = false;  // the head is
    size_t headBytes = 0;
    std::string method;
    std::string from, to, contentType;
    std::optional<uint64_t> length;
  };

  bool step(Side side, ParserEvents& events) override;
  [[nodiscard]] bool mayAnnounce() const override { return true; }
  void datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) override;
  // False: this is no SIP.
  bool headLine(Message& message, std::string_view line, ParserEvents& events);
  bool startLine(Message& message, std::string_view line, ParserEvents& events);
  void field(Message& message, std::string_view line, ParserEvents& events);
  void body(Side side, const Message& message, std::string_view text, ParserEvents& events);

  std::array<Message, 2> messages_;
};

}  // namespace p2pxbone::gateway
