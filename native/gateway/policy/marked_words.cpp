#include "gateway/policy/marked_words.h"

#include <algorithm>
#include <array>

namespace p2pxbone::gateway {
namespace {

struct CodeRange {
  uint32_t first, last;
};

constexpr std::array<CodeRange, 22> kNotWords{{
    {0x80, 0xa9},     {0xab, 0xb4},     {0xb6, 0xb9},     {0xbb, 0xbf},     {0xd7, 0xd7},     {0xf7, 0xf7},
    {0x1680, 0x1680}, {0x2000, 0x206f}, {0x20a0, 0x20cf}, {0x2190, 0x2bff}, {0x2e00, 0x2e7f}, {0x3000, 0x3004},
    {0x3008, 0x3020}, {0x3030, 0x3030}, {0xfe10, 0xfe1f}, {0xfe30, 0xfe6f}, {0xfeff, 0xff0f}, {0xff1a, 0xff20},
    {0xff3b, 0xff40}, {0xff5b, 0xff65}, {0xfff0, 0xffff}, {0x1f000, 0x1faff},
}};

struct Character {
  uint32_t codePoint;
  size_t bytes;
};

// Of valid UTF-8.
Character characterAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at + i])); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const auto more = [&](size_t i) { return at + i < text.size() ? byte(i) & 0x3f : 0; };
  if (first < 0xe0) return {(first & 0x1f) << 6 | more(1), 2};
  if (first < 0xf0) return {(first & 0x0f) << 12 | more(1) << 6 | more(2), 3};
  return {(first & 0x07) << 18 | more(1) << 12 | more(2) << 6 | more(3), 4};
}

}  // namespace

bool isWordCharacter(uint32_t code) {
  if (code < 0x80)
    return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z') || code == '_';
  const auto behind = std::upper_bound(kNotWords.begin(), kNotWords.end(), code,
                                       [](uint32_t value, const CodeRange& range) { return value < range.first; });
  return behind == kNotWords.begin() || code > std::prev(behind)->last;
}

void markWords(std::string_view text, std::string& to) {
  to.clear();
  bool inWord = false;
  for (size_t at = 0; at < text.size();) {
    const Character character = characterAt(text, at);
    const bool word = isWordCharacter(character.codePoint);
    if (word != inWord) to += word ? kWordBegin : kWordEnd;
    inWord = word;
    const bool mark = text[at] == kWordBegin || text[at] == kWordEnd;
    to += mark ? std::string_view{" "} : text.substr(at, character.bytes);
    at += character.bytes;
  }
  if (inWord) to += kWordEnd;
}

}  // namespace p2pxbone::gateway
