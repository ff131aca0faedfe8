// A slow and strict reader of JSON (RFC 8259), to judge what a writer has made: one value, valid UTF-8, no name twice
// in an object, no character in a text that is not meant to be seen.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway::testing {

class JsonReader {
 public:
  // Texts and numbers by their path: "chat.text", "metadata.http.host.0". Nothing if it is not JSON.
  using Values = std::map<std::string, std::string>;
  [[nodiscard]] static std::optional<Values> read(std::string_view text) {
    JsonReader reader{text};
    if (!isUtf8(text) || !reader.value("") || !reader.rest_.empty()) return std::nullopt;
    return reader.values_;
  }

 private:
  explicit JsonReader(std::string_view text) : rest_(text) {}

  bool take(std::string_view expected) {
    if (rest_.substr(0, expected.size()) != expected) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }

  bool value(const std::string& path) {
    if (rest_.empty()) return false;
    if (rest_.front() == '{') return members(path);
    if (rest_.front() == '[') return elements(path);
    if (rest_.front() == '"') return string(values_[path]);
    for (const std::string_view word : {"true", "false"})
      if (take(word)) return values_[path] = word, true;
    return number(values_[path]);
  }

  bool members(const std::string& path) {
    std::set<std::string> names;
    if (!take("{")) return false;
    if (take("}")) return true;
    do {
      std::string name;
      if (!string(name) || !names.insert(name).second || !take(":")) return false;
      if (!value(path.empty() ? name : path + "." + name)) return false;
    } while (take(","));
    return take("}");
  }

  bool elements(const std::string& path) {
    if (!take("[")) return false;
    if (take("]")) return true;
    size_t index = 0;
    do {
      if (!value(path + "." + std::to_string(index++))) return false;
    } while (take(","));
    return take("]");
  }

  // Whole numbers without a sign, that a signed 64-bit integer holds; others are never written.
  bool number(std::string& to) {
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      to += rest_.front();
      rest_.remove_prefix(1);
    }
    const auto read = decimalOf(to);
    return read && *read <= INT64_MAX && (to == "0" || to.front() != '0');
  }

  bool string(std::string& to) {
    if (!take("\"")) return false;
    while (!rest_.empty() && rest_.front() != '"') {
      const auto byte = static_cast<uint8_t>(rest_.front());
      if (byte < 0x20 || byte == 0x7f) return false;
      // C1 controls, the marks of direction, and U+FEFF.
      for (const std::string_view hidden : {"\xc2\x9b", "\xe2\x80\xae", "\xe2\x80\xa8", "\xef\xbb\xbf"})
        if (rest_.substr(0, hidden.size()) == hidden) return false;
      if (byte != '\\') {
        to += rest_.front();
        rest_.remove_prefix(1);
      } else if (rest_.size() >= 2 && (rest_[1] == '"' || rest_[1] == '\\')) {
        to += rest_[1];
        rest_.remove_prefix(2);
      } else {
        if (rest_.size() < 6 || rest_[1] != 'u') return false;
        const auto code = hexadecimalOf(rest_.substr(2, 4));
        if (!code) return false;
        appendUtf8(to, static_cast<uint32_t>(*code));
        rest_.remove_prefix(6);
      }
    }
    return take("\"");
  }

  std::string_view rest_;
  Values values_;
};

}  // namespace p2pxbone::gateway::testing
