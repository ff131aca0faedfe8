#include "gateway/parsers/dns.h"

#include "core/bytes.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr size_t kNameBytesMax = 255;
constexpr size_t kQuestionsMax = 4;
constexpr size_t kAnswersMax = 32;

constexpr uint16_t kA = 1;
constexpr uint16_t kCname = 5;
constexpr uint16_t kAaaa = 28;

std::string typeName(uint16_t type) {
  switch (type) {
    case kA:
      return "A";
    case 2:
      return "NS";
    case kCname:
      return "CNAME";
    case 6:
      return "SOA";
    case 12:
      return "PTR";
    case 15:
      return "MX";
    case 16:
      return "TXT";
    case kAaaa:
      return "AAAA";
    case 33:
      return "SRV";
    case 65:
      return "HTTPS";
    case 255:
      return "ANY";
    default:
      return "TYPE" + std::to_string(type);
  }
}

// The name at `at`, which moves behind it. Absent if it runs out of the message or is longer than names are.
std::optional<std::string> nameAt(std::span<const uint8_t> message, size_t& at) {
  std::string name;
  size_t from = at;
  bool jumped = false;
  for (;;) {
    if (from >= message.size()) return std::nullopt;
    const uint8_t length = message[from];
    if ((length & 0xc0) == 0xc0) {
      if (from + 1 >= message.size()) return std::nullopt;
      const size_t target = loadBe16(&message[from]) & 0x3fffu;
      if (!jumped) at = from + 2;
      jumped = true;
      // Only backwards, so that this ends.
      if (target >= from) return std::nullopt;
      from = target;
      continue;
    }
    if ((length & 0xc0) != 0 || from + 1 + length > message.size()) return std::nullopt;
    if (length == 0) break;
    if (!name.empty()) name += '.';
    name += textOf(message.subspan(from + 1, length));
    if (name.size() > kNameBytesMax) return std::nullopt;
    from += 1u + length;
  }
  if (!jumped) at = from + 1;
  return utf8Of(name);
}

std::string addressText(std::span<const uint8_t> bytes) {
  std::string text;
  if (bytes.size() == 4) {
    for (const uint8_t byte : bytes) text += (text.empty() ? "" : ".") + std::to_string(byte);
    return text;
  }
  for (size_t i = 0; i < bytes.size(); i += 2) text += (i > 0 ? ":" : "") + hexOf(bytes.subspan(i, 2));
  return text;
}

bool tellAnswer(std::span<const uint8_t> message, size_t& at, ParserEvents& events) {
  const auto name = nameAt(message, at);
  if (!name || at + 10 > message.size()) return false;
  const uint16_t type = loadBe16(&message[at]);
  const size_t length = loadBe16(&message[at + 8]);
  at += 10;
  if (at + length > message.size()) return false;
  const auto data = message.subspan(at, length);
  std::string value;
  if ((type == kA && length == 4) || (type == kAaaa && length == 16)) value = addressText(data);
  if (type == kCname) {
    size_t inside = at;
    value = nameAt(message, inside).value_or("");
  }
  at += length;
  if (!value.empty()) events.attribute("dns.answer", *name + " " + typeName(type) + " " + value);
  return true;
}

void tellMessage(std::span<const uint8_t> message, ParserEvents& events) {
  if (message.size() < kHeaderBytes) return;
  const uint16_t flags = loadBe16(&message[2]);
  const bool response = (flags & 0x8000) != 0;
  size_t at = kHeaderBytes;
  for (size_t i = 0; i < loadBe16(&message[4]); ++i) {
    const auto name = nameAt(message, at);
    if (i >= kQuestionsMax || !name || at + 4 > message.size()) return;
    if (!response) events.attribute("dns.query", *name + " " + typeName(loadBe16(&message[at])));
    at += 4;
  }
  if (!response) return;
  events.attribute("dns.status", std::to_string(flags & 15));
  for (size_t i = 0; i < loadBe16(&message[6]) && i < kAnswersMax; ++i)
    if (!tellAnswer(message, at, events)) return;
}

}  // namespace

bool DnsParser::step(Side side, ParserEvents& events) {
  std::optional<uint16_t>& length = length_[indexOf(side)];
  std::span<const uint8_t> bytes;
  if (!length) {
    if (reader(side).exactly(2, bytes) != Reader::Got::yes) return false;
    length = loadBe16(bytes.data());
  }
  if (reader(side).exactly(*length, bytes) != Reader::Got::yes) return false;
  length.reset();
  tellMessage(bytes, events);
  return true;
}

void DnsParser::datagram(Side, std::span<const uint8_t> bytes, ParserEvents& events) { tellMessage(bytes, events); }

bool DnsParser::resume(Side side, uint64_t bytes, ParserEvents&) {
  std::optional<uint16_t>& length = length_[indexOf(side)];
  if (!length || bytes > *length) return false;
  reader(side).discard(*length - bytes);
  length.reset();
  return true;
}

}  // namespace p2pxbone::gateway
