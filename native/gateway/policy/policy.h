// The compiled policy: immutable, shared by threads, replaced whole. The first rule that matches decides.
//
// A question is asked when something becomes known: a flow begins, its application or host is known (flow); a file is
// named, its size, type or hash is known (file); a message was read (chat). Rules about files match only in questions
// about a file, rules about chat only in questions about a message, rules about the flow alone in all of them.
//
// Undecided: a rule that may match once more is known stands before the first that does, unless both deny. Then the flow goes on, and
// `needs` says what is of interest. Of such a flow's decision the limit, mark and rule already hold if only rules about
// files or messages are in the way; a redirect holds in any case, as it has to begin with the first packet.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "core/packet.h"
#include "gateway/packet.h"
#include "gateway/policy/rule_match.h"

namespace p2pxbone::gateway {

class Policy {
 public:
  // What a thread needs to ask. Fits one policy, and those that differ from it in their sets; one of them must outlive it.
  class Scratch {
   public:
    explicit Scratch(std::unique_ptr<PatternScratch> patterns) : patterns_(std::move(patterns)) {}

   private:
    friend class Policy;
    std::unique_ptr<PatternScratch> patterns_;
  };
  // The number of an application that only signature files name: SignatureSet::applicationOf.
  using ApplicationOf = std::function<std::optional<Application>(std::string_view)>;
  using Build = std::variant<std::shared_ptr<const Policy>, PolicyError>;

  // Compiles the patterns: milliseconds to seconds, so not on a packet's way.
  [[nodiscard]] static Build build(std::span<const uint8_t> image, const ApplicationOf& applicationOf);
  // This policy with other addresses in the sets that the bytes give (policy_image.h). It shares all else with this one:
  // rules keep their numbers, and a Scratch of the one fits the other.
  [[nodiscard]] Build withSets(std::span<const uint8_t> replaced) const;

  // Null if there is no memory.
  [[nodiscard]] std::unique_ptr<Scratch> makeScratch() const;

  // A TCP SYN or another first packet, before there is a flow. Its sender is the end that begins the flow.
  [[nodiscard]] Decision syn(const Packet& packet, WallTime now, int32_t utcOffsetSeconds = 0) const;
  // Holds for the application that was told: when a parser hands the flow over to another protocol, ask again.
  [[nodiscard]] Decision flow(const FlowFacts& facts, Scratch& scratch) const;
  [[nodiscard]] Decision file(const FlowFacts& facts, const FileFacts& file, Scratch& scratch) const;
  [[nodiscard]] Decision chat(const FlowFacts& facts, const ChatFacts& chat, Scratch& scratch) const;

  // "default" for kNoRule. The text lives as long as the policy.
  [[nodiscard]] std::string_view ruleName(uint32_t rule) const;
  // The rule's line in the policy; 0 for kNoRule.
  [[nodiscard]] uint32_t ruleLine(uint32_t rule) const;
  [[nodiscard]] RedirectTarget redirectOf(uint32_t rule) const;
  [[nodiscard]] size_t ruleCount() const { return image_->rules.size(); }
  [[nodiscard]] const ConditionPolicy& conditions() const { return image_->conditions; }
  // For packets and streams; in a dry run none of them drops.
  [[nodiscard]] ConditionPolicy packetConditions() const {
    return image_->dryRun ? image_->conditions.watching() : image_->conditions;
  }
  // How long a connection is refused that was cut for another reason than a rule, ms.
  [[nodiscard]] Millis denyFor() const { return image_->denyFor; }
  // Whether any rule asks what a flow carries.
  [[nodiscard]] bool asksForApplications() const { return asksForApplications_; }
  [[nodiscard]] bool fastPass() const { return image_->fastPass; }
  [[nodiscard]] bool dryRun() const { return image_->dryRun; }
  // Parents stand before their children; Decision::limit is an index + 1.
  [[nodiscard]] std::span<const LimitClass> limits() const { return image_->limits; }

 private:
  Policy() = default;
  [[nodiscard]] RuleFacts factsOf(const FlowFacts& facts, Scratch& scratch) const;
  [[nodiscard]] Decision decide(RuleFacts& facts) const;
  [[nodiscard]] Decision outcome(uint32_t rule, const RuleFacts& facts) const;

  std::shared_ptr<const PolicyImage> image_;  // without its sets
  AddressSets sets_;
  std::shared_ptr<const PatternMatcher> matcher_;
  bool asksForApplications_ = false;
};

}  // namespace p2pxbone::gateway
