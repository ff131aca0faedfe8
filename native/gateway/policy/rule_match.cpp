#include "gateway/policy/rule_match.h"

#include <algorithm>

#include "gateway/parsers/functions.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr int64_t kMicrosPerMinute = 60'000'000;
constexpr int64_t kMinutesPerDay = 1440;
constexpr int64_t kMinutesPerWeek = 7 * kMinutesPerDay;
// 1 January 1970 was a Thursday.
constexpr int64_t kEpochDay = 3;

constexpr Truth truth(bool holds) { return holds ? Truth::yes : Truth::no; }

// What comes with a certain application only: no, or for an unknown one maybe.
Truth comes(const RuleFacts& facts, bool (*with)(Application)) {
  if (!facts.applicationKnown) return Truth::maybe;
  return with(facts.application) ? Truth::maybe : Truth::no;
}

bool namesFiles(Application application) {
  // SIP tells of messages only.
  return functionsOf(application).filter && application != Application::sip;
}

bool showsContent(Application application) { return functionsOf(application).scan; }

bool chats(Application application) {
  switch (application) {
    case Application::edonkey:
    case Application::opennap:
    case Application::msn:
    case Application::irc:
    case Application::xmpp:
    case Application::sip: return true;
    default: return false;
  }
}

bool namesHost(Application application) {
  return application == Application::http || application == Application::tls || application == Application::quic;
}

bool holds(const AddressSet& set, const Address& address) {
  const auto behind = std::upper_bound(set.begin(), set.end(), address,
                                       [](const Address& a, const AddressRange& range) { return a < range.first; });
  return behind != set.begin() && address <= std::prev(behind)->last;
}

bool holds(const TimeWindow& window, const RuleFacts& facts) {
  const int64_t offset = window.utc ? 0 : int64_t{facts.utcOffsetSeconds} * 1'000'000;
  const int64_t local = facts.now + offset;
  // Towards the past also before 1970.
  const int64_t minutes = local >= 0 ? local / kMicrosPerMinute : -((-local + kMicrosPerMinute - 1) / kMicrosPerMinute);
  const int64_t inWeek = ((minutes + kEpochDay * kMinutesPerDay) % kMinutesPerWeek + kMinutesPerWeek) % kMinutesPerWeek;
  const auto day = static_cast<unsigned>(inWeek / kMinutesPerDay);
  const int64_t minute = inWeek % kMinutesPerDay;
  const auto begins = [&](unsigned on) { return (window.days >> on & 1U) != 0; };
  if (window.from < window.to) return begins(day) && minute >= window.from && minute < window.to;
  return (begins(day) && minute >= window.from) || (begins((day + 6) % 7) && minute < window.to);
}

// Without a port and the dot of a complete name.
std::string_view bareHost(std::string_view host) {
  const size_t colon = host.rfind(':');
  const bool port = colon != std::string_view::npos && host.find_first_not_of("0123456789", colon + 1) == host.npos;
  // The other colons of an IPv6 address stand in brackets.
  if (port && (host.find(':') == colon || (colon > 0 && host[colon - 1] == ']'))) host = host.substr(0, colon);
  if (host.size() > 1 && host.ends_with('.')) host.remove_suffix(1);
  return host;
}

class RuleMatcher {
 public:
  RuleMatcher(RuleFacts& facts, uint32_t& needs) : facts_(facts), needs_(needs) {}

  Truth operator()(const ApplicationIs& is) {
    if (!facts_.applicationKnown) return maybe(0);
    return truth(std::binary_search(is.numbers.begin(), is.numbers.end(), static_cast<uint16_t>(facts_.application)));
  }

  Truth operator()(const AddressIn& in) {
    const AddressSet& set = *facts_.sets[in.set];
    switch (in.end) {
      case PolicyEnd::from: return truth(holds(set, facts_.from));
      case PolicyEnd::to: return truth(holds(set, facts_.to));
      case PolicyEnd::between: return truth(holds(set, facts_.from) || holds(set, facts_.to));
      case PolicyEnd::sender: break;
    }
    if (facts_.file != nullptr) {
      const bool initiator = facts_.file->sender == Side::initiator;
      return truth(holds(set, initiator ? facts_.from : facts_.to));
    }
    const bool from = holds(set, facts_.from);
    if (from == holds(set, facts_.to)) return truth(from);
    return maybe(kNeedsFiles);
  }

  Truth operator()(const PortIn& in) const {
    if (facts_.protocol != kProtocolTcp && facts_.protocol != kProtocolUdp) return Truth::no;
    const auto has = [&](const auto& range) { return facts_.port >= range.first && facts_.port <= range.second; };
    return truth(std::any_of(in.ranges.begin(), in.ranges.end(), has));
  }

  Truth operator()(const ProtocolIs& is) const {
    return truth(std::find(is.numbers.begin(), is.numbers.end(), facts_.protocol) != is.numbers.end());
  }

  Truth operator()(const TimeIn& in) const {
    for (const uint16_t time : in.times)
      for (const TimeWindow& window : facts_.policy.times[time])
        if (holds(window, facts_)) return Truth::yes;
    return Truth::no;
  }

