// JSON into memory of the caller's, without allocation. Texts may be anything that came over the network: what comes
// out is one line of valid UTF-8 and valid JSON that is also harmless to look at in a terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace p2pxbone::gateway {

class JsonWriter {
 public:
  // The memory is the caller's and outlives the writer.
  explicit JsonWriter(std::span<char> into) : into_(into) {}

  // An empty key belongs to the outermost value or to one in a list.
  void open(std::string_view key = {}) { begin(key, '{'); }
  void close() { end('}'); }
  void openList(std::string_view key) { begin(key, '['); }
  void closeList() { end(']'); }

  // At most `bytesMax` bytes come out between the quotes; of a longer text, whole characters of its beginning.
  void text(std::string_view key, std::string_view value, size_t bytesMax);
  // For words of our own.
  void word(std::string_view key, std::string_view value) { text(key, value, value.size() * kEscapeBytes); }
  // What no signed 64-bit integer holds is written as the largest: readers refuse the whole record otherwise, and
  // anybody can announce such a size.
  void number(std::string_view key, uint64_t value);
  void flag(std::string_view key, bool value);
  void endLine() { raw("\n"); }

  // A text was longer than it may be.
  [[nodiscard]] bool cut() const { return cut_; }
  // Something did not fit into the memory: what is written is not JSON.
  [[nodiscard]] bool full() const { return full_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  static constexpr size_t kEscapeBytes = 6;  // "\u0000"

  void begin(std::string_view key, char bracket);
  void end(char bracket);
  void key(std::string_view name);
  void raw(std::string_view bytes);
  // What has come out of `value`, at most `bytesMax` bytes.
  void characters(std::string_view value, size_t bytesMax);

  std::span<char> into_;
  size_t size_ = 0;
  bool comma_ = false;
  bool cut_ = false;
  bool full_ = false;
};

}  // namespace p2pxbone::gateway
