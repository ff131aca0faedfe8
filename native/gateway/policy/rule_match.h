// Whether a rule's conditions hold, as far as the facts go: yes, no, or maybe once more is known.
#pragma once

#include <array>

#include "gateway/policy/decision.h"
#include "gateway/policy/pattern_matcher.h"

namespace p2pxbone::gateway {

enum class Truth : uint8_t { no, maybe, yes };

// What rules are compared with. All that it points to outlives it; it belongs to one question.
struct RuleFacts {
  const PolicyImage& policy;
  const AddressSets& sets;
  const PatternMatcher& matcher;
  // Null for a SYN, about which there is nothing to match with patterns.
  PatternScratch* scratch = nullptr;

  Address from{}, to{};
  uint16_t port = 0;  // of the end with which the flow was begun
  uint8_t protocol = 0;
  Application application = Application::unknown;
  bool applicationKnown = false;
  std::string_view host{};
  bool hostKnown = false;
  WallTime now = 0;
  int32_t utcOffsetSeconds = 0;

  // At most one of them: the event is about it.
  const FileFacts* file = nullptr;
  const ChatFacts* chat = nullptr;

  // The least number of bytes of the file that would settle a condition on size.
  uint64_t sizeOpen = UINT64_MAX;
  // A condition on the host, the only one that stands in the way of its rule, if any does, is about an HTTP connection:
  // its next request may be for another host.
  bool hostMayChange = false;
  // Of each subject, once it was needed.
  std::array<const std::vector<bool>*, kPolicySubjects> matched{};
};

// Adds to `needs` the facts on which a `maybe` depends.
[[nodiscard]] Truth matchRule(const PolicyRule& rule, RuleFacts& facts, uint32_t& needs);

// Whether such a flow can still tell of files; of their content.
[[nodiscard]] Truth filesCome(const RuleFacts& facts);
[[nodiscard]] Truth contentComes(const RuleFacts& facts);

}  // namespace p2pxbone::gateway
