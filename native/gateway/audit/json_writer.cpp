#include "gateway/audit/json_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";
constexpr std::string_view kHexDigits = "0123456789abcdef";

bool isPlain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

uint32_t codePointOf(std::string_view character) {
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(character[i])); };
  switch (character.size()) {
    case 1: return at(0);
    case 2: return (at(0) & 0x1f) << 6 | (at(1) & 0x3f);
    case 3: return (at(0) & 0x0f) << 12 | (at(1) & 0x3f) << 6 | (at(2) & 0x3f);
    default: return (at(0) & 0x07) << 18 | (at(1) & 0x3f) << 12 | (at(2) & 0x3f) << 6 | (at(3) & 0x3f);
  }
}

// Characters that move a terminal's cursor, end lines, turn the direction of writing or cannot be seen: an eye that
// reads the trail must not be led astray by a file's name.
bool isDeceptive(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb);
}

}  // namespace

void JsonWriter::raw(std::string_view bytes) {
  if (full_ || bytes.size() > into_.size() - size_) {
    full_ = true;
    return;
  }
  std::memcpy(into_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void JsonWriter::key(std::string_view name) {
  if (comma_) raw(",");
  comma_ = true;
  if (name.empty()) return;
  raw("\"");
  characters(name, name.size() * kEscapeBytes);
  raw("\":");
}

void JsonWriter::begin(std::string_view name, char bracket) {
  key(name);
  raw({&bracket, 1});
  comma_ = false;
}

void JsonWriter::end(char bracket) {
  raw({&bracket, 1});
  comma_ = true;
}

void JsonWriter::text(std::string_view name, std::string_view value, size_t bytesMax) {
  key(name);
  raw("\"");
  characters(value, bytesMax);
  raw("\"");
}

void JsonWriter::number(std::string_view name, uint64_t value) {
  constexpr uint64_t kLargest = std::numeric_limits<int64_t>::max();
  key(name);
  std::array<char, 20> digits;
  raw({digits.data(), std::to_chars(digits.begin(), digits.end(), std::min(value, kLargest)).ptr});
}

void JsonWriter::flag(std::string_view name, bool value) {
  key(name);
  raw(value ? "true" : "false");
}

void JsonWriter::characters(std::string_view value, size_t bytesMax) {
  size_t room = bytesMax;
  while (!value.empty()) {
    const std::string_view fitting = value.substr(0, room);
    const auto* const special = std::find_if_not(fitting.begin(), fitting.end(), isPlain);
    const auto plain = static_cast<size_t>(special - value.begin());
    raw(value.substr(0, plain));
    room -= plain;
    value.remove_prefix(plain);
    if (value.empty()) return;

    const size_t length = characterBytes(value);
    const std::string_view character = value.substr(0, std::max<size_t>(length, 1));
    const uint32_t codePoint = length == 0 ? 0 : codePointOf(character);
    std::array<char, kEscapeBytes> escape{'\\', 'u'};
    std::string_view out = character;
    if (length == 0) {
      out = kReplacement;
    } else if (codePoint == '"' || codePoint == '\\') {
      escape[1] = static_cast<char>(codePoint);
      out = {escape.data(), 2};
    } else if (isDeceptive(codePoint)) {
      for (size_t i = 0; i < 4; ++i) escape[2 + i] = kHexDigits[codePoint >> (12 - 4 * i) & 0xf];
      out = {escape.data(), escape.size()};
    }
    if (out.size() > room) {
      cut_ = true;
      return;
    }
    raw(out);
    room -= out.size();
    value.remove_prefix(character.size());
  }
}

}  // namespace p2pxbone::gateway
