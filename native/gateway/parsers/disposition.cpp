#include "gateway/parsers/disposition.h"

#include <array>

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kContinuationsMax = 16;

struct Parameter {
  std::string_view name;
  std::string value;
};

// Cuts `; name=value` off the front. False at the end.
bool nextParameter(std::string_view& rest, Parameter& parameter) {
  const size_t begin = rest.find(';');
  if (begin == std::string_view::npos) return false;
  rest.remove_prefix(begin + 1);
  const size_t nameEnd = rest.find_first_of("=;");
  parameter.name = trimmed(rest.substr(0, nameEnd));
  parameter.value.clear();
  if (nameEnd == std::string_view::npos || rest[nameEnd] == ';') {
    rest.remove_prefix(nameEnd == std::string_view::npos ? rest.size() : nameEnd);
    return true;
  }
  rest.remove_prefix(nameEnd + 1);
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
  if (rest.empty() || rest.front() != '"') {
    const std::string_view value = rest.substr(0, rest.find(';'));
    parameter.value = trimmed(value);
    rest.remove_prefix(value.size());
    return true;
  }
  size_t i = 1;
  for (; i < rest.size() && rest[i] != '"'; ++i) {
    // A backslash escapes a quote or itself; before anything else it is a path separator that was not escaped.
    if (rest[i] == '\\' && i + 1 < rest.size() && (rest[i + 1] == '"' || rest[i + 1] == '\\')) ++i;
    parameter.value += rest[i];
  }
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return true;
}

std::string fromCharset(std::string_view charset, std::string_view bytes) {
  if (same(charset, "iso-8859-1") || same(charset, "us-ascii")) return utf8FromLatin1(bytes);
  return utf8Of(bytes);
}

// `UTF-8'en'%e2%82%ac`
std::string extendedValue(std::string_view value, std::string& charset) {
  charset = nextWord(value, '\'');
  (void)nextWord(value, '\'');
  return percentDecoded(value);
}

// `=?utf-8?B?4oKs?=`, words between which blanks do not count.
std::string encodedWords(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t begin = text.find("=?");
    std::string_view word = begin == std::string_view::npos ? std::string_view{} : text.substr(begin + 2);
    const std::string_view charset = nextWord(word, '?');
    const std::string_view coding = nextWord(word, '?');
    const size_t end = word.find("?=");
    if (begin == std::string_view::npos || coding.size() != 1 || end == std::string_view::npos) return result += text;
    result += trimmed(text.substr(0, begin));
    std::string decoded;
    if (same(coding, "b")) {
      decoded = base64Decoded(word.substr(0, end));
    } else {
      std::string quoted{word.substr(0, end)};
      for (char& c : quoted) c = c == '_' ? ' ' : c == '=' ? '%' : c;
      decoded = percentDecoded(quoted);
    }
    result += fromCharset(charset, decoded);
    text = word.substr(end + 2);
  }
  return result;
}

std::string plainName(std::string_view value) {
  const std::string words = encodedWords(value);
  const std::string decoded = percentDecoded(words);
  return isUtf8(decoded) ? decoded : utf8Of(words);
}

}  // namespace

std::string parameterOf(std::string_view field, std::string_view name) {
  Parameter parameter;
  while (nextParameter(field, parameter))
    if (same(parameter.name, name)) return parameter.value;
  return {};
}

Disposition dispositionOf(std::string_view field) {
  Disposition result;
  std::string extended;
  std::string plain;
  std::string charset;
  std::array<std::string, kContinuationsMax> parts;
  Parameter parameter;
  while (nextParameter(field, parameter)) {
    std::string_view name = parameter.name;
    if (!startsWith(name, "filename")) continue;
    name.remove_prefix(std::string_view{"filename"}.size());
    result.hasName = result.hasName || name.empty() || name.front() == '*';
    if (name.empty()) {
      if (plain.empty()) plain = plainName(parameter.value);
    } else if (name == "*") {
      std::string set;
      const std::string value = extendedValue(parameter.value, set);
      if (extended.empty()) extended = fromCharset(set, value);
    } else if (name.front() == '*') {
      const bool coded = name.back() == '*';
      const auto index = decimalOf(name.substr(1, name.size() - (coded ? 2 : 1)));
      if (!index || *index >= kContinuationsMax) continue;
      std::string& part = parts[static_cast<size_t>(*index)];
      part = coded && *index == 0 ? extendedValue(parameter.value, charset)
             : coded              ? percentDecoded(parameter.value)
                                  : parameter.value;
    }
  }
  std::string continued;
  for (const std::string& part : parts) {
    if (part.empty()) break;
    continued += part;
  }
  result.name = !extended.empty() ? extended : !continued.empty() ? fromCharset(charset, continued) : plain;
  return result;
}

}  // namespace p2pxbone::gateway
