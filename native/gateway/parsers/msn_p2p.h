// MSN's peer-to-peer layer: invitations (MSNSLP) and file data in messages with a 48-byte header, whichever way they travel.
#pragma once

#include <array>
#include <string>

#include "gateway/parsers/transfers.h"

namespace p2pxbone::gateway {

class MsnP2p {
 public:
  // What a session carries whose invitation went another way.
  MsnP2p() = default;
  MsnP2p(std::string name, std::optional<uint64_t> size) : hintedName_(std::move(name)), hintedSize_(size) {}

  static constexpr size_t kHeaderBytes = 48;
  [[nodiscard]] size_t keptBytes() const { return assemblies_[0].text.capacity() + assemblies_[1].text.capacity(); }
  void message(Side sender, std::span<const uint8_t> bytes, Transfers& transfers, ParserEvents& events);

 private:
  static constexpr size_t kSessionsMax = 8;
  struct Session {
    uint32_t id = 0;
    std::string name;
    uint64_t size = 0;
  };
  // An invitation that comes in several messages.
  struct Assembly {
    uint32_t id = 0;
    std::string text;
  };
  struct Progress {
    uint32_t session = 0;
    uint64_t next = 0;
  };

  void invitation(Side sender, std::string_view text, ParserEvents& events);
  void fileOffered(Side sender, uint32_t session, std::string_view context, ParserEvents& events);
  void fileData(Side sender, uint32_t session, uint64_t offset, uint64_t total, uint32_t flags,
                std::span<const uint8_t> bytes, Transfers& transfers, ParserEvents& events);
  [[nodiscard]] const Session* sessionOf(uint32_t id) const;

  std::string hintedName_;
  std::optional<uint64_t> hintedSize_;
  std::array<Session, kSessionsMax> sessions_;
  size_t nextSession_ = 0;
  std::array<Assembly, 2> assemblies_;
  std::array<Progress, 2> progress_;
};

}  // namespace p2pxbone::gateway
