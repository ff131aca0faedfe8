// XMPP: chat, and files that are offered (SI, Jingle, HTTP upload) or sent in band (IBB).
#pragma once

#include <array>

#include "gateway/parsers/parser_base.h"
#include "gateway/parsers/xmpp_stanza.h"

namespace p2pxbone::gateway {

class XmppParser final : public ParserBase {
 private:
  // A file that was offered, until its bytes come in a stream of that name.
  static constexpr size_t kOffersMax = 8;
  struct Offer {
    std::string stream;
    std::string name;
    std::optional<uint64_t> size;
  };

  bool step(Side side, ParserEvents& events) override;
  [[nodiscard]] size_t otherBytes() const override {
    return scanners_[0].keptBytes() + scanners_[1].keptBytes() + stanzas_[0].keptBytes() + stanzas_[1].keptBytes();
  }
  bool stanza(Side side, XmppStanza& stanza, ParserEvents& events);
  void message(Side side, const XmppStanza& stanza, ParserEvents& events);
  void file(Side side, const XmppStanza& stanza, ParserEvents& events);
  void inBand(Side side, const XmppStanza& stanza, ParserEvents& events);

  std::array<XmlScanner, 2> scanners_;
  std::array<XmppStanza, 2> stanzas_;
  std::array<Offer, kOffersMax> offers_;
  size_t nextOffer_ = 0;
  std::array<std::string, 2> streams_;  // in band, that are open
  std::array<uint64_t, 2> received_{};
  std::array<std::optional<uint64_t>, 2> expected_{};
  std::string self_;
};

}  // namespace p2pxbone::gateway
