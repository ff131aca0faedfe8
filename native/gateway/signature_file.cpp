#include "gateway/signature_file.h"

#include <algorithm>
#include <array>
#include <optional>

#include "gateway/pattern_dialect.h"

namespace p2pxbone::gateway {
namespace {

constexpr std::string_view kUserspacePattern = "userspace pattern=";
constexpr std::string_view kUserspaceFlags = "userspace flags=";
constexpr std::string_view kAttributes = "# Pattern attributes:";

struct Line {
  size_t number = 0;
  std::string_view text;
};

bool nameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Calls `take` with each word of the line.
template <typename Take>
void forEachWord(std::string_view text, Take take) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of(" \t", at), text.size());
    if (end > at) take(text.substr(at, end - at));
    at = end + 1;
  }
}

class Reader {
 public:
  Reader(std::string_view file, std::string_view text) : file_(file), text_(text) {}

  std::variant<Signature, SignatureError> run() {
    if (text_.size() > kSignatureFileBytesMax) {
      fail(1, "the file is larger than " + std::to_string(kSignatureFileBytesMax) + " bytes");
    } else {
      readLines();
      if (!error_) finish();
    }
    if (error_) return *error_;
    return std::move(signature_);
  }

 private:
  void fail(size_t line, std::string what) {
    if (!error_) error_ = SignatureError{std::string(file_), line, std::move(what)};
  }

  void readLines() {
    size_t number = 0;
    for (size_t at = 0; at < text_.size() && !error_;) {
      const size_t end = std::min(text_.find('\n', at), text_.size());
      std::string_view line = text_.substr(at, end - at);
      if (line.ends_with('\r')) line.remove_suffix(1);
      at = end + 1;
      last_ = ++number;
      take({number, line});
    }
  }

  void take(const Line& line) {
    if (line.text.find('\0') != std::string_view::npos)
      return fail(line.number, "a signature file is text, but here is a NUL byte");
    if (line.text.starts_with(kAttributes)) return attributes(line.text.substr(kAttributes.size()));
    if (line.text.starts_with('#') || trimmed(line.text).empty()) return;
    if (!name_) {
      name_ = Line{line.number, trimmed(line.text)};
    } else if (!pattern_) {
      // Blanks at the end belong to the expression.
      pattern_ = line;
    } else if (line.text.starts_with(kUserspacePattern)) {
      if (userspacePattern_) return fail(line.number, "there is a second 'userspace pattern='; keep one");
      userspacePattern_ = Line{line.number, line.text.substr(kUserspacePattern.size())};
    } else if (line.text.starts_with(kUserspaceFlags)) {
      if (flags_) return fail(line.number, "there is a second 'userspace flags='; keep one");
      flags_ = Line{line.number, line.text.substr(kUserspaceFlags.size())};
    } else {
      fail(line.number, "after name and expression only 'userspace pattern=' and 'userspace flags=' may follow; "
                        "put a second protocol into a file of its own");
    }
  }

  void attributes(std::string_view words) {
    forEachWord(words, [&](std::string_view word) {
      if (word == "subset") signature_.rank = SignatureRank::subset;
      if (word == "superset") signature_.rank = SignatureRank::superset;
      if (word == "overmatch") signature_.rank = SignatureRank::overmatch;
    });
  }

  void finish() {
    if (!name_) return fail(std::max<size_t>(last_, 1), "the file names no protocol; write its name on a line");
    const std::string_view name = name_->text;
    if (name.size() > kSignatureNameBytesMax || !std::all_of(name.begin(), name.end(), nameCharacter)) {
      return fail(name_->number, "a protocol's name is at most " + std::to_string(kSignatureNameBytesMax) +
                                     " letters, digits, '-', '_' and '.'");
    }
    if (!pattern_) return fail(name_->number, "no expression follows the name; write it on the next line");
    readFlags();
    if (error_) return;
    const Line& expression = userspacePattern_ ? *userspacePattern_ : *pattern_;
    TranslatedPattern translated = translatePattern(expression.text);
    if (const auto* error = std::get_if<PatternError>(&translated)) {
      const size_t before = userspacePattern_ ? kUserspacePattern.size() : 0;
      return fail(expression.number, "column " + std::to_string(error->column + before) + ": " + error->what);
    }
    signature_.name = name;
    signature_.expression = std::move(std::get<std::string>(translated));
    signature_.file = file_;
    signature_.line = expression.number;
    if (signature_.expression.empty()) fail(expression.number, "the expression is empty and would match everything");
  }

  // Without the line: extended and caseless. With it: what it says.
  void readFlags() {
    if (!flags_) return;
    bool extended = false;
    signature_.caseless = false;
    forEachWord(flags_->text, [&](std::string_view word) {
      if (word == "REG_EXTENDED") extended = true;
      else if (word == "REG_ICASE") signature_.caseless = true;
      else if (word != "REG_NOSUB" && word != "|")
        fail(flags_->number,
             "the flag '" + std::string(word) + "' is not supported; there are REG_EXTENDED, REG_ICASE and REG_NOSUB");
    });
    if (!extended)
      fail(flags_->number, "basic expressions are not supported; add REG_EXTENDED and check the expression");
  }

  std::string_view file_;
  std::string_view text_;
  size_t last_ = 0;
  std::optional<Line> name_;
  std::optional<Line> pattern_;
  std::optional<Line> userspacePattern_;
  std::optional<Line> flags_;
  Signature signature_;
  std::optional<SignatureError> error_;
};

}  // namespace

std::variant<Signature, SignatureError> readSignature(std::string_view file, std::string_view text) {
  return Reader(file, text).run();
}

}  // namespace p2pxbone::gateway
