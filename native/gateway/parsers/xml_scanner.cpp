#include "gateway/parsers/xml_scanner.h"

#include <algorithm>
#include <array>

#include "gateway/parsers/parser.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kTagBytesMax = 16 * 1024;
constexpr size_t kAttributesMax = 64;
constexpr size_t kEntityBytesMax = 12;

std::string_view localName(std::string_view name) {
  const size_t colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

bool isBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Cuts `name="value"` off. False if there is none.
bool nextAttribute(std::string_view& rest, XmlAttributes& attributes) {
  rest = trimmed(rest);
  const size_t equals = rest.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = trimmed(rest.substr(0, equals));
  rest = trimmed(rest.substr(equals + 1));
  if (rest.empty() || (rest.front() != '"' && rest.front() != '\'')) return false;
  const char quote = rest.front();
  rest.remove_prefix(1);
  attributes.add(name, entitiesDecoded(nextWord(rest, quote)));
  return true;
}

}  // namespace

std::string_view XmlAttributes::get(std::string_view name) const {
  for (const auto& [key, value] : all_)
    if (key == name) return value;
  return {};
}

std::string entitiesDecoded(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kNamed{
      {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}}};
  std::string result;
  while (!text.empty()) {
    const size_t begin = text.find('&');
    result += text.substr(0, begin);
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    const size_t end = text.substr(0, kEntityBytesMax).find(';');
    std::string_view name = end == std::string_view::npos ? std::string_view{} : text.substr(1, end - 1);
    std::optional<uint64_t> code;
    if (name.starts_with("#x"))
      code = hexadecimalOf(name.substr(2));
    else if (name.starts_with("#"))
      code = decimalOf(name.substr(1));
    const auto named = std::find_if(kNamed.begin(), kNamed.end(), [&](const auto& one) { return one.first == name; });
    if (code)
      appendUtf8(result, static_cast<uint32_t>(std::min<uint64_t>(*code, 0x110000)));
    else if (named != kNamed.end())
      result += named->second;
    else
      result += '&';
    text.remove_prefix(code || named != kNamed.end() ? end + 1 : 1);
  }
  return result;
}

void XmlScanner::append(std::string_view decoded) {
  const size_t room = kParserBytesMax - std::min(kParserBytesMax, text_.size());
  if (decoded.size() > room) truncated_ = true;
  text_ += decoded.substr(0, room);
}

void XmlScanner::textPiece(std::string_view piece, bool wanted) {
  if (!wanted) return;
  const size_t room = kParserBytesMax - std::min(kParserBytesMax, raw_.size());
  if (piece.size() > room) truncated_ = true;
  raw_ += piece.substr(0, room);
}

void XmlScanner::flush(XmlHandler& handler) {
  if (!text_.empty() && handler.wantsText()) handler.text(text_);
  text_.clear();
}

void XmlScanner::followQuotes(std::string_view piece) {
  for (const char c : piece) {
    if (quote_ != 0)
      quote_ = c == quote_ ? '\0' : quote_;
    else if (c == '"' || c == '\'')
      quote_ = c;
  }
}

XmlScanner::Outcome XmlScanner::next(Reader& reader, XmlHandler& handler) {
  for (;;) {
    const auto piece = reader.until(phase_ == Phase::text ? '<' : '>');
    if (piece.empty()) return Outcome::wait;
    const std::string_view bytes = gateway::textOf(piece);
    const bool ends = bytes.back() == (phase_ == Phase::text ? '<' : '>');
    if (phase_ == Phase::text) {
      textPiece(ends ? bytes.substr(0, bytes.size() - 1) : bytes, handler.wantsText());
      if (!ends) continue;
      append(entitiesDecoded(raw_));
      raw_.clear();
      phase_ = Phase::tag;
      quote_ = 0;
      continue;
    }
    raw_ += bytes;
    if (phase_ == Phase::tag) {
      if (raw_.starts_with("!--"))
        phase_ = Phase::comment;
      else if (raw_.starts_with("![CDATA["))
        phase_ = Phase::cdata;
      else if (raw_.starts_with("?"))
        phase_ = Phase::instruction;
      else if (raw_.size() > kTagBytesMax)
        return Outcome::bad;
    }
    if (phase_ == Phase::comment && !(ends && raw_.size() >= 6 && raw_.ends_with("-->"))) {
      // Of a long comment only what may be the beginning of its end is kept.
      if (raw_.size() > 1024) raw_ = "!--" + raw_.substr(raw_.size() - 3);
      continue;
    }
    if (phase_ == Phase::cdata) {
      if (raw_.size() > kParserBytesMax) return Outcome::bad;
      if (!ends || !raw_.ends_with("]]>")) continue;
      if (handler.wantsText()) append(std::string_view{raw_}.substr(8, raw_.size() - 11));
    }
    if (phase_ == Phase::instruction) {
      if (raw_.size() > kTagBytesMax) return Outcome::bad;
      if (!ends || !raw_.ends_with("?>")) continue;
    }
    if (phase_ == Phase::tag) {
      followQuotes(bytes);
      if (!ends || quote_ != 0) continue;
      return tagEnds(handler);
    }
    raw_.clear();
    phase_ = Phase::text;
  }
}

XmlScanner::Outcome XmlScanner::tagEnds(XmlHandler& handler) {
  std::string_view inside{raw_};
  inside.remove_suffix(1);
  flush(handler);
  const bool closing = inside.starts_with('/');
  const bool empty = !closing && inside.ends_with('/');
  if (empty) inside.remove_suffix(1);
  const size_t nameBytes = static_cast<size_t>(std::find_if(inside.begin(), inside.end(), isBlank) - inside.begin());
  if (inside.empty() || inside.front() == '!' || nameBytes == 0) return Outcome::bad;
  if (closing) {
    handler.elementEnds();
  } else {
    XmlAttributes attributes;
    std::string_view rest = inside.substr(nameBytes);
    while (attributes.size() < kAttributesMax && nextAttribute(rest, attributes)) {
    }
    handler.elementBegins(localName(inside.substr(0, nameBytes)), attributes);
    if (empty) handler.elementEnds();
  }
  raw_.clear();
  phase_ = Phase::text;
  return Outcome::tag;
}

}  // namespace p2pxbone::gateway
