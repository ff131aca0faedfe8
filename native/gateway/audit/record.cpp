#include "gateway/audit/record.h"

#include <arpa/inet.h>

#include <algorithm>
#include <chrono>

#include "gateway/audit/json_writer.h"

namespace p2pxbone::gateway {
namespace {

constexpr std::array<std::string_view, kAuditEventCount> kEventNames{"flow", "alert", "fileinfo",
                                                                     "chat", "drop",  "stats"};
constexpr std::array<std::string_view, 4> kActionNames{"accept", "drop", "reject", "redirect"};
constexpr std::array<std::string_view, 5> kFlowStateNames{"new", "established", "closing", "closed", "reset"};
constexpr std::array<std::string_view, 5> kFlowEndNames{"timeout", "closed", "evicted", "replaced", "shutdown"};
constexpr std::array<std::string_view, 8> kCauseNames{"flow",    "application", "host", "file",
                                                      "content", "chat",        "scan", "condition"};
constexpr std::array<std::string_view, 6> kFileStateNames{"listed",   "requested", "offered",
                                                          "complete", "truncated", "blocked"};
constexpr std::array<std::string_view, 4> kScanNames{"clean", "infected", "failed", "skipped"};
constexpr std::array<std::string_view, 4> kChatNames{"text", "action", "notice", "topic"};

template <typename Value, size_t Count>
std::string_view nameIn(const std::array<std::string_view, Count>& names, Value value) {
  return names[static_cast<size_t>(value)];
}

template <size_t Bytes>
struct SmallText {
  std::array<char, Bytes> bytes;
  size_t size = 0;

  [[nodiscard]] std::string_view view() const { return {bytes.data(), size}; }
  void add(std::string_view text) {
    std::copy(text.begin(), text.end(), bytes.begin() + static_cast<ptrdiff_t>(size));
    size += text.size();
  }
  // Decimal, with zeros in front.
  void add(uint64_t value, size_t digits) {
    for (size_t i = digits; i > 0; --i, value /= 10) bytes[size + i - 1] = static_cast<char>('0' + value % 10);
    size += digits;
  }
};

// "2026-11-22T03:04:26.123456+0000"; years beyond four digits are the last or first that has them.
SmallText<32> timestampOf(WallTime time) {
  using namespace std::chrono;
  constexpr WallTime kLast = 253'402'300'799'999'999;
  const sys_time<microseconds> at{microseconds{std::clamp<WallTime>(time, 0, kLast)}};
  const sys_days day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss clock{at - day};
  SmallText<32> text;
  text.add(static_cast<uint64_t>(static_cast<int>(date.year())), 4);
  text.add("-");
  text.add(static_cast<unsigned>(date.month()), 2);
  text.add("-");
  text.add(static_cast<unsigned>(date.day()), 2);
  text.add("T");
  text.add(static_cast<uint64_t>(clock.hours().count()), 2);
  text.add(":");
  text.add(static_cast<uint64_t>(clock.minutes().count()), 2);
  text.add(":");
  text.add(static_cast<uint64_t>(clock.seconds().count()), 2);
  text.add(".");
  text.add(static_cast<uint64_t>(clock.subseconds().count()), 6);
  text.add("+0000");
  return text;
}

SmallText<INET6_ADDRSTRLEN> textOf(const Address& address) {
  SmallText<INET6_ADDRSTRLEN> text;
  const bool v4 = isMappedIpv4(address);
  ::inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &address[12] : address.data(), text.bytes.data(), text.bytes.size());
  text.size = std::string_view{text.bytes.data()}.size();
  return text;
}

SmallText<12> protocolOf(uint8_t protocol) {
  SmallText<12> text;
  switch (protocol) {
    case kProtocolIcmp: text.add("ICMP"); break;
    case kProtocolTcp: text.add("TCP"); break;
    case kProtocolUdp: text.add("UDP"); break;
    case kProtocolIcmpv6: text.add("IPv6-ICMP"); break;
    case 47: text.add("GRE"); break;
    case 50: text.add("ESP"); break;
    case 51: text.add("AH"); break;
    case 132: text.add("SCTP"); break;
    default: text.add(protocol, 3);
  }
  return text;
}

SmallText<2 * sizeof(Sha256)> hexOf(const Sha256& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  SmallText<2 * sizeof(Sha256)> text;
  for (const uint8_t byte : digest) {
    text.add(kDigits.substr(byte >> 4, 1));
    text.add(kDigits.substr(byte & 15, 1));
  }
  return text;
}

// Writes the parts of one record.
class Line {
 public:
  explicit Line(std::span<char> into) : json_(into) {}

