// A stream of XML elements as XMPP sends it, while it arrives: tags, and the text that somebody wants.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/parsers/reader.h"

namespace p2pxbone::gateway {

class XmlAttributes {
 public:
  // Decoded, as bytes. Empty if it is not there.
  [[nodiscard]] std::string_view get(std::string_view name) const;
  void add(std::string_view name, std::string value) { all_.emplace_back(std::string{name}, std::move(value)); }
  [[nodiscard]] size_t size() const { return all_.size(); }

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

class XmlHandler {
 public:
  virtual ~XmlHandler() = default;
  // Names without their prefixes. Text since the last tag comes first; only if it is wanted.
  virtual void elementBegins(std::string_view name, const XmlAttributes& attributes) = 0;
  virtual void text(std::string_view decoded) = 0;
  virtual void elementEnds() = 0;
  [[nodiscard]] virtual bool wantsText() const = 0;
};

class XmlScanner {
 public:
  enum class Outcome : uint8_t {
    wait,
    tag,  // the handler was told of one; bytes behind it are unread
    bad,  // no XML, a document type, or a tag larger than any has a right to be
  };
  [[nodiscard]] Outcome next(Reader& reader, XmlHandler& handler);
  // Since it was last asked: text was longer than is kept, and only its beginning was told.
  [[nodiscard]] bool truncated() { return std::exchange(truncated_, false); }

  [[nodiscard]] size_t keptBytes() const { return raw_.capacity() + text_.capacity(); }

 private:
  enum class Phase : uint8_t { text, tag, comment, cdata, instruction };

  void textPiece(std::string_view piece, bool wanted);
  void flush(XmlHandler& handler);
  void append(std::string_view decoded);
  // Of what lies between the brackets.
  [[nodiscard]] Outcome tagEnds(XmlHandler& handler);
  void followQuotes(std::string_view piece);

  Phase phase_ = Phase::text;
  std::string raw_;   // of text up to the next bracket, or of the tag
  std::string text_;  // decoded
  char quote_ = 0;    // that is open in the tag
  bool truncated_ = false;
};

// `&lt;`, `&#x41;`; what is none of these stays.
[[nodiscard]] std::string entitiesDecoded(std::string_view text);

}  // namespace p2pxbone::gateway
