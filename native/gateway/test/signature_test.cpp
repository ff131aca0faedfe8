#include <doctest/doctest.h>
#include <regex.h>

#include <random>
#include <set>

#include "gateway/pattern_dialect.h"
#include "gateway/signature_file.h"
#include "gateway/signature_set.h"

using namespace p2pxbone::gateway;

namespace {

Signature signatureOf(std::string_view text) {
  auto read = readSignature("test.pat", text);
  if (const auto* error = std::get_if<SignatureError>(&read)) FAIL(error->text());
  return std::get<Signature>(read);
}

std::string errorOf(std::string_view text) {
  const auto read = readSignature("test.pat", text);
  REQUIRE(std::holds_alternative<SignatureError>(read));
  return std::get<SignatureError>(read).text();
}

Signature signatureNamed(const std::string& name, std::string_view pattern,
                         SignatureRank rank = SignatureRank::ordinary) {
  Signature signature = signatureOf(name + "\n" + std::string(pattern) + "\n");
  signature.rank = rank;
  return signature;
}

std::optional<SignatureMatch> matchOf(const SignatureSet& set, std::string_view data) {
  const auto scratch = set.makeScratch();
  REQUIRE(scratch != nullptr);
  return set.match({reinterpret_cast<const uint8_t*>(data.data()), data.size()}, *scratch);
}

bool matches(std::string_view pattern, std::string_view data) {
  const auto build = SignatureSet::build({signatureNamed("http", pattern)});
  if (!build.errors.empty()) FAIL(build.errors.front().text());
  return matchOf(*build.set, data).has_value();
}

// What l7-filter outside the kernel does: \xHH becomes the byte itself, and the C library's expressions do the rest.
std::string forRegcomp(std::string_view pattern) {
  std::string out;
  bool inClass = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 3 < pattern.size() && pattern[i + 1] == 'x') {
      const char byte = static_cast<char>(std::stoi(std::string(pattern.substr(i + 2, 2)), nullptr, 16));
      if (!inClass && std::string_view("^$.[]()|*+?{}\\").find(byte) != std::string_view::npos) out += '\\';
      out += byte;
      i += 3;
      continue;
    }
    if (pattern[i] == '[') inClass = true;
    if (pattern[i] == ']') inClass = false;
    out += pattern[i];
  }
  return out;
}

class Patterns {
 public:
  explicit Patterns(uint32_t seed) : random_(seed) {}

  std::string pattern(int depth = 0) {
    std::string out;
    if (depth == 0 && pick(3) == 0) out += '^';
    for (size_t i = 0, n = 1 + pick(3); i < n; ++i) out += piece(depth);
    if (pick(5) == 0) out += "|" + piece(depth);
    if (depth == 0 && pick(5) == 0) out += '$';
    return out;
  }

  std::string data() {
    static constexpr std::string_view alphabet = "aAbB*.\xe9\n-";
    std::string out;
    for (size_t i = 0, n = pick(9); i < n; ++i) out += alphabet[pick(alphabet.size())];
    return out;
  }

 private:
  size_t pick(size_t below) { return random_() % below; }

  std::string piece(int depth) {
    static constexpr std::string_view atoms[] = {
        "a",     "B",    ".",     "\\x2a",         "\\xe9", "\\x41",       "\\.",
        "[ab]",  "[^a]", "[a-b]", "[\\x2a-\\x2e]", "[]a]",  "[[:upper:]]", "[a-]",
        "\\x0a", "\\*",  "-",     "[\\x80-\\xff]", "{",     "\\x5b"};
    static constexpr std::string_view operators[] = {"", "", "", "*", "+", "?", "{2}", "{1,2}", "{2,}"};
    std::string out =
        depth < 2 && pick(4) == 0 ? "(" + pattern(depth + 1) + ")" : std::string(atoms[pick(std::size(atoms))]);
    // What '{' means behind an operator, and an operator behind it, differs between libraries.
    if (out == "{") return "\\{";
    return out += operators[pick(std::size(operators))];
  }

  std::mt19937 random_;
};

}  // namespace

TEST_CASE("a signature file has comments, a name and an expression") {
  const Signature signature = signatureOf("# Gnutella - a file sharing network\n\ngnutella\n^gnutella connect/\n");
  CHECK(signature.name == "gnutella");
  CHECK(signature.caseless);
  CHECK(signature.line == 4);
  CHECK(signature.rank == SignatureRank::ordinary);
}

TEST_CASE("line ends of other systems, and a missing last one, make no difference") {
  CHECK(signatureOf("ssh\r\n^ssh-\r\n").expression == signatureOf("ssh\n^ssh-").expression);
}

TEST_CASE("the userspace expression and flags count, where there are some") {
  const Signature signature =
      signatureOf("smtp\n^220 smtp\nuserspace pattern=^220 E?SMTP\nuserspace flags=REG_NOSUB REG_EXTENDED\n");
  CHECK(signature.line == 3);
  CHECK_FALSE(signature.caseless);
  const auto build = SignatureSet::build({signature});
  CHECK(matchOf(*build.set, "220 ESMTP"));
  CHECK_FALSE(matchOf(*build.set, "220 esmtp"));
}

