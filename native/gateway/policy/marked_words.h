// A text with a mark in front of each word and another one behind it, so that a pattern finds the ends of words without
// knowing what letters are. Patterns are made for it by gateway/core/glob.ts; its words.ts has the same table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace p2pxbone::gateway {

inline constexpr char kWordBegin = 1;
inline constexpr char kWordEnd = 2;

// ASCII letters, digits, `_`, and beyond ASCII everything but blanks, punctuation and symbols.
[[nodiscard]] bool isWordCharacter(uint32_t codePoint);

// Replaces what `to` holds. The text is valid UTF-8; marks that it has itself become blanks.
void markWords(std::string_view text, std::string& to);

}  // namespace p2pxbone::gateway
