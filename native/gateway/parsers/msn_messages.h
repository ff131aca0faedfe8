// MSN's notification and switchboard connections: commands in lines, some with a payload behind them.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "gateway/parsers/msn_p2p.h"
#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class MsnMessages final : public ParserBase {
 private:
  // A payload that is being waited for.
  struct Payload {
    uint32_t bytes = 0;
    bool message = false;
    std::string from;  // empty: the client itself
  };
  // A long message that comes in several.
  struct Chunked {
    std::string id;
    std::string text;
    uint64_t next = 0;
    uint64_t count = 0;
  };
  // A file that was offered by the old invitation.
  struct Invited {
    std::string cookie;
    std::string name;
    std::optional<uint64_t> size;
  };

  bool step(Side side, ParserEvents& events) override;
  [[nodiscard]] bool mayAnnounce() const override { return true; }
  [[nodiscard]] size_t otherBytes() const override {
    return chunked_[0].text.capacity() + chunked_[1].text.capacity() + p2p_.keptBytes();
  }
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;
  bool command(Side side, std::string_view line, ParserEvents& events);
  void presence(Side side, const std::vector<std::string_view>& words, ParserEvents& events);
  void message(Side side, const std::string& from, std::span<const uint8_t> bytes, ParserEvents& events);
  void plainText(Side side, const std::string& from, std::string_view id, std::optional<uint64_t> chunks,
                 std::optional<uint64_t> chunk, std::string_view text, ParserEvents& events);
  void tellChat(Side side, const std::string& from, std::string_view text, ParserEvents& events);
  void invitation(Side side, std::string_view body, ParserEvents& events);
  void joined(std::string_view account);
  [[nodiscard]] std::string others(std::string_view but) const;

  std::array<std::optional<Payload>, 2> payloads_;
  std::array<Chunked, 2> chunked_;
  std::string self_;
  std::vector<std::string> participants_;
  std::vector<Invited> invited_;
  MsnP2p p2p_;
};

}  // namespace p2pxbone::gateway