  size_t write(const AuditRecord& record) {
    json_.open();
    json_.word("timestamp", timestampOf(record.at).view());
    if (record.ends && record.ends->flowId != 0) json_.number("flow_id", record.ends->flowId);
    textUnlessEmpty("host", record.host);
    json_.word("event_type", auditEventName(record.event()));
    if (record.ends) ends(*record.ends);
    std::visit([this](const auto& about) { write(about); }, record.about);
    if (cut_ || json_.cut()) json_.flag("cut", true);
    json_.close();
    json_.endLine();
    return json_.full() ? 0 : json_.size();
  }

 private:
  void textUnlessEmpty(std::string_view key, std::string_view text) {
    if (!text.empty()) json_.text(key, text, kAuditTextBytesMax);
  }

  void ends(const AuditEnds& ends) {
    const bool ports = ends.protocol == kProtocolTcp || ends.protocol == kProtocolUdp;
    json_.word("src_ip", textOf(ends.source).view());
    if (ports) json_.number("src_port", ends.sourcePort);
    json_.word("dest_ip", textOf(ends.destination).view());
    if (ports) json_.number("dest_port", ends.destinationPort);
    json_.word("proto", protocolOf(ends.protocol).view());
    textUnlessEmpty("app_proto", ends.application);
    if (ends.flowId != 0) json_.word("direction", ends.toInitiator ? "to_client" : "to_server");
  }

  void decision(const AuditDecision& decision) {
    json_.word("action", nameIn(kActionNames, decision.action));
    if (decision.rule != kNoRule) json_.number("rule_id", decision.rule);
    textUnlessEmpty("rule", decision.ruleName);
    if (decision.reason != DropReason::none)
      json_.word("reason", kDropReasonNames[static_cast<size_t>(decision.reason)]);
    if (decision.dryRun) json_.flag("dry_run", true);
  }
  void verdict(const AuditDecision& decided) {
    json_.open("verdict");
    decision(decided);
    json_.close();
  }
  void verdict(const std::optional<AuditDecision>& decided) {
    if (decided) verdict(*decided);
  }

  void write(const FlowAudit& flow) {
    json_.open("flow");
    json_.number("pkts_toserver", flow.toResponder.packets);
    json_.number("pkts_toclient", flow.toInitiator.packets);
    json_.number("bytes_toserver", flow.toResponder.bytes);
    json_.number("bytes_toclient", flow.toInitiator.bytes);
    json_.word("start", timestampOf(flow.start).view());
    json_.word("end", timestampOf(flow.end).view());
    json_.number("age", static_cast<uint64_t>(std::max<WallTime>(flow.end - flow.start, 0)) / 1'000'000);
    json_.word("state", nameIn(kFlowStateNames, flow.state));
    json_.word("reason", nameIn(kFlowEndNames, flow.reason));
    if (flow.pickedUp) json_.flag("picked_up", true);
    if (flow.mark != 0) json_.number("mark", flow.mark);
    verdict(flow.decision);
    json_.close();
    if (!flow.attributes.empty()) attributes(flow.attributes);
  }

