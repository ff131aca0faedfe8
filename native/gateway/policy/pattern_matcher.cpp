#include "gateway/policy/pattern_matcher.h"

#include <algorithm>

#include "gateway/parsers/text.h"
#include "gateway/policy/marked_words.h"
#include "gateway/vectorscan.h"

namespace p2pxbone::gateway {
namespace {

// Texts are bounded by the parsers; beyond this the matcher's own type of length would end.
constexpr size_t kTextBytesMax = 1 << 24;

// Patterns that are matched in one pass.
struct Patterns {
  // Null if there are none.
  vectorscan::Database database;
  // By the matcher's number of a pattern.
  std::vector<uint16_t> groupOf;
};

struct Hits {
  const std::vector<uint16_t>& groupOf;
  std::vector<bool>& groups;
};

int onMatch(unsigned number, unsigned long long, unsigned long long, unsigned, void* context) {
  const Hits& hits = *static_cast<const Hits*>(context);
  hits.groups[hits.groupOf[number]] = true;
  return 0;
}

void scan(const Patterns& patterns, std::string_view text, hs_scratch_t* space, std::vector<bool>& groups) {
  if (!patterns.database) return;
  Hits hits{patterns.groupOf, groups};
  (void)hs_scan(patterns.database.get(), text.data(), static_cast<unsigned>(text.size()), 0, space, onMatch, &hits);
}

unsigned flagsOf(const PolicyExpression& expression) {
  const unsigned folding = expression.caseless ? unsigned{HS_FLAG_CASELESS} : 0U;
  // An expression for any name also matches none, which is not asked.
  return HS_FLAG_UTF8 | HS_FLAG_UCP | HS_FLAG_DOTALL | HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | folding;
}

std::optional<PolicyError> compile(const std::vector<const PolicyExpression*>& expressions, Patterns& patterns) {
  if (expressions.empty()) return std::nullopt;
  std::vector<const char*> texts;
  std::vector<unsigned> flags, numbers;
  for (const PolicyExpression* expression : expressions) {
    texts.push_back(expression->text.c_str());
    flags.push_back(flagsOf(*expression));
    numbers.push_back(static_cast<unsigned>(numbers.size()));
    patterns.groupOf.push_back(expression->group);
  }
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  const auto count = static_cast<unsigned>(numbers.size());
  const hs_error_t code = hs_compile_multi(texts.data(), flags.data(), numbers.data(), count, HS_MODE_BLOCK, nullptr,
                                           &database, &error);
  patterns.database.reset(database);
  if (code == HS_SUCCESS) return std::nullopt;
  const vectorscan::CompileError owned(error);
  PolicyError result{error != nullptr ? "the pattern cannot be used: " + std::string(error->message)
                                      : "there is too little memory for the patterns",
                     0, 0};
  const bool known = error != nullptr && error->expression >= 0;
  const size_t bad = known ? static_cast<size_t>(error->expression) : expressions.size();
  if (bad < expressions.size()) {
    result.line = expressions[bad]->line;
    result.column = expressions[bad]->column;
  }
  return result;
}

}  // namespace

struct PatternMatcher::Subject {
  Patterns plain, words;
  size_t groups = 0;
};

struct PatternScratch::Space {
  vectorscan::MatchSpace space;
  std::array<std::vector<bool>, kPolicySubjects> groups;
  std::string marked;
};

PatternScratch::PatternScratch(std::unique_ptr<Space> space) : space_(std::move(space)) {}
PatternScratch::~PatternScratch() = default;

PatternMatcher::PatternMatcher() : subjects_(std::make_unique<std::array<Subject, kPolicySubjects>>()) {}
PatternMatcher::~PatternMatcher() = default;

PatternMatcher::Build PatternMatcher::build(const PolicyImage& image) {
  if (hs_valid_platform() != HS_SUCCESS)
    return PolicyError{"this processor cannot match patterns: it lacks SSE4.2 or NEON", 0, 0};
  std::unique_ptr<PatternMatcher> matcher(new PatternMatcher);
  for (size_t number = 0; number < kPolicySubjects; ++number) {
    Subject& subject = (*matcher->subjects_)[number];
    subject.groups = image.groups[number];
    std::vector<const PolicyExpression*> plain, words;
    for (const PolicyExpression& expression : image.expressions)
      if (static_cast<size_t>(expression.subject) == number) (expression.words ? words : plain).push_back(&expression);
    if (auto error = compile(plain, subject.plain)) return std::move(*error);
    if (auto error = compile(words, subject.words)) return std::move(*error);
  }
  return Build{std::unique_ptr<const PatternMatcher>(std::move(matcher))};
}

std::unique_ptr<PatternScratch> PatternMatcher::makeScratch() const {
  auto space = std::make_unique<PatternScratch::Space>();
  hs_scratch_t* shared = nullptr;
  for (const Subject& subject : *subjects_) {
    for (const Patterns* patterns : {&subject.plain, &subject.words}) {
      if (!patterns->database) continue;
      // Grows what there is; on failure it has been freed.
      if (hs_alloc_scratch(patterns->database.get(), &shared) != HS_SUCCESS) return nullptr;
    }
  }
  space->space.reset(shared);
  for (size_t i = 0; i < kPolicySubjects; ++i) space->groups[i].resize((*subjects_)[i].groups);
  return std::make_unique<PatternScratch>(std::move(space));
}

const std::vector<bool>& PatternMatcher::match(PolicySubject number, std::string_view text,
                                               PatternScratch& scratch) const {
  const Subject& subject = (*subjects_)[static_cast<size_t>(number)];
  PatternScratch::Space& space = *scratch.space_;
  std::vector<bool>& groups = space.groups[static_cast<size_t>(number)];
  std::fill(groups.begin(), groups.end(), false);
  if (groups.empty() || text.empty()) return groups;
  text = text.substr(0, kTextBytesMax);
  // In what is not UTF-8 the matcher would find anything.
  std::string replaced;
  if (!isUtf8(text)) {
    replaced = utf8Of(text);
    text = replaced;
  }
  scan(subject.plain, text, space.space.get(), groups);
  if (subject.words.database) {
    markWords(text, space.marked);
    scan(subject.words, space.marked, space.space.get(), groups);
  }
  return groups;
}

}  // namespace p2pxbone::gateway
