// Numbers for the rules of all policies that were in force, one after another: flows and denied connections outlive the
// policy that decided about them, and still tell the name of the rule.
#pragma once

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "gateway/policy/policy.h"

namespace p2pxbone::gateway {

class RuleBook {
 public:
  // Older ones are forgotten, and their rules nameless.
  static constexpr size_t kPoliciesMax = 16;

  // The policy in force from now on.
  void add(std::shared_ptr<const Policy> policy) {
    const uint32_t first = pages_.empty() ? 0 : pages_.back().first + static_cast<uint32_t>(pages_.back().policy->ruleCount());
    if (pages_.size() == kPoliciesMax) pages_.erase(pages_.begin());
    pages_.push_back({first, std::move(policy)});
  }

  // The policy in force with other addresses: its rules keep their numbers.
  void renew(std::shared_ptr<const Policy> policy) { pages_.back().policy = std::move(policy); }

  // Of a rule of the policy in force, as Verdict::rule holds it.
  [[nodiscard]] uint32_t numberOf(uint32_t rule) const { return rule == kNoRule ? kNoRule : pages_.back().first + rule; }
  [[nodiscard]] std::string_view nameOf(uint32_t number) const {
    if (number == kNoRule) return "default";
    const auto behind = std::find_if(pages_.begin(), pages_.end(), [number](const Page& page) { return page.first >= number; });
    if (behind == pages_.begin()) return {};
    const Page& page = *std::prev(behind);
    return number - page.first <= page.policy->ruleCount() ? page.policy->ruleName(number - page.first) : std::string_view{};
  }

 private:
  struct Page {
    uint32_t first;  // its rules are numbered from the next one on
    std::shared_ptr<const Policy> policy;
  };
  std::vector<Page> pages_;
};

}  // namespace p2pxbone::gateway