  // A name may come several times, in JSON only once: its values are a list.
  void attributes(std::span<const AuditAttribute> all) {
    if (all.size() > kAuditAttributesMax) cut_ = true;
    all = all.first(std::min(all.size(), kAuditAttributesMax));
    json_.open("metadata");
    for (size_t i = 0; i < all.size(); ++i) {
      const std::string_view name = all[i].name.substr(0, kAuditNameBytesMax);
      const auto hasName = [&](const AuditAttribute& each) { return each.name.substr(0, kAuditNameBytesMax) == name; };
      if (name.empty() || std::any_of(all.begin(), all.begin() + static_cast<ptrdiff_t>(i), hasName)) continue;
      json_.openList(name);
      for (const AuditAttribute& attribute : all.subspan(i))
        if (hasName(attribute)) json_.text({}, attribute.value, kAuditValueBytesMax);
      json_.closeList();
    }
    json_.close();
  }

  void write(const AlertAudit& alert) {
    json_.open("alert");
    decision(alert.decision);
    json_.word("cause", nameIn(kCauseNames, alert.cause));
    textUnlessEmpty("about", alert.about);
    textUnlessEmpty("malware", alert.malware);
    if (alert.condition) json_.word("condition", conditionName(*alert.condition));
    json_.close();
  }

  void write(const FileAudit& file) {
    json_.open("fileinfo");
    json_.text("filename", file.name, kAuditTextBytesMax);
    json_.word("state", nameIn(kFileStateNames, file.state));
    json_.flag("stored", file.stored);
    if (file.size) json_.number("size", *file.size);
    if (file.seen) json_.number("seen", *file.seen);
    if (file.offset != 0) json_.number("offset", file.offset);
    if (file.type) {
      json_.word("type", file.type->name);
      json_.word("kind", fileKindName(file.type->kind));
    }
    textUnlessEmpty("content_type", file.contentType);
    textUnlessEmpty("hash", file.hash);
    if (file.sha256 != nullptr) json_.word("sha256", hexOf(*file.sha256).view());
    if (file.scan) json_.word("scan", nameIn(kScanNames, *file.scan));
    textUnlessEmpty("malware", file.malware);
    textUnlessEmpty("unscanned", file.unscanned);
    verdict(file.decision);
    json_.close();
  }

  void write(const ChatAudit& chat) {
    json_.open("chat");
    json_.word("kind", nameIn(kChatNames, chat.kind));
    textUnlessEmpty("from", chat.from);
    textUnlessEmpty("to", chat.to);
    json_.text("text", chat.text, kAuditChatBytesMax);
    verdict(chat.decision);
    json_.close();
  }

  void write(const DropAudit& drop) {
    json_.open("drop");
    decision(drop.decision);
    if (drop.condition) json_.word("condition", conditionName(*drop.condition));
    json_.number("packets", drop.traffic.packets);
    json_.number("bytes", drop.traffic.bytes);
    json_.close();
  }

  void write(const StatsAudit& stats) {
    if (stats.counters.size() > kAuditCountersMax) cut_ = true;
    json_.open("stats");
    for (const AuditCounter& counter : stats.counters.first(std::min(stats.counters.size(), kAuditCountersMax))) {
      SmallText<2 * kAuditNameBytesMax + 1> name;
      if (!counter.group.empty()) {
        name.add(counter.group.substr(0, kAuditNameBytesMax));
        name.add(".");
      }
      name.add(counter.name.substr(0, kAuditNameBytesMax));
      json_.number(name.view(), counter.value);
    }
    json_.close();
  }

  JsonWriter json_;
  bool cut_ = false;
};

}  // namespace

std::string_view auditEventName(AuditEvent event) { return nameIn(kEventNames, event); }

std::optional<AuditEvent> auditEventFromName(std::string_view name) {
  const auto found = std::find(kEventNames.begin(), kEventNames.end(), name);
  if (found == kEventNames.end()) return std::nullopt;
  return static_cast<AuditEvent>(found - kEventNames.begin());
}

size_t writeRecord(const AuditRecord& record, std::span<char> into) { return Line{into}.write(record); }

}  // namespace p2pxbone::gateway