TEST_CASE("pattern attributes rank a signature") {
  CHECK(signatureOf("# Pattern attributes: good fast superset\nhttp\nhttp/\n").rank == SignatureRank::superset);
  CHECK(signatureOf("# Pattern attributes: ok fast subset\nhttp\nhttp/\n").rank == SignatureRank::subset);
  CHECK(signatureOf("# Pattern attributes: weak overmatch\nhttp\nhttp/\n").rank == SignatureRank::overmatch);
}

TEST_CASE("errors in signature files name the line and say what to do") {
  CHECK(errorOf("# nothing\n") == "test.pat:1: the file names no protocol; write its name on a line");
  CHECK(errorOf("") == "test.pat:1: the file names no protocol; write its name on a line");
  CHECK(errorOf("ssh\n") == "test.pat:1: no expression follows the name; write it on the next line");
  CHECK(errorOf("# c\nse cure\n^a\n").starts_with("test.pat:2: a protocol's name is"));
  CHECK(errorOf("ssh\n^a\nftp\n^b\n").starts_with("test.pat:3: after name and expression"));
  CHECK(errorOf("ssh\n^a\\d\n").starts_with("test.pat:2: column 3: '\\d' is not in this dialect"));
  CHECK(errorOf("ssh\na(b\n").starts_with("test.pat:2: column 2: this '(' is never closed"));
  CHECK(errorOf("ssh\na)b\n").starts_with("test.pat:2: column 2: this ')' closes nothing"));
  CHECK(errorOf("ssh\na[b\n").starts_with("test.pat:2: column 2: this '[' is never closed"));
  CHECK(errorOf("ssh\n*a\n").starts_with("test.pat:2: column 1: there is nothing for '*' to repeat"));
  CHECK(errorOf("ssh\na\\x4\n").starts_with("test.pat:2: column 2: \\x needs two"));
  CHECK(errorOf("ssh\na\\x00\n").starts_with("test.pat:2: column 2: NUL bytes are removed"));
  CHECK(errorOf("ssh\na{3\n").starts_with("test.pat:2: column 2: an interval is"));
  CHECK(errorOf("ssh\na{3,2}\n").starts_with("test.pat:2: column 2: this interval ends"));
  CHECK(errorOf("ssh\na{3,999}\n").starts_with("test.pat:2: column 2: an interval goes up to 255"));
  CHECK(errorOf("ssh\n[z-a]\n").starts_with("test.pat:2: column 2: this range ends"));
  CHECK(errorOf("ssh\n[^\\x00-\\xff]\n").starts_with("test.pat:2: column 1: this class holds no byte"));
  CHECK(errorOf("ssh\na*****\n").find("too many repetitions") != std::string::npos);
  CHECK(errorOf("ssh\n[[:foo:]]\n").starts_with("test.pat:2: column 2: no class has this name"));
  CHECK(errorOf("ssh\na\nuserspace pattern=b(\n").starts_with("test.pat:3: column 20: this '('"));
  CHECK(errorOf("ssh\na\nuserspace flags=REG_NOSUB\n").starts_with("test.pat:3: basic expressions"));
  CHECK(
      errorOf("ssh\na\nuserspace flags=REG_EXTENDED REG_NEWLINE\n").starts_with("test.pat:3: the flag 'REG_NEWLINE'"));
  CHECK(errorOf("ssh\na\nuserspace pattern=b\nuserspace pattern=c\n").starts_with("test.pat:4: there is a second"));
  CHECK(errorOf(std::string("ssh\n^a\0b\n", 8)).starts_with("test.pat:2: a signature file is text"));
  CHECK(errorOf("ssh\n" + std::string(kPatternBytesMax + 1, 'a')).find("longer than 8192 bytes") != std::string::npos);
  CHECK(errorOf("ssh\n" + std::string(kPatternDepthMax + 2, '(')).find("nested too deeply") != std::string::npos);
  CHECK(errorOf(std::string(kSignatureFileBytesMax + 1, '#')).find("larger than 65536") != std::string::npos);
}

TEST_CASE("the dialect: bytes, classes, anchors, letter case") {
  CHECK(matches("^\\x13bittorrent", "\x13" "BitTorrent protocol"));
  CHECK_FALSE(matches("^bittorrent", "\x13" "BitTorrent protocol"));
  CHECK(matches("^ssh-[12]\\.[0-9]", "SSH-2.0-OpenSSH"));
  CHECK(matches("a\\x2a", "a*"));
  CHECK_FALSE(matches("a\\x2ab", "aaab"));
  CHECK(matches("[\\x09-\\x0d -~]*x$", "hello\r\n x"));
  CHECK_FALSE(matches("x$", "x\n"));
  CHECK(matches("a.b", "a\nb"));
  CHECK(matches("[]^-]", "]"));
  CHECK(matches("a{2}b", "aab"));
  CHECK(matches("^{", "{"));
  CHECK(matches("^(get|post) ", "POST /"));
  CHECK(matches("ab**c", "abbc"));
}

