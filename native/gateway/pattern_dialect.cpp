#include "gateway/pattern_dialect.h"

#include <array>
#include <bitset>
#include <optional>

namespace p2pxbone::gateway {
namespace {

using ByteClass = std::bitset<256>;

// Behind one another, such as in a*+.
constexpr size_t kOperatorsMax = 4;

constexpr bool isDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

int hexDigit(char c) {
  if (isDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void appendByte(std::string& to, uint8_t byte) {
  const char c = static_cast<char>(byte);
  if (isDigit(c) || isLetter(c)) {
    to += c;
    return;
  }
  constexpr std::string_view digits = "0123456789abcdef";
  to += "\\x";
  to += digits[byte >> 4];
  to += digits[byte & 15];
}

// The complement is left to the matcher: without regard to letter case, [^a] holds no A.
void appendClass(std::string& to, const ByteClass& bytes, bool negated) {
  to += negated ? "[^" : "[";
  for (size_t first = 0; first < bytes.size(); ++first) {
    if (!bytes[first]) continue;
    size_t last = first;
    while (last + 1 < bytes.size() && bytes[last + 1]) ++last;
    appendByte(to, static_cast<uint8_t>(first));
    if (last > first) {
      to += '-';
      appendByte(to, static_cast<uint8_t>(last));
    }
    first = last;
  }
  to += ']';
}

struct NamedClass {
  std::string_view name;
  bool (*holds)(uint8_t);
};

constexpr bool printable(uint8_t b) { return b >= 0x20 && b < 0x7f; }
constexpr bool lower(uint8_t b) { return b >= 'a' && b <= 'z'; }
constexpr bool upper(uint8_t b) { return b >= 'A' && b <= 'Z'; }
constexpr bool digit(uint8_t b) { return b >= '0' && b <= '9'; }

constexpr std::array<NamedClass, 12> kNamedClasses{{
    {"alpha", [](uint8_t b) { return lower(b) || upper(b); }},
    {"digit", [](uint8_t b) { return digit(b); }},
    {"alnum", [](uint8_t b) { return lower(b) || upper(b) || digit(b); }},
    {"upper", [](uint8_t b) { return upper(b); }},
    {"lower", [](uint8_t b) { return lower(b); }},
    {"space", [](uint8_t b) { return b == ' ' || (b >= 9 && b <= 13); }},
    {"blank", [](uint8_t b) { return b == ' ' || b == 9; }},
    {"punct", [](uint8_t b) { return printable(b) && b != ' ' && !lower(b) && !upper(b) && !digit(b); }},
    {"print", [](uint8_t b) { return printable(b); }},
    {"graph", [](uint8_t b) { return printable(b) && b != ' '; }},
    {"cntrl", [](uint8_t b) { return b < 0x20 || b == 0x7f; }},
    {"xdigit", [](uint8_t b) { return hexDigit(static_cast<char>(b)) >= 0; }},
}};

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  TranslatedPattern run() {
    alternatives(0);
    if (!error_ && at_ < pattern_.size()) fail("this ')' closes nothing; write \\) for the character");
    if (error_) return *error_;
    return std::move(out_);
  }

 private:
  [[nodiscard]] bool more() const { return !error_ && at_ < pattern_.size(); }
  [[nodiscard]] char peek(size_t ahead = 0) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }
  void fail(std::string what, std::optional<size_t> where = std::nullopt) {
    if (!error_) error_ = PatternError{where.value_or(at_) + 1, std::move(what)};
  }

  // Everything up to the end or the ')' that closes this group.
  void alternatives(size_t depth) {
    if (depth > kPatternDepthMax) return fail("groups are nested too deeply");
    while (more() && peek() != ')') {
      if (peek() == '|') {
        out_ += '|';
        ++at_;
      } else {
        piece(depth);
      }
    }
  }

  void piece(size_t depth) {
    const size_t start = out_.size();
    atom(depth);
    // In PCRE a second operator would make the first lazy or possessive, so each one closes a group.
    for (size_t operators = 1; !error_ && quantifierAhead(); ++operators) {
      if (operators > kOperatorsMax) return fail("too many repetitions of one thing");
      out_.insert(start, "(?:");
      out_ += ')';
      quantifier();
    }
  }

  void atom(size_t depth) {
    const char c = peek();
    switch (c) {
      case '(': return group(depth);
      case '[': return bracket();
      case '\\': return escaped();
      case '*':
      case '+':
      case '?':
        return fail(std::string("there is nothing for '") + c + "' to repeat; write \\" + c + " for the character");
      case '.': out_ += '.'; break;
      case '^': out_ += '^'; break;
      // PCRE's own $ also matches in front of a final newline.
      case '$': out_ += "\\z"; break;
      default: appendByte(out_, static_cast<uint8_t>(c)); break;
    }
    ++at_;
  }

  void group(size_t depth) {
    const size_t open = at_++;
    out_ += "(?:";
    alternatives(depth + 1);
    if (error_) return;
    if (peek() != ')') return fail("this '(' is never closed; write \\( for the character", open);
    ++at_;
    out_ += ')';
  }

  // The byte of \xHH here, if it is one.
  [[nodiscard]] std::optional<uint8_t> hexByte() const {
    if (peek() != '\\' || peek(1) != 'x') return std::nullopt;
    const int high = hexDigit(peek(2));
    const int low = hexDigit(peek(3));
    if (high < 0 || low < 0) return std::nullopt;
    return static_cast<uint8_t>(high * 16 + low);
  }

  void escaped() {
    if (const auto byte = hexByte()) {
      if (*byte == 0) return fail("NUL bytes are removed from the data before matching; leave \\x00 out");
      appendByte(out_, *byte);
      at_ += 4;
      return;
    }
    const char next = peek(1);
    if (at_ + 1 >= pattern_.size()) return fail("a '\\' at the end escapes nothing; write \\\\ for the character");
    if (next == 'x') return fail("\\x needs two hexadecimal digits");
    // Libraries disagree on what these mean; a silent difference would be worse than a refusal.
    if (isDigit(next) || isLetter(next)) {
      return fail(std::string("'\\") + next +
                  "' is not in this dialect; write \\xHH, a class such as [0-9], or the character");
    }
    appendByte(out_, static_cast<uint8_t>(next));
    at_ += 2;
  }

  void bracket() {
    const size_t open = at_++;
    const bool negated = peek() == '^';
    if (negated) ++at_;
    ByteClass bytes;
    // Directly behind the opening a ']' stands for itself.
    for (bool first = true; first || peek() != ']'; first = false) {
      if (at_ >= pattern_.size()) return fail("this '[' is never closed; write \\[ for the character", open);
      if (peek() == '[' && peek(1) == ':') {
        if (!namedClass(bytes)) return;
        continue;
      }
      if (peek() == '[' && (peek(1) == '.' || peek(1) == '=')) return fail("collating elements are not supported");
      const size_t where = at_;
      const uint8_t low = classByte();
      uint8_t high = low;
      if (peek() == '-' && peek(1) != ']' && at_ + 1 < pattern_.size()) {
        ++at_;
        high = classByte();
      }
      if (high < low) return fail("this range ends before it begins", where);
      for (size_t byte = low; byte <= high; ++byte) bytes.set(byte);
    }
    ++at_;
    if (negated && bytes.all()) return fail("this class holds no byte", open);
    appendClass(out_, bytes, negated);
  }

  bool namedClass(ByteClass& bytes) {
    const size_t end = pattern_.find(":]", at_ + 2);
    const std::string_view name = pattern_.substr(at_ + 2, end == std::string_view::npos ? 0 : end - at_ - 2);
    for (const NamedClass& named : kNamedClasses) {
      if (named.name != name) continue;
      for (size_t byte = 0; byte < bytes.size(); ++byte)
        if (named.holds(static_cast<uint8_t>(byte))) bytes.set(byte);
      at_ = end + 2;
      return true;
    }
    fail(
        "no class has this name; there are alpha, digit, alnum, upper, lower, space, blank, punct, print, graph, "
        "cntrl, xdigit");
    return false;
  }

  // One member: \xHH, or the character itself, which here may be a backslash.
  uint8_t classByte() {
    if (const auto byte = hexByte()) {
      at_ += 4;
      return *byte;
    }
    return static_cast<uint8_t>(pattern_[at_++]);
  }

  [[nodiscard]] bool quantifierAhead() const {
    if (!more()) return false;
    const char c = peek();
    return c == '*' || c == '+' || c == '?' || (c == '{' && isDigit(peek(1)));
  }

  void quantifier() {
    if (peek() != '{') {
      out_ += pattern_[at_++];
      return;
    }
    const size_t open = at_++;
    const std::optional<unsigned> least = number();
    std::optional<unsigned> most = least;
    out_ += '{' + std::to_string(least.value_or(0));
    if (peek() == ',') {
      ++at_;
      out_ += ',';
      most = isDigit(peek()) ? number() : std::optional<unsigned>{};
      if (most) out_ += std::to_string(*most);
    }
    if (peek() != '}') return fail("an interval is {m}, {m,} or {m,n}; write \\{ for the character", open);
    ++at_;
    out_ += '}';
    if (least.value_or(0) > kPatternRepeatMax || most.value_or(0) > kPatternRepeatMax) {
      return fail("an interval goes up to " + std::to_string(kPatternRepeatMax), open);
    }
    if (most && *most < least.value_or(0)) fail("this interval ends before it begins", open);
  }

  std::optional<unsigned> number() {
    unsigned value = 0;
    while (isDigit(peek()) && value <= kPatternRepeatMax)
      value = value * 10 + static_cast<unsigned>(pattern_[at_++] - '0');
    return value;
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string out_;
  std::optional<PatternError> error_;
};

}  // namespace

TranslatedPattern translatePattern(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return PatternError{kPatternBytesMax,
                        "the expression is longer than " + std::to_string(kPatternBytesMax) + " bytes"};
  }
  return Translator(pattern).run();
}

}  // namespace p2pxbone::gateway
