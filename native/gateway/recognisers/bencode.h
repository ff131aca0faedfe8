// Walks bencoded data (BitTorrent's encoding) without building anything: a value is the span that it occupies.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "gateway/byte_cursor.h"

namespace p2pxbone::gateway {

inline constexpr size_t kBencodeDepthMax = 16;

// The bytes of the value at the front, or nothing if it is malformed, cut off or nested too deeply.
[[nodiscard]] std::optional<std::span<const uint8_t>> bencodedValue(std::span<const uint8_t> bytes);

// The content of a string value; nothing if it is another kind.
[[nodiscard]] std::optional<std::span<const uint8_t>> bencodedString(std::span<const uint8_t> value);
[[nodiscard]] std::optional<int64_t> bencodedInteger(std::span<const uint8_t> value);

// The value under a key of a dictionary; nothing if there is none, or up to there it is malformed.
[[nodiscard]] std::optional<std::span<const uint8_t>> bencodedMember(std::span<const uint8_t> dictionary,
                                                                     std::string_view key);

// Calls take(value) with each element of a list, as long as it returns true. What is malformed ends it.
template <typename Take>
void forEachBencoded(std::span<const uint8_t> list, Take take) {
  if (list.empty() || list[0] != 'l') return;
  for (std::span<const uint8_t> rest = list.subspan(1); !rest.empty() && rest[0] != 'e';) {
    const auto value = bencodedValue(rest);
    if (!value || !take(*value)) return;
    rest = rest.subspan(value->size());
  }
}

}  // namespace p2pxbone::gateway
