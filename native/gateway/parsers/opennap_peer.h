// An OpenNap transfer between two clients. Nothing in it says where its texts end but who speaks next: the one that has
// connected asks (GET) or gives (SEND), the other answers with the size, or the offset from which it wants the file.
#pragma once

#include <string>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class OpenNapPeer final : public ParserBase {
 public:
  // `size` of the file, if a server's answer has told it.
  explicit OpenNapPeer(std::optional<uint64_t> size) : known_(size) {}
  void hint(const FlowHint& hint) override;

 private:
  enum class Mode : uint8_t { unknown, get, send, browse };

  bool step(Side side, ParserEvents& events) override;
  bool resume(Side side, uint64_t bytes, ParserEvents& events) override;
  void closed(Side side, ParserEvents& events) override;

  bool ask(ParserEvents& events);
  bool answer(ParserEvents& events);
  bool browsed(ParserEvents& events);
  bool content(Side sender, ParserEvents& events);
  void tellRequest(ParserEvents& events);
  void begin(Side sender, uint64_t size, ParserEvents& events);
  // Of the number that follows the quoted name.
  [[nodiscard]] uint64_t askedNumber() const;

  std::optional<uint64_t> known_;
  Mode mode_ = Mode::unknown;
  std::string ask_;     // what the one that has connected said before it was answered
  size_t nameEnd_ = 0;  // in ask_, of its closing quote; 0 before that has come
  bool greeted_ = false;
  bool answered_ = false;
  std::string digits_;  // of the answer
  bool numberEnded_ = false;
  std::string name_;
  bool begun_ = false;
  uint64_t size_ = 0;  // to come
  uint64_t received_ = 0;
};

}  // namespace p2pxbone::gateway
