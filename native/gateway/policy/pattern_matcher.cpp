#include "gateway/policy/pattern_matcher.h"

#include <hs/hs.h>

#include <algorithm>

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    (void)Free(object);
  }
};

using Database = std::unique_ptr<hs_database_t, Deleter<hs_free_database>>;
using CompileError = std::unique_ptr<hs_compile_error_t, Deleter<hs_free_compile_error>>;
using MatchSpace = std::unique_ptr<hs_scratch_t, Deleter<hs_free_scratch>>;

// Texts are bounded by the parsers; beyond this the matcher's own type of length would end.
constexpr size_t kTextBytesMax = 1 << 24;

struct Hits {
  const std::vector<uint16_t>& groupOf;
  std::vector<bool>& groups;
};

int onMatch(unsigned number, unsigned long long, unsigned long long, unsigned, void* context) {
  const Hits& hits = *static_cast<const Hits*>(context);
  hits.groups[hits.groupOf[number]] = true;
  return 0;
}

}  // namespace

struct PatternMatcher::Subject {
  // Null if there are no patterns.
  Database database;
  // By the matcher's number of a pattern.
  std::vector<uint16_t> groupOf;
  size_t groups = 0;
};

struct PatternScratch::Space {
  MatchSpace space;
  std::array<std::vector<bool>, kPolicySubjects> groups;
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
    std::vector<const char*> texts;
    std::vector<unsigned> flags, ids;
    std::vector<const PolicyExpression*> expressions;
    for (const PolicyExpression& expression : image.expressions) {
      if (static_cast<size_t>(expression.subject) != number) continue;
      texts.push_back(expression.text.c_str());
      // An expression for any name also matches none, which is not asked.
      flags.push_back(HS_FLAG_UTF8 | HS_FLAG_UCP | HS_FLAG_DOTALL | HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY |
                      (expression.caseless ? unsigned{HS_FLAG_CASELESS} : 0U));
      ids.push_back(static_cast<unsigned>(ids.size()));
      expressions.push_back(&expression);
      subject.groupOf.push_back(expression.group);
    }
    if (texts.empty()) continue;
    hs_database_t* database = nullptr;
    hs_compile_error_t* error = nullptr;
    const hs_error_t code = hs_compile_multi(texts.data(), flags.data(), ids.data(), static_cast<unsigned>(ids.size()),
                                             HS_MODE_BLOCK, nullptr, &database, &error);
    subject.database.reset(database);
    if (code == HS_SUCCESS) continue;
    const CompileError owned(error);
    const std::string what = error != nullptr ? error->message : "there is too little memory";
    const int at = error != nullptr ? error->expression : -1;
    const bool known = at >= 0 && static_cast<size_t>(at) < expressions.size();
    const PolicyExpression* bad = known ? expressions[static_cast<size_t>(at)] : nullptr;
    return PolicyError{"the pattern cannot be used: " + what, bad != nullptr ? bad->line : 0, bad != nullptr ? bad->column : 0};
  }
  return Build{std::unique_ptr<const PatternMatcher>(std::move(matcher))};
}

std::unique_ptr<PatternScratch> PatternMatcher::makeScratch() const {
  auto space = std::make_unique<PatternScratch::Space>();
  hs_scratch_t* shared = nullptr;
  for (const Subject& subject : *subjects_) {
    if (!subject.database) continue;
    // Grows what there is; on failure it has been freed.
    if (hs_alloc_scratch(subject.database.get(), &shared) != HS_SUCCESS) return nullptr;
  }
  space->space.reset(shared);
  for (size_t i = 0; i < kPolicySubjects; ++i) space->groups[i].resize((*subjects_)[i].groups);
  return std::make_unique<PatternScratch>(std::move(space));
}

const std::vector<bool>& PatternMatcher::match(PolicySubject subject, std::string_view text, PatternScratch& scratch) const {
  const Subject& patterns = (*subjects_)[static_cast<size_t>(subject)];
  std::vector<bool>& groups = scratch.space_->groups[static_cast<size_t>(subject)];
  std::fill(groups.begin(), groups.end(), false);
  if (!patterns.database || text.empty()) return groups;
  text = text.substr(0, kTextBytesMax);
  // In what is not UTF-8 the matcher would find anything.
  std::string replaced;
  if (!isUtf8(text)) {
    replaced = utf8Of(text);
    text = replaced;
  }
  Hits hits{patterns.groupOf, groups};
  (void)hs_scan(patterns.database.get(), text.data(), static_cast<unsigned>(text.size()), 0, scratch.space_->space.get(), onMatch,
                &hits);
  return groups;
}

}  // namespace p2pxbone::gateway
