#include "gateway/parsers/bencode.h"

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

// Lists in lists: no protocol goes deeper.
constexpr size_t kDepthMax = 32;

size_t stringSize(std::string_view bytes) {
  const size_t colon = bytes.substr(0, 20).find(':');
  if (colon == std::string_view::npos) return 0;
  const auto length = decimalOf(bytes.substr(0, colon));
  if (!length || *length > bytes.size() - colon - 1) return 0;
  return colon + 1 + static_cast<size_t>(*length);
}

}  // namespace

size_t Bencoded::sizeOf(std::string_view bytes) {
  size_t depth = 0;
  size_t at = 0;
  do {
    if (at >= bytes.size()) return 0;
    const char c = bytes[at];
    if (c == 'd' || c == 'l') {
      if (++depth > kDepthMax) return 0;
      ++at;
    } else if (c == 'e') {
      if (depth == 0) return 0;
      --depth;
      ++at;
    } else if (c == 'i') {
      const size_t end = bytes.find('e', at);
      if (end == std::string_view::npos) return 0;
      at = end + 1;
    } else {
      const size_t size = stringSize(bytes.substr(at));
      if (size == 0) return 0;
      at += size;
    }
  } while (depth > 0);
  return at;
}

std::optional<std::string_view> Bencoded::string() const {
  const size_t size = stringSize(bytes_);
  if (size == 0) return std::nullopt;
  return bytes_.substr(bytes_.find(':') + 1, size - bytes_.find(':') - 1);
}

std::optional<uint64_t> Bencoded::number() const {
  if (!bytes_.starts_with('i')) return std::nullopt;
  return decimalOf(bytes_.substr(1, bytes_.find('e') - 1));
}

std::optional<Bencoded> Bencoded::get(std::string_view key) const {
  if (!isDictionary()) return std::nullopt;
  for (std::string_view rest = bytes_.substr(1); !rest.empty() && rest.front() != 'e';) {
    const size_t keySize = stringSize(rest);
    if (keySize == 0) return std::nullopt;
    const auto name = Bencoded{rest.substr(0, keySize)}.string();
    rest.remove_prefix(keySize);
    const size_t valueSize = sizeOf(rest);
    if (valueSize == 0) return std::nullopt;
    if (name == key) return Bencoded{rest.substr(0, valueSize)};
    rest.remove_prefix(valueSize);
  }
  return std::nullopt;
}

std::optional<std::string_view> Bencoded::stringAt(std::string_view key) const {
  const auto value = get(key);
  return value ? value->string() : std::nullopt;
}

std::optional<uint64_t> Bencoded::numberAt(std::string_view key) const {
  const auto value = get(key);
  return value ? value->number() : std::nullopt;
}

}  // namespace p2pxbone::gateway