  Truth operator()(const PatternIn& in) {
    switch (in.subject) {
      case PolicySubject::host:
        if (facts_.hostKnown) return matches(in, bareHost(facts_.host));
        return comes(facts_, namesHost) == Truth::no ? Truth::no : maybe(kNeedsHost);
      case PolicySubject::fileName:
        if (facts_.file == nullptr) return maybe(kNeedsFiles);
        return facts_.file->name.empty() ? later(kNeedsFiles) : matches(in, facts_.file->name);
      case PolicySubject::chatText: return facts_.chat == nullptr ? maybe(kNeedsChat) : matches(in, facts_.chat->text);
      case PolicySubject::chatFrom: return facts_.chat == nullptr ? maybe(kNeedsChat) : matches(in, facts_.chat->from);
      case PolicySubject::chatTo: return facts_.chat == nullptr ? maybe(kNeedsChat) : matches(in, facts_.chat->to);
    }
    return Truth::no;
  }

  Truth operator()(const FileSizeIn& in) {
    if (facts_.file == nullptr) return maybe(kNeedsFiles);
    const FileFacts& file = *facts_.file;
    const uint64_t least = std::max(file.size.value_or(0), file.atLeast);
    const uint64_t most = file.size || file.final ? least : UINT64_MAX;
    if (most < in.least || least > in.most) return Truth::no;
    if (least >= in.least && most <= in.most) return Truth::yes;
    facts_.sizeOpen = std::min(facts_.sizeOpen, least < in.least ? in.least : in.most + 1);
    return maybe(kNeedsFiles);
  }

  Truth operator()(const FileTypeIs& is) {
    if (facts_.file == nullptr || !facts_.file->type) return content(kNeedsFileType);
    const FileType& type = *facts_.file->type;
    return truth((is.kinds >> static_cast<unsigned>(type.kind) & 1U) != 0 ||
                 std::find(is.names.begin(), is.names.end(), type.name) != is.names.end());
  }

  Truth operator()(const FileHashIn& in) {
    if (facts_.file == nullptr || facts_.file->sha256 == nullptr) return content(kNeedsFileHash);
    return truth(std::any_of(in.lists.begin(), in.lists.end(), [&](uint16_t list) {
      const auto& hashes = facts_.policy.hashes[list];
      return std::binary_search(hashes.begin(), hashes.end(), *facts_.file->sha256);
    }));
  }

  Truth operator()(const AnyFile&) {
    if (facts_.file != nullptr) return Truth::yes;
    return facts_.chat != nullptr || filesCome(facts_) == Truth::no ? Truth::no : maybe(kNeedsFiles);
  }

  Truth operator()(const AnyChat&) {
    if (facts_.chat != nullptr) return Truth::yes;
    return facts_.file != nullptr || comes(facts_, chats) == Truth::no ? Truth::no : maybe(kNeedsChat);
  }

 private:
  // The application tells whether the rest can come at all.
  Truth maybe(uint32_t needs) {
    needs_ |= needs | (facts_.applicationKnown ? 0 : kNeedsApplication);
    return Truth::maybe;
  }

  // A fact of a file that has none yet.
  Truth later(uint32_t needs) {
    if (facts_.file != nullptr && facts_.file->final) return Truth::no;
    return maybe(needs);
  }

  Truth content(uint32_t needs) { return contentComes(facts_) == Truth::no ? Truth::no : later(kNeedsFiles | needs); }

  // Nothing matches what is empty.
  Truth matches(const PatternIn& in, std::string_view text) {
    if (text.empty() || facts_.scratch == nullptr) return Truth::no;
    auto& matched = facts_.matched[static_cast<size_t>(in.subject)];
    if (matched == nullptr) matched = &facts_.matcher.match(in.subject, text, *facts_.scratch);
    return truth((*matched)[in.group]);
  }

  RuleFacts& facts_;
  uint32_t& needs_;
};

bool changesWithRequest(const PolicyCondition& condition, const RuleFacts& facts) {
  if (!facts.hostKnown || facts.application != Application::http) return false;
  const auto* const pattern = std::get_if<PatternIn>(&condition);
  return pattern != nullptr && pattern->subject == PolicySubject::host;
}

}  // namespace

Truth filesCome(const RuleFacts& facts) { return comes(facts, namesFiles); }

Truth contentComes(const RuleFacts& facts) { return comes(facts, showsContent); }

Truth matchRule(const PolicyRule& rule, RuleFacts& facts, uint32_t& needs) {
  Truth result = Truth::yes;
  uint32_t found = 0;
  bool byHost = false;
  RuleMatcher matcher(facts, found);
  for (const PolicyCondition& condition : rule.conditions) {
    const Truth one = std::visit(matcher, condition);
    const bool changes = changesWithRequest(condition, facts);
    byHost |= changes;
    if (one == Truth::no && !changes) return Truth::no;
    result = std::min(result, one);
  }
  facts.hostMayChange |= byHost;
  if (result == Truth::no) return Truth::no;
  needs |= found;
  return result;
}

}  // namespace p2pxbone::gateway
