#include "gateway/parsers/xmpp_stanza.h"

#include "gateway/parsers/parser.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kDepthMax = 64;
// Of everything that is gathered from one element.
constexpr size_t kFieldBytesMax = kParserBytesMax;

void addBounded(std::string& to, std::string_view text) {
  to += text.substr(0, kFieldBytesMax - std::min(kFieldBytesMax, to.size()));
}

}  // namespace

void XmppStanza::clear() {
  name.clear();
  xmlns.clear();
  from.clear();
  to.clear();
  type.clear();
  release(body);
  release(subject);
  boundJid.clear();
  offersFile = jingleOffers_ = false;
  stream.clear();
  fileName.clear();
  fileSize.reset();
  fileHash.clear();
  inBand = InBand::none;
  release(inBandData);
  finished_ = Kind::none;
}

bool XmppStanza::wantsText() const { return in() != Element::other && in() != Element::fileOf; }

void XmppStanza::elementBegins(std::string_view element, const XmlAttributes& attributes) {
  finished_ = Kind::none;
  // A stream begins again after authentication, without having ended.
  if (element == "stream" && (stack_.empty() || stack_.size() == 1)) {
    clear();
    stack_.assign(1, Element::other);
    to = attributes.get("to");
    from = attributes.get("from");
    finished_ = Kind::streamBegins;
    return;
  }
  if (stack_.size() >= kDepthMax) {
    tooDeep_ = true;
    return;
  }
  if (stack_.size() == 1) {
    stanzaBegins(element, attributes);
    stack_.push_back(Element::other);
  } else {
    stack_.push_back(inside(element, attributes));
  }
}

void XmppStanza::stanzaBegins(std::string_view element, const XmlAttributes& attributes) {
  clear();
  kind_ = element == "message"    ? Kind::message
          : element == "presence" ? Kind::presence
          : element == "iq"       ? Kind::query
                                  : Kind::other;
  name = element;
  xmlns = attributes.get("xmlns");
  from = attributes.get("from");
  to = attributes.get("to");
  type = attributes.get("type");
}

XmppStanza::Element XmppStanza::inside(std::string_view element, const XmlAttributes& attributes) {
  const std::string_view space = attributes.get("xmlns");
  const bool child = stack_.size() == 2;
  if (kind_ == Kind::message && child && element == "body") {
    // The same in several languages: all of it is looked at.
    if (!body.empty()) body += '\n';
    return Element::body;
  }
  if (kind_ == Kind::message && child && element == "subject") return Element::subject;
  if (element == "jid" && kind_ == Kind::query) return Element::jid;
  if (element == "si" && kind_ == Kind::query) stream = attributes.get("id");
  if (element == "jingle") {
    const std::string_view action = attributes.get("action");
    jingleOffers_ = action == "session-initiate" || action == "content-add";
  }
  if (element == "transport" && !attributes.get("sid").empty()) stream = attributes.get("sid");
  if (element == "file") {
    fileName = attributes.get("name");
    fileSize = decimalOf(attributes.get("size"));
    // Attributes are SI's way, elements Jingle's.
    offersFile = !fileName.empty() || jingleOffers_;
    return Element::fileOf;
  }
  if (in() == Element::fileOf && element == "name") return Element::fileName;
  if (in() == Element::fileOf && element == "size") return Element::fileSize;
  if (in() == Element::fileOf && element == "hash") {
    fileHash = attributes.get("algo");
    return Element::fileHash;
  }
  if (element == "request" && !attributes.get("filename").empty()) {
    fileName = attributes.get("filename");
    fileSize = decimalOf(attributes.get("size"));
    offersFile = true;
  }
  if (space.find("protocol/ibb") == std::string_view::npos) return Element::other;
  stream = attributes.get("sid");
  inBand = element == "open"    ? InBand::open
           : element == "data"  ? InBand::data
           : element == "close" ? InBand::close
                                : InBand::none;
  return inBand == InBand::data ? Element::inBandData : Element::other;
}

void XmppStanza::text(std::string_view decoded) {
  switch (in()) {
    case Element::body:
      return addBounded(body, decoded);
    case Element::subject:
      return addBounded(subject, decoded);
    case Element::jid:
      return addBounded(boundJid, decoded);
    case Element::fileName:
      return addBounded(fileName, decoded);
    case Element::fileSize:
      fileSize = decimalOf(trimmed(decoded));
      return;
    case Element::fileHash:
      return addBounded(fileHash, ":" + std::string{trimmed(decoded)});
    case Element::inBandData:
      return addBounded(inBandData, decoded);
    case Element::other:
    case Element::fileOf:
      return;
  }
}

void XmppStanza::elementEnds() {
  finished_ = Kind::none;
  if (stack_.empty()) return;
  stack_.pop_back();
  if (stack_.size() == 1) finished_ = kind_;
  if (stack_.empty()) finished_ = Kind::streamEnds;
}

}  // namespace p2pxbone::gateway
