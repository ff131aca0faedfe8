#include "gateway/parsers/text.h"

#include <algorithm>

namespace p2pxbone::gateway {

std::string lowered(std::string_view text) {
  std::string result{text};
  std::transform(result.begin(), result.end(), result.begin(), lowerAscii);
  return result;
}

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lowerAscii(x) == lowerAscii(y); });
}

bool startsWith(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && same(text.substr(0, prefix.size()), prefix);
}

size_t findSame(std::string_view text, std::string_view part) {
  const auto at = std::search(text.begin(), text.end(), part.begin(), part.end(),
                              [](char x, char y) { return lowerAscii(x) == lowerAscii(y); });
  return at == text.end() && !part.empty() ? std::string_view::npos : static_cast<size_t>(at - text.begin());
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view nextWord(std::string_view& text, char separator) {
  while (separator == ' ' && !text.empty() && text.front() == ' ') text.remove_prefix(1);
  const size_t at = std::min(text.find(separator), text.size());
  const std::string_view word = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return word;
}

std::string_view nextQuoted(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  if (text.empty() || text.front() != '"') return nextWord(text);
  text.remove_prefix(1);
  const std::string_view word = nextWord(text, '"');
  return word;
}

std::optional<uint64_t> decimalOf(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    if (value > (UINT64_MAX - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char letter = lowerAscii(c);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

std::optional<uint64_t> hexadecimalOf(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    const int digit = hexDigit(c);
    if (digit < 0 || value >> 60 != 0) return std::nullopt;
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  return value;
}

std::optional<uint16_t> portOf(std::string_view text) {
  const auto number = decimalOf(text);
  return number && *number <= UINT16_MAX ? std::optional{static_cast<uint16_t>(*number)} : std::nullopt;
}

std::string hexOf(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

void appendUtf8(std::string& to, uint32_t codePoint) {
  if (codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff)) codePoint = 0xfffd;
  const auto add = [&](uint32_t byte) { to += static_cast<char>(byte); };
  if (codePoint < 0x80) return add(codePoint);
  if (codePoint < 0x800) {
    add(0xc0 | codePoint >> 6);
  } else {
    if (codePoint < 0x10000) {
      add(0xe0 | codePoint >> 12);
    } else {
      add(0xf0 | codePoint >> 18);
      add(0x80 | (codePoint >> 12 & 0x3f));
    }
    add(0x80 | (codePoint >> 6 & 0x3f));
  }
  add(0x80 | (codePoint & 0x3f));
}

size_t characterBytes(std::string_view text) {
  const auto at = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  const uint8_t first = at(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  for (size_t i = 1; i < length; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
  const bool outside = (first == 0xed && at(1) > 0x9f) || (first == 0xf4 && at(1) > 0x8f);
  return overlong || outside ? 0 : length;
}

bool isUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = characterBytes(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string utf8Of(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const size_t length = characterBytes(text);
    if (length == 0)
      appendUtf8(result, 0xfffd);
    else
      result += text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return result;
}

std::string utf8FromLatin1(std::string_view text) {
  std::string result;
  for (const char c : text) appendUtf8(result, static_cast<uint8_t>(c));
  return result;
}

std::string utf8FromUtf16Le(std::span<const uint8_t> bytes) {
  const auto unit = [&](size_t i) { return static_cast<uint32_t>(bytes[i] | bytes[i + 1] << 8); };
  std::string result;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const uint32_t high = unit(i);
    if (high == 0) break;
    const bool pair = high >= 0xd800 && high < 0xdc00 && i + 3 < bytes.size() && (unit(i + 2) & 0xfc00) == 0xdc00;
    appendUtf8(result, pair ? 0x10000 + ((high - 0xd800) << 10) + (unit(i + 2) - 0xdc00) : high);
    if (pair) i += 2;
  }
  return result;
}

std::string percentDecoded(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? hexDigit(text[i + 2]) : -1;
    if (low >= 0) {
      result += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string base64Decoded(std::string_view text) {
  std::string result;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    uint32_t value = 0;
    if (c >= 'A' && c <= 'Z')
      value = static_cast<uint32_t>(c - 'A');
    else if (c >= 'a' && c <= 'z')
      value = static_cast<uint32_t>(c - 'a' + 26);
    else if (c >= '0' && c <= '9')
      value = static_cast<uint32_t>(c - '0' + 52);
    else if (c == '+' || c == '-')
      value = 62;
    else if (c == '/' || c == '_')
      value = 63;
    else if (c == '=')
      break;
    else
      continue;
    bits = (bits << 6 | value) & 0xffffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    result += static_cast<char>(bits >> count & 0xff);
  }
  return result;
}

std::string_view lastPathPart(std::string_view path) {
  while (!path.empty() && (path.back() == '/' || path.back() == '\\')) path.remove_suffix(1);
  const size_t at = path.find_last_of("/\\");
  return at == std::string_view::npos ? path : path.substr(at + 1);
}

namespace {

std::optional<Address> ipv4Of(std::string_view text) {
  std::array<uint8_t, 4> bytes{};
  for (size_t i = 0; i < 4; ++i) {
    if (i > 0 && text.empty()) return std::nullopt;
    const auto part = decimalOf(nextWord(text, '.'));
    if (!part || *part > 255) return std::nullopt;
    bytes[i] = static_cast<uint8_t>(*part);
  }
  return text.empty() ? std::optional{mappedIpv4(bytes.data())} : std::nullopt;
}

// Appends the groups of one side of `::`; false if they are none.
bool appendGroups(std::string_view text, std::array<uint8_t, 16>& bytes, size_t& count) {
  while (!text.empty()) {
    const bool last = text.find(':') == std::string_view::npos;
    const std::string_view group = nextWord(text, ':');
    if (last && group.find('.') != std::string_view::npos) {
      const auto v4 = ipv4Of(group);
      if (!v4 || count > 12) return false;
      std::copy(v4->begin() + 12, v4->end(), bytes.begin() + static_cast<ptrdiff_t>(count));
      count += 4;
      return true;
    }
    const auto value = group.size() <= 4 ? hexadecimalOf(group) : std::nullopt;
    if (!value || count > 14) return false;
    bytes[count++] = static_cast<uint8_t>(*value >> 8);
    bytes[count++] = static_cast<uint8_t>(*value);
  }
  return true;
}

std::optional<Address> ipv6Of(std::string_view text) {
  std::array<uint8_t, 16> front{};
  std::array<uint8_t, 16> back{};
  size_t frontCount = 0;
  size_t backCount = 0;
  const size_t gap = text.find("::");
  if (!appendGroups(text.substr(0, std::min(gap, text.size())), front, frontCount)) return std::nullopt;
  if (gap == std::string_view::npos) return frontCount == 16 ? std::optional{front} : std::nullopt;
  if (!appendGroups(text.substr(gap + 2), back, backCount) || frontCount + backCount > 14) return std::nullopt;
  std::copy_n(back.begin(), backCount, front.end() - static_cast<ptrdiff_t>(backCount));
  return front;
}

}  // namespace

std::optional<Address> addressOf(std::string_view text) {
  return text.find(':') == std::string_view::npos ? ipv4Of(text) : ipv6Of(text);
}

}  // namespace p2pxbone::gateway
