#include "gateway/parsers/xmpp.h"

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {

bool XmppParser::step(Side side, ParserEvents& events) {
  XmlScanner& scanner = scanners_[indexOf(side)];
  XmppStanza& stanza = stanzas_[indexOf(side)];
  switch (scanner.next(reader(side), stanza)) {
    case XmlScanner::Outcome::wait:
      return false;
    case XmlScanner::Outcome::bad:
      return giveUp(events);
    case XmlScanner::Outcome::tag:
      break;
  }
  if (stanza.tooDeep()) return giveUp(events);
  if (scanner.truncated()) events.attribute("xmpp.skipped", "text too long");
  return this->stanza(side, stanza, events);
}

bool XmppParser::stanza(Side side, XmppStanza& stanza, ParserEvents& events) {
  switch (stanza.finished()) {
    case XmppStanza::Kind::none:
    case XmppStanza::Kind::presence:
      return true;
    case XmppStanza::Kind::streamBegins:
      if (!stanza.to.empty() && side == Side::initiator) events.attribute("xmpp.server", utf8Of(stanza.to));
      return true;
    case XmppStanza::Kind::streamEnds:
      return true;
    case XmppStanza::Kind::other:
      if (side != Side::responder) return true;
      if (stanza.name == "proceed") return handOver(Application::tls, "starttls", events);
      if (stanza.name == "compressed") return handOver(Application::unknown, "compression", events);
      return true;
    case XmppStanza::Kind::message:
      message(side, stanza, events);
      break;
    case XmppStanza::Kind::query:
      if (!stanza.boundJid.empty() && side == Side::responder) {
        self_ = utf8Of(trimmed(stanza.boundJid));
        events.attribute("xmpp.account", self_);
      }
      break;
  }
  file(side, stanza, events);
  inBand(side, stanza, events);
  stanza.clear();
  return !finished();
}

void XmppParser::message(Side side, const XmppStanza& stanza, ParserEvents& events) {
  if (stanza.type == "error") return;
  const std::string from = stanza.from.empty() && side == Side::initiator ? self_ : utf8Of(stanza.from);
  const std::string to = stanza.to.empty() && side == Side::responder ? self_ : utf8Of(stanza.to);
  if (!stanza.subject.empty()) events.chat(side, {ChatMessage::Kind::topic, from, to, utf8Of(stanza.subject)});
  if (!stanza.body.empty()) events.chat(side, {ChatMessage::Kind::text, from, to, utf8Of(stanza.body)});
}

void XmppParser::file(Side side, const XmppStanza& stanza, ParserEvents& events) {
  if (!stanza.offersFile || stanza.type == "result" || stanza.type == "error") return;
  const std::string path = utf8Of(stanza.fileName);
  events.request(side, {FileOffer::Kind::offer, lastPathPart(path), path, stanza.fileSize, utf8Of(stanza.fileHash)});
  if (stanza.stream.empty()) return;
  offers_[nextOffer_] = {stanza.stream, std::string{lastPathPart(path)}, stanza.fileSize};
  nextOffer_ = (nextOffer_ + 1) % kOffersMax;
}

void XmppParser::inBand(Side side, const XmppStanza& stanza, ParserEvents& events) {
  if (stanza.inBand == XmppStanza::InBand::none || stanza.type == "error" || stanza.stream.empty()) return;
  std::string& open = streams_[indexOf(side)];
  uint64_t& received = received_[indexOf(side)];
  std::optional<uint64_t>& expected = expected_[indexOf(side)];
  if (stanza.inBand == XmppStanza::InBand::open) {
    Transfer transfer;
    for (const Offer& offer : offers_) {
      if (offer.stream != stanza.stream) continue;
      transfer.name = offer.name;
      transfer.size = transfer.fileSize = offer.size;
    }
    open = stanza.stream;
    received = 0;
    expected = transfer.size;
    beginTransfer(side, transfer, events);
  } else if (open == stanza.stream && stanza.inBand == XmppStanza::InBand::data) {
    const std::string bytes = base64Decoded(stanza.inBandData);
    received += bytes.size();
    if (received > expected.value_or(UINT64_MAX)) return void(giveUp(events));
    passData(side, bytesOf(bytes), events);
  } else if (open == stanza.stream) {
    open.clear();
    endTransfer(side, received >= expected.value_or(0), events);
  }
}

}  // namespace p2pxbone::gateway
