#include "gateway/policy/policy.h"

#include <algorithm>

namespace p2pxbone::gateway {
namespace {

// In the image they are numbered by its own table; in flows by the signatures.
std::optional<PolicyError> renumber(PolicyImage& image, const Policy::ApplicationOf& applicationOf) {
  std::vector<uint16_t> numbers;
  for (const std::string& name : image.ownApplications) {
    const auto known = applicationOf ? applicationOf(name) : std::nullopt;
    if (!known) {
      return PolicyError{"no signature names the application '" + name + "'; load the policy's signatures first", 0,
                         0};
    }
    numbers.push_back(static_cast<uint16_t>(*known));
  }
  for (PolicyRule& rule : image.rules) {
    for (PolicyCondition& condition : rule.conditions) {
      auto* is = std::get_if<ApplicationIs>(&condition);
      if (is == nullptr) continue;
      for (uint16_t& number : is->numbers)
        if (number >= kApplicationUserFirst) number = numbers[number - kApplicationUserFirst];
      std::sort(is->numbers.begin(), is->numbers.end());
    }
  }
  return std::nullopt;
}

}  // namespace

Policy::Build Policy::build(std::span<const uint8_t> bytes, const ApplicationOf& applicationOf) {
  auto read = readPolicyImage(bytes);
  if (auto* error = std::get_if<PolicyError>(&read)) return std::move(*error);
  std::shared_ptr<Policy> policy(new Policy);
  const auto image = std::make_shared<PolicyImage>(std::move(std::get<PolicyImage>(read)));
  if (auto error = renumber(*image, applicationOf)) return std::move(*error);
  auto built = PatternMatcher::build(*image);
  if (auto* error = std::get_if<PolicyError>(&built)) return std::move(*error);
  policy->matcher_ = std::move(std::get<std::unique_ptr<const PatternMatcher>>(built));
  for (const PolicyRule& rule : image->rules) {
    for (const PolicyCondition& condition : rule.conditions)
      policy->asksForApplications_ = policy->asksForApplications_ || std::holds_alternative<ApplicationIs>(condition);
  }
  // What was compiled is not looked at again.
  std::vector<PolicyExpression>().swap(image->expressions);
  for (AddressSet& set : image->sets) policy->sets_.push_back(std::make_shared<const AddressSet>(std::move(set)));
  std::vector<AddressSet>().swap(image->sets);
  policy->image_ = image;
  return Build{std::shared_ptr<const Policy>(std::move(policy))};
}

Policy::Build Policy::withSets(std::span<const uint8_t> bytes) const {
  auto read = readReplacedSets(bytes, sets_.size());
  if (auto* error = std::get_if<PolicyError>(&read)) return std::move(*error);
  std::shared_ptr<Policy> policy(new Policy(*this));
  for (ReplacedSet& replaced : std::get<std::vector<ReplacedSet>>(read)) {
    policy->sets_[replaced.index] = std::make_shared<const AddressSet>(std::move(replaced.set));
  }
  return Build{std::shared_ptr<const Policy>(std::move(policy))};
}

std::unique_ptr<Policy::Scratch> Policy::makeScratch() const {
  auto patterns = matcher_->makeScratch();
  return patterns ? std::make_unique<Scratch>(std::move(patterns)) : nullptr;
}

Decision Policy::syn(const Packet& packet, WallTime now, int32_t utcOffsetSeconds) const {
  RuleFacts facts{*image_, sets_, *matcher_};
  facts.from = packet.ip.source;
  facts.to = packet.ip.destination;
  facts.port = packet.ip.destinationPort;
  facts.protocol = packet.ip.protocol;
  facts.now = now;
  facts.utcOffsetSeconds = utcOffsetSeconds;
  return decide(facts);
}

Decision Policy::flow(const FlowFacts& flow, Scratch& scratch) const {
  RuleFacts facts = factsOf(flow, scratch);
  return decide(facts);
}

Decision Policy::file(const FlowFacts& flow, const FileFacts& file, Scratch& scratch) const {
  RuleFacts facts = factsOf(flow, scratch);
  facts.file = &file;
  return decide(facts);
}

Decision Policy::chat(const FlowFacts& flow, const ChatFacts& chat, Scratch& scratch) const {
  RuleFacts facts = factsOf(flow, scratch);
  facts.chat = &chat;
  return decide(facts);
}

RuleFacts Policy::factsOf(const FlowFacts& from, Scratch& scratch) const {
  RuleFacts facts{*image_, sets_, *matcher_};
  facts.scratch = scratch.patterns_.get();
  facts.from = from.flow.address(Side::initiator);
  facts.to = from.flow.address(Side::responder);
  facts.port = from.flow.port(Side::responder);
  facts.protocol = from.flow.key.protocol;
  facts.application = from.application;
  facts.applicationKnown = from.applicationKnown;
  facts.host = from.host;
  facts.hostKnown = from.hostKnown;
  facts.now = from.now;
  facts.utcOffsetSeconds = from.utcOffsetSeconds;
  return facts;
}

Decision Policy::decide(RuleFacts& facts) const {
  uint32_t needs = 0;
  bool undecided = false, flowUndecided = false, mayScan = false, mayStore = false;
  bool allDeny = true;
  uint32_t match = kNoRule;
  for (uint32_t i = 0; i < image_->rules.size() && match == kNoRule; ++i) {
    const PolicyRule& rule = image_->rules[i];
    const Truth truth = matchRule(rule, facts, needs);
    if (truth == Truth::yes) match = i + 1;
    if (truth != Truth::maybe) continue;
    undecided = true;
    allDeny &= rule.action == Decision::Action::drop || rule.action == Decision::Action::reject;
    flowUndecided |= !rule.aboutFiles && !rule.aboutChat;
    mayScan |= rule.scan;
    mayStore |= rule.store;
  }
  Decision likely = outcome(match, facts);
  const bool aboutFlow = facts.file == nullptr && facts.chat == nullptr;
  if (aboutFlow && facts.hostMayChange && !likely.denies()) likely.needs |= kNeedsHost;
  // A denial that only other denials could come before need not wait for them.
  if (!undecided || (likely.denies() && allDeny)) return likely;

  Decision decision;
  const bool goesOn = !likely.denies();
  if (goesOn && (!flowUndecided || likely.action == Decision::Action::redirect)) {
    decision = likely;
    decision.log = likely.log && facts.file == nullptr && facts.chat == nullptr && !flowUndecided;
  }
  decision.decided = false;
  decision.dryRun = image_->dryRun;
  decision.scan = mayScan || (goesOn && likely.scan);
  decision.store = mayStore || (goesOn && likely.store);
  decision.needs = needs | likely.needs;
  decision.sizeOpen = facts.sizeOpen;
  return decision;
}

// If this rule, or with kNoRule the default, has the last word.
Decision Policy::outcome(uint32_t number, const RuleFacts& facts) const {
  Decision decision;
  decision.dryRun = image_->dryRun;
  decision.rule = number;
  if (number == kNoRule) {
    decision.action = image_->defaultAction;
    if (decision.denies()) decision.denyFor = image_->denyFor;
    return decision;
  }
  const PolicyRule& rule = image_->rules[number - 1];
  decision.action = rule.action;
  decision.mark = rule.mark;
  decision.limit = rule.limit;
  decision.log = rule.log;
  decision.scan = rule.scan;
  decision.store = rule.store;
  if (decision.denies()) decision.denyFor = rule.denyFor;
  // A rule about the flow that scans or stores means the files in it.
  const bool aboutFlow = facts.file == nullptr && facts.chat == nullptr;
  if (aboutFlow && !decision.denies() && (rule.scan || rule.store) && contentComes(facts) != Truth::no)
    decision.needs = kNeedsFiles | (facts.applicationKnown ? 0 : kNeedsApplication);
  return decision;
}

std::string_view Policy::ruleName(uint32_t rule) const {
  return rule == kNoRule || rule > image_->rules.size() ? std::string_view{"default"} : image_->rules[rule - 1].name;
}

uint32_t Policy::ruleLine(uint32_t rule) const {
  return rule == kNoRule || rule > image_->rules.size() ? 0 : image_->rules[rule - 1].line;
}

RedirectTarget Policy::redirectOf(uint32_t rule) const {
  return rule == kNoRule || rule > image_->rules.size() ? RedirectTarget{} : image_->rules[rule - 1].redirect;
}

}  // namespace p2pxbone::gateway
