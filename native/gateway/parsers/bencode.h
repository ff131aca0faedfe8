// Walks bencoded values, as BitTorrent's trackers, DHT and extensions send them, without copying.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace p2pxbone::gateway {

// A value inside other bytes. One that is cut short is absent.
class Bencoded {
 public:
  Bencoded() = default;
  explicit Bencoded(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] std::optional<std::string_view> string() const;
  [[nodiscard]] std::optional<uint64_t> number() const;
  [[nodiscard]] bool isList() const { return bytes_.starts_with('l'); }
  [[nodiscard]] bool isDictionary() const { return bytes_.starts_with('d'); }
  // Of a dictionary. A dictionary whose end has not come gives what is whole of it.
  [[nodiscard]] std::optional<Bencoded> get(std::string_view key) const;
  [[nodiscard]] std::optional<std::string_view> stringAt(std::string_view key) const;
  [[nodiscard]] std::optional<uint64_t> numberAt(std::string_view key) const;
  // Calls with each value of a list, until that says false.
  template <typename F>
  void forEach(F each) const {
    if (!isList()) return;
    for (std::string_view rest = bytes_.substr(1); !rest.empty() && rest.front() != 'e';) {
      const size_t size = sizeOf(rest);
      if (size == 0 || !each(Bencoded{rest.substr(0, size)})) return;
      rest.remove_prefix(size);
    }
  }
  // Of the value at the front; 0 if it is none, or not whole.
  [[nodiscard]] static size_t sizeOf(std::string_view bytes);

 private:
  std::string_view bytes_;
};

}  // namespace p2pxbone::gateway
