#include "gateway/parsers/opennap.h"

#include "gateway/parsers/opennap_peer.h"
#include "gateway/parsers/opennap_server.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {

void OpenNapParser::hint(const FlowHint& hint) {
  size_ = hint.size;
  ParserBase::hint(hint);
}

bool OpenNapParser::step(Side side, ParserEvents& events) {
  std::span<const uint8_t> begin;
  // A client that is connected to greets with a single digit; a server waits for the login.
  if (side == Side::responder) {
    if (reader(side).peek(1, begin) != Reader::Got::yes) return false;
    if (begin[0] == '1') return delegate(std::make_unique<OpenNapPeer>(size_), side, events);
    return delegate(std::make_unique<OpenNapServer>(), side, events);
  }
  if (reader(side).peek(3, begin) != Reader::Got::yes) return false;
  const std::string_view text = textOf(begin);
  if (text == "GET" || text == "SEN") return delegate(std::make_unique<OpenNapPeer>(size_), side, events);
  return delegate(std::make_unique<OpenNapServer>(), side, events);
}

}  // namespace p2pxbone::gateway
