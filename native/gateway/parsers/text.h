// Texts as protocols carry them: numbers, letter case, quoting, character sets. Nothing here fails; what cannot be read is
// empty or replaced.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/packet.h"
#include "gateway/byte_cursor.h"

namespace p2pxbone::gateway {

[[nodiscard]] inline std::span<const uint8_t> bytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Empties it and gives its memory back, which an assignment keeps: idle flows are many.
inline void release(std::string& text) { std::string{}.swap(text); }

[[nodiscard]] constexpr char lowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
[[nodiscard]] std::string lowered(std::string_view text);

// ASCII letter case does not matter.
[[nodiscard]] bool same(std::string_view a, std::string_view b);
[[nodiscard]] bool startsWith(std::string_view text, std::string_view prefix);
[[nodiscard]] size_t findSame(std::string_view text, std::string_view part);  // npos if it is not there

[[nodiscard]] std::string_view trimmed(std::string_view text);

// Cuts the first word off: up to `separator`, which goes too.
[[nodiscard]] std::string_view nextWord(std::string_view& text, char separator = ' ');
// The same; a word in double quotes is taken without them, blanks and all.
[[nodiscard]] std::string_view nextQuoted(std::string_view& text);

// All digits, at least one, and no overflow.
[[nodiscard]] std::optional<uint64_t> decimalOf(std::string_view text);
[[nodiscard]] std::optional<uint64_t> hexadecimalOf(std::string_view text);
[[nodiscard]] std::optional<uint16_t> portOf(std::string_view text);
[[nodiscard]] int hexDigit(char c);  // -1 if it is none

[[nodiscard]] std::string hexOf(std::span<const uint8_t> bytes);

// Bytes of the valid UTF-8 character at the front; 0 if there is none.
[[nodiscard]] size_t characterBytes(std::string_view text);
// Valid UTF-8, and what was not (overlong forms, surrogates, stray bytes) as U+FFFD.
[[nodiscard]] std::string utf8Of(std::string_view text);
[[nodiscard]] bool isUtf8(std::string_view text);
[[nodiscard]] std::string utf8FromLatin1(std::string_view text);
// Up to a zero, if there is one.
[[nodiscard]] std::string utf8FromUtf16Le(std::span<const uint8_t> bytes);
void appendUtf8(std::string& to, uint32_t codePoint);

// `%41`; a `%` that begins no such thing stays.
[[nodiscard]] std::string percentDecoded(std::string_view text);
// Letters outside the alphabet are passed over; stops at padding.
[[nodiscard]] std::string base64Decoded(std::string_view text);

// The part behind the last `/` or `\`; trailing ones do not count.
[[nodiscard]] std::string_view lastPathPart(std::string_view path);

// Dotted IPv4, or IPv6 in its text form.
[[nodiscard]] std::optional<Address> addressOf(std::string_view text);

}  // namespace p2pxbone::gateway
