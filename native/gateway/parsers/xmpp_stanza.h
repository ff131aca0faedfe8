// What matters of one XMPP stanza, gathered while its elements arrive.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/parsers/xml_scanner.h"

namespace p2pxbone::gateway {

class XmppStanza final : public XmlHandler {
 public:
  enum class Kind : uint8_t { none, streamBegins, streamEnds, message, presence, query, other };

  // Of the last tag: whether a stanza, or the stream itself, is complete with it.
  [[nodiscard]] Kind finished() const { return finished_; }
  // Elements nested deeper than any program does.
  [[nodiscard]] bool tooDeep() const { return tooDeep_; }
  void clear();
  [[nodiscard]] size_t keptBytes() const {
    return body.capacity() + subject.capacity() + fileName.capacity() + inBandData.capacity();
  }

  std::string name;  // of the stanza's element, local
  std::string xmlns;
  std::string from, to, type;
  std::string body, subject;
  std::string boundJid;
  // A file that is offered.
  bool offersFile = false;
  std::string stream;
  std::string fileName;
  std::optional<uint64_t> fileSize;
  std::string fileHash;
  // In-band bytestream.
  enum class InBand : uint8_t { none, open, data, close };
  InBand inBand = InBand::none;
  std::string inBandData;  // base64

 private:
  // Elements whose text or place matters.
  enum class Element : uint8_t { other, body, subject, jid, fileOf, fileName, fileSize, fileHash, inBandData };

  void elementBegins(std::string_view name, const XmlAttributes& attributes) override;
  void text(std::string_view decoded) override;
  void elementEnds() override;
  [[nodiscard]] bool wantsText() const override;
  void stanzaBegins(std::string_view name, const XmlAttributes& attributes);
  [[nodiscard]] Element inside(std::string_view name, const XmlAttributes& attributes);
  [[nodiscard]] Element in() const { return stack_.empty() ? Element::other : stack_.back(); }

  std::vector<Element> stack_;
  Kind kind_ = Kind::none;
  Kind finished_ = Kind::none;
  bool tooDeep_ = false;
  bool jingleOffers_ = false;
};

}  // namespace p2pxbone::gateway
