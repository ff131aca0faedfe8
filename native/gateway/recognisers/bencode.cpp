#include "gateway/recognisers/bencode.h"

namespace p2pxbone::gateway {
namespace {

constexpr bool isDigit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

// Of the string at the front, with its length; 0 if it is none.
struct StringShape {
  size_t header = 0;
  size_t content = 0;
};

StringShape stringShape(std::span<const uint8_t> bytes) {
  size_t at = 0;
  size_t length = 0;
  for (; at < bytes.size() && isDigit(bytes[at]); ++at) {
    length = length * 10 + (bytes[at] - size_t{'0'});
    if (length > bytes.size()) return {};
  }
  if (at == 0 || at >= bytes.size() || bytes[at] != ':' || length > bytes.size() - at - 1) return {};
  return {at + 1, length};
}

// The length of the integer at the front, with 'i' and 'e'; 0 if it is none.
size_t integerBytes(std::span<const uint8_t> bytes) {
  constexpr size_t digitsMax = 20;
  size_t at = 1;
  if (at < bytes.size() && bytes[at] == '-') ++at;
  const size_t first = at;
  while (at < bytes.size() && isDigit(bytes[at]) && at - first < digitsMax) ++at;
  return at > first && at < bytes.size() && bytes[at] == 'e' ? at + 1 : 0;
}

}  // namespace

std::optional<std::span<const uint8_t>> bencodedValue(std::span<const uint8_t> bytes) {
  // For each open list or dictionary, whether a key comes next.
  struct Level {
    bool dictionary;
    bool key;
  };
  Level levels[kBencodeDepthMax];
  size_t depth = 0;
  size_t at = 0;
  while (at < bytes.size()) {
    const uint8_t first = bytes[at];
    Level* const level = depth > 0 ? &levels[depth - 1] : nullptr;
    if (first == 'e') {
      // A key without a value.
      if (level == nullptr || (level->dictionary && !level->key)) return std::nullopt;
      ++at;
      --depth;
    } else {
      if (level != nullptr && level->dictionary) {
        if (level->key && !isDigit(first)) return std::nullopt;
        level->key = !level->key;
      }
      if (first == 'd' || first == 'l') {
        if (depth == kBencodeDepthMax) return std::nullopt;
        levels[depth++] = {first == 'd', first == 'd'};
        ++at;
      } else if (first == 'i') {
        const size_t length = integerBytes(bytes.subspan(at));
        if (length == 0) return std::nullopt;
        at += length;
      } else {
        const StringShape shape = stringShape(bytes.subspan(at));
        if (shape.header == 0) return std::nullopt;
        at += shape.header + shape.content;
      }
    }
    if (depth == 0) return bytes.first(at);
  }
  return std::nullopt;
}

std::optional<std::span<const uint8_t>> bencodedString(std::span<const uint8_t> value) {
  const StringShape shape = stringShape(value);
  if (shape.header == 0) return std::nullopt;
  return value.subspan(shape.header, shape.content);
}

std::optional<int64_t> bencodedInteger(std::span<const uint8_t> value) {
  constexpr size_t digitsMax = 17;
  if (value.empty() || value[0] != 'i') return std::nullopt;
  const size_t length = integerBytes(value);
  if (length == 0 || length > digitsMax + 2) return std::nullopt;
  int64_t number = 0;
  const bool negative = value[1] == '-';
  for (size_t at = negative ? 2 : 1; at < length - 1; ++at) number = number * 10 + (value[at] - '0');
  return negative ? -number : number;
}

std::optional<std::span<const uint8_t>> bencodedMember(std::span<const uint8_t> dictionary, std::string_view key) {
  if (dictionary.empty() || dictionary[0] != 'd') return std::nullopt;
  std::span<const uint8_t> rest = dictionary.subspan(1);
  while (!rest.empty() && rest[0] != 'e') {
    const StringShape name = stringShape(rest);
    if (name.header == 0) return std::nullopt;
    const bool wanted = textOf(rest.subspan(name.header, name.content)) == key;
    rest = rest.subspan(name.header + name.content);
    const auto value = bencodedValue(rest);
    if (!value || wanted) return value;
    rest = rest.subspan(value->size());
  }
  return std::nullopt;
}

}  // namespace p2pxbone::gateway
