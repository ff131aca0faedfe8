// What the gateway tells of what it saw and did, and its form: one line of JSON each, in the manner of Suricata's EVE.
// The fields are described in gateway/core/audit-record.ts and docs/audit.md. All views die with the call they are
// handed to.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "core/reasons.h"
#include "gateway/condition.h"
#include "gateway/file_type.h"
#include "gateway/flow.h"
#include "gateway/parsers/parser.h"
#include "gateway/sha256.h"
#include "gateway/wall_time.h"

namespace p2pxbone::gateway {

// In the order of AuditRecord::about.
enum class AuditEvent : uint8_t { flow, alert, fileinfo, chat, drop, stats };
inline constexpr size_t kAuditEventCount = 6;

// As policies and records spell them.
[[nodiscard]] std::string_view auditEventName(AuditEvent event);
[[nodiscard]] std::optional<AuditEvent> auditEventFromName(std::string_view name);

// Which events are wanted.
class AuditEvents {
 public:
  [[nodiscard]] static constexpr AuditEvents all() {
    AuditEvents events;
    events.bits_ = (1U << kAuditEventCount) - 1;
    return events;
  }
  constexpr void add(AuditEvent event) { bits_ |= 1U << static_cast<unsigned>(event); }
  [[nodiscard]] constexpr bool has(AuditEvent event) const { return (bits_ >> static_cast<unsigned>(event) & 1U) != 0; }

 private:
  uint32_t bits_ = 0;
};

// Between whom it happened. The source is the end that sent what the record is about; of a whole flow, its first
// speaker.
struct AuditEnds {
  // 0 if the packet belongs to no flow.
  uint64_t flowId = 0;
  Address source{};
  Address destination{};
  // 0 where the protocol has none.
  uint16_t sourcePort = 0;
  uint16_t destinationPort = 0;
  uint8_t protocol = 0;
  bool toInitiator = false;
  // As policies spell it; empty if it is not known, or not yet.
  std::string_view application;
};

enum class AuditAction : uint8_t { accept, drop, reject, redirect };

// What was decided, and who decided it: a rule or a reason.
struct AuditDecision {
  AuditAction action = AuditAction::accept;
  uint32_t rule = kNoRule;
  std::string_view ruleName;
  DropReason reason = DropReason::none;
  // Decided and recorded, but everything was accepted.
  bool dryRun = false;
};

struct AuditTraffic {
  uint64_t packets = 0;
  uint64_t bytes = 0;
};

enum class AuditFlowState : uint8_t { begun, established, closing, closed, reset };

// Something that was learnt of a flow: ParserEvents::attribute().
struct AuditAttribute {
  std::string_view name;
  std::string_view value;
};

struct FlowAudit {
  AuditTraffic toResponder;
  AuditTraffic toInitiator;
  WallTime start = 0;
  WallTime end = 0;
  AuditFlowState state = AuditFlowState::begun;
  FlowEnd reason = FlowEnd::idle;
  bool pickedUp = false;
  uint32_t mark = 0;
  AuditDecision decision;
  // Of these, the first kAuditAttributesMax are recorded.
  std::span<const AuditAttribute> attributes;
};

// What made a rule or a condition decide.
enum class AuditCause : uint8_t { flow, application, host, file, content, chat, scan, condition };

struct AlertAudit {
  AuditDecision decision;
  AuditCause cause = AuditCause::flow;
  // The name or text that it was about; may be empty.
  std::string_view about;
  // With `scan`: what was found.
  std::string_view malware;
  // With `condition`.
  std::optional<Condition> condition;
};

enum class AuditFileState : uint8_t {
  listed,     // named in a list
  requested,
  offered,
  complete,   // all of it has passed
  truncated,  // a part has passed
  blocked,    // cut off by a verdict
};

enum class AuditScan : uint8_t { clean, infected, failed, skipped };

struct FileAudit {
  std::string_view name;
  AuditFileState state = AuditFileState::requested;
  // Of the whole file, where that is known; and the bytes of it that were seen, beginning at `offset`.
  std::optional<uint64_t> size;
  std::optional<uint64_t> seen;
  uint64_t offset = 0;
  // By content.
  std::optional<FileType> type;
  // As the sender says.
  std::string_view contentType;
  // As the protocol says: "urn:sha1:…".
  std::string_view hash;
  // Of the bytes that were seen; null if nobody asked.
  const Sha256* sha256 = nullptr;
  // It lies in the file store, under its SHA-256.
  bool stored = false;
  std::optional<AuditScan> scan;
  std::string_view malware;
  // With `failed` and `skipped`: why.
  std::string_view unscanned;
  std::optional<AuditDecision> decision;
};

struct ChatAudit {
  ChatMessage::Kind kind = ChatMessage::Kind::text;
  std::string_view from, to;
  std::string_view text;
  std::optional<AuditDecision> decision;
};

// A packet, or several alike, that went no further.
struct DropAudit {
  AuditDecision decision;
  std::optional<Condition> condition;
  AuditTraffic traffic;
};

// Written "group.name", or "name" without a group.
struct AuditCounter {
  std::string_view group;
  std::string_view name;
  uint64_t value = 0;
};

struct StatsAudit {
  // Of these, the first kAuditCountersMax are recorded. Each name may stand there once.
  std::span<const AuditCounter> counters;
};

struct AuditRecord {
  WallTime at = 0;
  // Whose gateway: the virtual node, or the router. May be empty.
  std::string_view host;
  // Not with stats.
  std::optional<AuditEnds> ends;
  std::variant<FlowAudit, AlertAudit, FileAudit, ChatAudit, DropAudit, StatsAudit> about;

  [[nodiscard]] AuditEvent event() const { return static_cast<AuditEvent>(about.index()); }
};

inline constexpr size_t kAuditAttributesMax = 32;
inline constexpr size_t kAuditCountersMax = 256;
// A chat text as it is written, bytes between the quotes; other texts.
inline constexpr size_t kAuditChatBytesMax = 8192;
inline constexpr size_t kAuditTextBytesMax = 1024;
// Name and value of an attribute or counter.
inline constexpr size_t kAuditNameBytesMax = 64;
inline constexpr size_t kAuditValueBytesMax = 512;
// No record is longer, with its newline.
inline constexpr size_t kAuditRecordBytesMax = 48 * 1024;

// The record as one line. Returns its bytes; 0 if there is no room for it, which kAuditRecordBytesMax always is.
[[nodiscard]] size_t writeRecord(const AuditRecord& record, std::span<char> into);

// Takes records from the packet path: it must neither block nor throw.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  // Others need not be made.
  [[nodiscard]] virtual bool wants(AuditEvent event) const = 0;
  virtual void record(const AuditRecord& record) = 0;
};

}  // namespace p2pxbone::gateway
