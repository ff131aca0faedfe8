// A policy's patterns, compiled together for each subject: one pass over a text finds all groups of which a pattern
// matches. Immutable and shared by threads; each brings a PatternScratch of its own.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gateway/policy/policy_image.h"

namespace p2pxbone::gateway {

// What a thread needs to match. Fits one matcher.
class PatternScratch {
 public:
  struct Space;
  explicit PatternScratch(std::unique_ptr<Space> space);
  ~PatternScratch();
  PatternScratch(const PatternScratch&) = delete;
  PatternScratch& operator=(const PatternScratch&) = delete;

 private:
  friend class PatternMatcher;
  std::unique_ptr<Space> space_;
};

class PatternMatcher {
 public:
  using Build = std::variant<std::unique_ptr<const PatternMatcher>, PolicyError>;

  // The error names the place of the pattern that cannot be compiled.
  [[nodiscard]] static Build build(const PolicyImage& image);

  ~PatternMatcher();
  PatternMatcher(const PatternMatcher&) = delete;
  PatternMatcher& operator=(const PatternMatcher&) = delete;

  // Null if there is no memory.
  [[nodiscard]] std::unique_ptr<PatternScratch> makeScratch() const;

  // One bit for each group of the subject; valid until the next call with this scratch and subject. An empty text
  // matches nothing. What is not UTF-8 is taken with replacement characters.
  [[nodiscard]] const std::vector<bool>& match(PolicySubject subject, std::string_view text,
                                               PatternScratch& scratch) const;

 private:
  struct Subject;
  PatternMatcher();

  std::unique_ptr<std::array<Subject, kPolicySubjects>> subjects_;
};

}  // namespace p2pxbone::gateway