TEST_CASE("random expressions match what the C library's match") {
  Patterns patterns(7);
  size_t compiled = 0;
  size_t matched = 0;
  for (int round = 0; round < 600; ++round) {
    const std::string pattern = patterns.pattern();
    CAPTURE(pattern);
    regex_t expression;
    REQUIRE(regcomp(&expression, forRegcomp(pattern).c_str(), REG_EXTENDED | REG_ICASE | REG_NOSUB) == 0);
    const auto build = SignatureSet::build({signatureNamed("http", pattern)});
    // What matches nothing at all is refused by the one and useless in the other.
    if (build.set->size() == 1) {
      ++compiled;
      const auto scratch = build.set->makeScratch();
      for (int i = 0; i < 40; ++i) {
        std::string data = patterns.data();
        if (data.empty()) continue;
        CAPTURE(data);
        const bool expected = regexec(&expression, data.c_str(), 0, nullptr, 0) == 0;
        const std::span<const uint8_t> bytes{reinterpret_cast<const uint8_t*>(data.data()), data.size()};
        CHECK(build.set->match(bytes, *scratch).has_value() == expected);
        matched += expected ? 1 : 0;
      }
    } else {
      CHECK(regexec(&expression, "", 0, nullptr, 0) == 0);
    }
    regfree(&expression);
  }
  CHECK(compiled > 300);
  CHECK(matched > 1000);
}

TEST_CASE("names of the operator's own are believed first, then the better rank, then the earlier signature") {
  const auto build = SignatureSet::build(
      {signatureNamed("everything", "get", SignatureRank::overmatch),
       signatureNamed("http", "^get ", SignatureRank::superset), signatureNamed("mine", "^get /mine"),
       signatureNamed("gnutella", "^get /mine"), signatureNamed("bittorrent", "info_hash=", SignatureRank::subset)});
  REQUIRE(build.errors.empty());
  const SignatureSet& set = *build.set;
  CHECK(set.nameOf(matchOf(set, "get /mine?info_hash=")->application) == "mine");
  CHECK(matchOf(set, "get /yours?info_hash=")->application == Application::bittorrent);
  CHECK(set.nameOf(matchOf(set, "get /mine")->application) == "mine");
  CHECK(matchOf(set, "get /")->application == Application::http);
  CHECK(set.nameOf(matchOf(set, "target")->application) == "everything");
  CHECK_FALSE(matchOf(set, "put"));
}

TEST_CASE("names outside the table get numbers in the order of loading") {
  const auto build =
      SignatureSet::build({signatureNamed("mine", "a", SignatureRank::overmatch), signatureNamed("napster", "b"),
                           signatureNamed("yours", "c"), signatureNamed("mine", "d")});
  const SignatureSet& set = *build.set;
  CHECK(set.applicationOf("mine") == static_cast<Application>(kApplicationUserFirst));
  CHECK(set.applicationOf("yours") == static_cast<Application>(kApplicationUserFirst + 1));
  CHECK(set.applicationOf("napster") == Application::opennap);
  CHECK(set.applicationOf("SSH") == Application::ssh);
  CHECK_FALSE(set.applicationOf("theirs"));
  CHECK(set.nameOf(static_cast<Application>(kApplicationUserFirst + 1)) == "yours");
  CHECK(set.nameOf(static_cast<Application>(kApplicationUserFirst + 2)).empty());
  CHECK(set.nameOf(Application::ssh) == "ssh");
}

TEST_CASE("a signature that cannot be used is left out and reported; the others stay") {
  const auto build = SignatureSet::build(
      {signatureNamed("ssh", "^ssh"), signatureNamed("bad", "a*"), signatureNamed("irc", "^nick ")});
  REQUIRE(build.set != nullptr);
  CHECK(build.set->size() == 2);
  REQUIRE(build.errors.size() == 1);
  CHECK(build.errors[0].text().starts_with("test.pat:2: the expression cannot be used:"));
  CHECK(matchOf(*build.set, "nick me")->application == Application::irc);
}

TEST_CASE("an empty set matches nothing") {
  const auto build = SignatureSet::build({});
  REQUIRE(build.set != nullptr);
  CHECK_FALSE(matchOf(*build.set, "anything"));
}

TEST_CASE("the number of signatures is bounded") {
  std::vector<Signature> many(kSignaturesMax + 2, signatureNamed("ssh", "^ssh-"));
  for (size_t i = 0; i < many.size(); ++i) many[i].expression += std::to_string(i);
  const auto build = SignatureSet::build(std::move(many));
  CHECK(build.set->size() == kSignaturesMax);
  CHECK(build.errors.size() == 2);
}
