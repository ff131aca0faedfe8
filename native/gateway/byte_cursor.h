// Reads a span from front to back and never beyond its end: what is missing reads as zero and is remembered.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/bytes.h"

namespace p2pxbone::gateway {

class ByteCursor {
 public:
  explicit ByteCursor(std::span<const uint8_t> bytes) : rest_(bytes) {}

  // False once anything was asked for that was not there.
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] size_t left() const { return rest_.size(); }
  [[nodiscard]] std::span<const uint8_t> rest() const { return rest_; }

  uint8_t u8() { return has(1) ? take(1)[0] : uint8_t{0}; }
  uint16_t be16() { return has(2) ? loadBe16(take(2).data()) : uint16_t{0}; }
  uint32_t be24() { return has(3) ? loadBe24(take(3).data()) : 0; }
  uint32_t be32() { return has(4) ? loadBe32(take(4).data()) : 0; }
  uint64_t be64() { return has(8) ? loadBe64(take(8).data()) : 0; }
  uint16_t le16() {
    const uint16_t value = be16();
    return static_cast<uint16_t>((value >> 8) | (value << 8));
  }
  uint32_t le32() {
    const uint32_t low = le16();
    return low | (uint32_t{le16()} << 16);
  }
  // RFC 9000 §16: the first two bits say how many bytes follow.
  uint64_t quicInteger() {
    const uint8_t first = u8();
    uint64_t value = first & 0x3f;
    for (int more = (1 << (first >> 6)) - 1; more > 0; --more) value = (value << 8) | u8();
    return value;
  }
  std::span<const uint8_t> bytes(size_t count) { return has(count) ? take(count) : std::span<const uint8_t>{}; }
  void skip(size_t count) { (void)bytes(count); }

 private:
  bool has(size_t count) {
    if (count > rest_.size()) {
      good_ = false;
      rest_ = {};
    }
    return good_;
  }
  std::span<const uint8_t> take(size_t count) {
    const std::span<const uint8_t> taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  std::span<const uint8_t> rest_;
  bool good_ = true;
};

[[nodiscard]] inline std::string_view textOf(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace p2pxbone::gateway
