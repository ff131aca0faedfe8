// The OpenNap server protocol: frames of length, type and text.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class OpenNapServer final : public ParserBase {
 private:
  struct Frame {
    uint16_t length = 0;
    uint16_t type = 0;
  };
  // Sizes of files that searches have found, so that a transfer between clients can be told its size.
  static constexpr size_t kSizesKept = 256;
  struct FoundSize {
    uint64_t file = 0;
    uint64_t size = 0;
  };

  bool step(Side side, ParserEvents& events) override;
  [[nodiscard]] bool mayAnnounce() const override { return true; }
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;
  void message(Side side, uint16_t type, std::string_view text, ParserEvents& events);
  bool chatMessage(Side side, uint16_t type, std::string_view text, ParserEvents& events);
  void listed(Side side, std::string_view text, bool share, ParserEvents& events);
  void wanted(Side side, std::string_view text, FileOffer::Kind kind, ParserEvents& events);
  void peerOf(std::string_view text, ParserEvents& events);
  [[nodiscard]] std::optional<uint64_t> sizeOf(std::string_view path) const;

  std::array<std::optional<Frame>, 2> frames_;
  std::string nick_;
  std::array<FoundSize, kSizesKept> found_{};
};

}  // namespace p2pxbone::gateway
