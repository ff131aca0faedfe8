#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>

#include "gateway/audit/from_flow.h"
#include "gateway/sha256_hasher.h"
#include "gateway/test/json_reader.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using gateway::testing::JsonReader;

namespace {

constexpr WallTime kNoon = 1'795'348'800'123'456;  // 2026-11-22T12:00:00.123456 UTC
constexpr std::string_view kHostile =
    "\"}\n{\"a\\\x1b[2J\x9b\xc2\x9b \xe2\x80\xaegpj.exe\xef\xbb\xbf\xff \xf0\x9f\x8e\xb5";

Address v4(uint8_t last) {
  const std::array<uint8_t, 4> bytes{10, 77, 8, last};
  return mappedIpv4(bytes.data());
}

AuditEnds ends(uint8_t protocol = kProtocolTcp) {
  AuditEnds ends;
  ends.flowId = 42;
  ends.source = v4(1);
  ends.destination = v4(2);
  ends.sourcePort = protocol == kProtocolTcp ? 40'000 : 0;
  ends.destinationPort = protocol == kProtocolTcp ? 80 : 0;
  ends.protocol = protocol;
  ends.application = "http";
  return ends;
}

std::string lineOf(const AuditRecord& record) {
  std::array<char, kAuditRecordBytesMax> into;
  return {into.data(), writeRecord(record, into)};
}

JsonReader::Values read(const std::string& line) {
  REQUIRE(!line.empty());
  REQUIRE(line.find('\n') == line.size() - 1);
  const auto values = JsonReader::read(std::string_view{line}.substr(0, line.size() - 1));
  REQUIRE_MESSAGE(values.has_value(), line);
  return *values;
}

AuditRecord recordOf(decltype(AuditRecord::about) about) {
  AuditRecord record;
  record.at = kNoon;
  record.ends = ends();
  record.about = about;
  return record;
}

// Of every kind, with all fields and with as few as possible.
std::string samples() {
  std::string lines;
  const AuditDecision rejected{AuditAction::reject, 3, "no songs", DropReason::gatewayRejected, true};
  const std::array<AuditAttribute, 4> attributes{
      {{"http.host", "a.example"}, {"http.agent", "curl"}, {"http.host", "b.example"}, {"tls.sni", kHostile}}};
  const auto add = [&](const AuditRecord& record) { lines += lineOf(record); };

  FlowAudit flow;
  flow.start = flow.end = kNoon;
  add(recordOf(flow));
  flow.toResponder = {10, 1'500};
  flow.toInitiator = {20, 30'000};
  flow.start = kNoon - 61'000'000;
  flow.state = AuditFlowState::closed;
  flow.reason = FlowEnd::closed;
  flow.pickedUp = true;
  flow.mark = 7;
  flow.decision = rejected;
  flow.attributes = attributes;
  AuditRecord whole = recordOf(flow);
  whole.host = "node-1";
  add(whole);
  for (size_t state = 0; state < 5; ++state) {
    for (const FlowEnd reason : {FlowEnd::evicted, FlowEnd::replaced, FlowEnd::shutdown}) {
      FlowAudit each;
      each.state = static_cast<AuditFlowState>(state);
      each.reason = reason;
      add(recordOf(each));
    }
  }
  for (const uint8_t protocol : std::initializer_list<uint8_t>{1, 17, 41, 47, 50, 51, 58, 132, 255}) {
    AuditRecord record = recordOf(FlowAudit{});
    record.ends = ends(protocol);
    record.ends->source = Address{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, protocol};
    record.ends->destination = Address{0xfe, 0x80};
    add(record);
  }

  for (size_t cause = 0; cause < 8; ++cause) {
    AlertAudit alert;
    alert.cause = static_cast<AuditCause>(cause);
    alert.decision = rejected;
    alert.decision.action = static_cast<AuditAction>(cause % 4);
    alert.decision.dryRun = cause % 2 == 1;
    if (alert.cause == AuditCause::condition) alert.condition = Condition::scanTooBig;
    if (alert.cause == AuditCause::scan) alert.malware = "Eicar-Test-Signature";
    if (alert.cause == AuditCause::file) alert.about = kHostile;
    add(recordOf(alert));
  }
  add(recordOf(AlertAudit{}));

  add(recordOf(FileAudit{}));
  Sha256 digest;
  for (size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<uint8_t>(i * 9);
  for (size_t i = 0; i < 9; ++i) {
    FileAudit file;
    file.name = "song.mp3";
    file.state = static_cast<AuditFileState>(i % 6);
    file.size = UINT64_MAX;  // as anybody may announce
    file.seen = 100;
    file.offset = 5;
    file.type = FileType{"mp3", static_cast<FileKind>(i)};
    file.contentType = "audio/mpeg";
    file.hash = "urn:sha1:PLSTHIPQGSSZTS5FJUPAKUZWUGYQYPFB";
    file.sha256 = &digest;
    file.stored = true;
    file.scan = static_cast<AuditScan>(i % 4);
    file.malware = "Eicar-Test-Signature";
    file.unscanned = "the file is packed, and larger than is scanned whole";
    file.decision = rejected;
    AuditRecord record = recordOf(file);
    record.ends->toInitiator = true;
    add(record);
  }

  for (size_t kind = 0; kind < 4; ++kind)
    add(recordOf(ChatAudit{static_cast<ChatMessage::Kind>(kind), "alice", "bob", kHostile, rejected}));
  add(recordOf(ChatAudit{}));
  const std::string longText(2 * kAuditChatBytesMax, 'x');
  add(recordOf(ChatAudit{ChatMessage::Kind::text, {}, {}, longText, {}}));

  add(recordOf(DropAudit{{AuditAction::drop, kNoRule, {}, DropReason::gatewayDenied, false}, {}, {1, 60}}));
  const AuditDecision dropped{AuditAction::drop, 2, "no", DropReason::gatewayRule, true};
  AuditRecord drop = recordOf(DropAudit{dropped, Condition::midFlow, {3, 180}});
  drop.ends->flowId = 0;
  drop.ends->application = {};
  add(drop);

  const std::array<AuditCounter, 3> counters{
      {{{}, "packets", 12}, {"drops", "gatewayDenied", 3}, {"audit", "lost", 1}}};
  AuditRecord stats = recordOf(StatsAudit{counters});
  stats.ends.reset();
  add(stats);
  return lines;
}

}  // namespace

TEST_CASE("the records of every kind are those whose schema is tested") {
  const std::string path = P2PXBONE_SOURCE_DIR "/../gateway/core/test/golden/audit-records.jsonl";
  const std::string lines = samples();
  if (std::getenv("P2PXBONE_WRITE_GOLDEN") != nullptr) std::ofstream{path, std::ios::binary} << lines;
  std::ifstream file{path, std::ios::binary};
  const std::string golden{std::istreambuf_iterator<char>{file}, {}};
  CHECK(golden == lines);
}

TEST_CASE("a record says when, between whom and what") {
  const auto values = read(lineOf(recordOf(ChatAudit{ChatMessage::Kind::text, "alice", "bob", "hello", {}})));
  CHECK(values.at("timestamp") == "2026-11-22T12:00:00.123456+0000");
  CHECK(values.at("flow_id") == "42");
  CHECK(values.at("event_type") == "chat");
  CHECK(values.at("src_ip") == "10.77.8.1");
  CHECK(values.at("src_port") == "40000");
  CHECK(values.at("dest_ip") == "10.77.8.2");
  CHECK(values.at("dest_port") == "80");
  CHECK(values.at("proto") == "TCP");
  CHECK(values.at("app_proto") == "http");
  CHECK(values.at("direction") == "to_server");
  CHECK(values.at("chat.from") == "alice");
  CHECK(values.at("chat.text") == "hello");
  CHECK(values.count("cut") == 0);
}

TEST_CASE("times are right from the first to the last that can be written") {
  const auto timeOf = [](WallTime at) {
    AuditRecord record = recordOf(StatsAudit{});
    record.at = at;
    return read(lineOf(record)).at("timestamp");
  };
  CHECK(timeOf(0) == "1970-01-01T00:00:00.000000+0000");
  CHECK(timeOf(951'782'400'000'001) == "2000-02-29T00:00:00.000001+0000");
  CHECK(timeOf(INT64_MIN) == "1970-01-01T00:00:00.000000+0000");
  CHECK(timeOf(INT64_MAX) == "9999-12-31T23:59:59.999999+0000");
}

TEST_CASE("any text comes back as it was, but for bytes that are no UTF-8") {
  std::mt19937 random{1};
  // Whole characters of every length, and stray bytes, mixed.
  const std::array<std::string_view, 12> parts{
      "a",        "\"",       "\\",           "\n",               "\x1b", "\x7f",
      "\xc3\xa9", "\xc2\x9b", "\xe2\x80\xae", "\xf0\x9f\x8e\xb5", "\xff", "\xe2\x80"};
  for (int round = 0; round < 2'000; ++round) {
    std::string text;
    const size_t length = random() % 40;
    for (size_t i = 0; i < length; ++i) {
      const auto byte = static_cast<char>(random());
      text += round % 2 == 0 ? parts[random() % parts.size()] : std::string_view{&byte, 1};
    }
    const auto values = read(lineOf(recordOf(ChatAudit{ChatMessage::Kind::text, text, {}, text, {}})));
    CHECK(values.at("chat.text") == utf8Of(text));
    if (!text.empty()) CHECK(values.at("chat.from") == utf8Of(text));
  }
}

TEST_CASE("a text that is too long ends with a whole character, and the record says so") {
  for (const std::string_view character : {"x", "\"", "\xc3\xa9", "\x01", "\xf0\x9f\x8e\xb5", "\xff"}) {
    std::string text;
    while (text.size() < 3 * kAuditChatBytesMax) text += character;
    for (size_t shift = 0; shift < 6; ++shift) {
      const std::string shifted = std::string(shift, 'a') + text;
      const std::string line = lineOf(recordOf(ChatAudit{ChatMessage::Kind::text, {}, {}, shifted, {}}));
      const auto values = read(line);
      CHECK(values.at("cut") == "true");
      const std::string& kept = values.at("chat.text");
      CHECK(kept.size() > kAuditChatBytesMax / 6 - 6);
      CHECK(utf8Of(shifted).substr(0, kept.size()) == kept);
      CHECK(line.size() < kAuditChatBytesMax + 400);
    }
  }
}

TEST_CASE("the largest record fits, and one that does not fit leaves the memory behind it alone") {
  const std::string bad(100'000, '\x01');
  const AuditDecision decision{AuditAction::redirect, UINT32_MAX, bad, DropReason::gatewayFragmentRefused, true};
  std::vector<std::string> names;
  for (size_t i = 0; i < 2 * kAuditCountersMax; ++i)
    names.push_back(std::string(kAuditNameBytesMax - 6, 'n') + std::to_string(100'000 + i));
  std::vector<AuditAttribute> attributes;
  std::vector<AuditCounter> counters;
  for (const std::string& name : names) {
    attributes.push_back({name, bad});
    counters.push_back({name, name, UINT64_MAX});
  }
  FlowAudit flow;
  flow.decision = decision;
  flow.attributes = attributes;
  FileAudit file;
  const Sha256 digest{};
  file.name = file.contentType = file.hash = file.malware = file.unscanned = bad;
  file.sha256 = &digest;
  file.decision = decision;
  const AlertAudit alert{decision, AuditCause::condition, bad, bad, Condition::streamHistory};
  const ChatAudit chat{ChatMessage::Kind::notice, bad, bad, bad, decision};
  std::vector<AuditRecord> records{recordOf(flow), recordOf(alert), recordOf(file), recordOf(chat),
                                   recordOf(StatsAudit{counters})};
  for (AuditRecord& record : records) {
    record.host = record.ends->application = bad;
    const std::string line = lineOf(record);
    CHECK(read(line).at("cut") == "true");
    for (size_t size = 0; size < line.size(); size += size < 2'000 ? 1 : 997) {
      // Sanitizers see what is written behind memory of this size.
      const auto small = std::make_unique<char[]>(size + 1);
      small[size] = 'z';
      CHECK(writeRecord(record, {small.get(), size}) == 0);
      CHECK(small[size] == 'z');
    }
  }
}

TEST_CASE("values of the same attribute stand together") {
  const std::array<AuditAttribute, 3> attributes{
      {{"dns.question", "a"}, {"parser", "gave up"}, {"dns.question", "b"}}};
  FlowAudit flow;
  flow.attributes = attributes;
  const auto values = read(lineOf(recordOf(flow)));
  CHECK(values.at("metadata.dns.question.0") == "a");
  CHECK(values.at("metadata.dns.question.1") == "b");
  CHECK(values.at("metadata.parser.0") == "gave up");
}

TEST_CASE("a flow is told as the table knows it") {
  Flow flow;
  flow.key = {v4(1), v4(2), 40'000, 80, kProtocolTcp};
  flow.initiatorIsB = true;
  flow.ref.id = 9;
  flow.tcp.phase = TcpPhase::closing;
  flow.verdict = Verdict::reject(5);
  flow.directions[indexOf(Side::initiator)] = {3, 180, 1'000, 5'000};
  flow.directions[indexOf(Side::responder)] = {2, 120, 1'500, 4'000};
  const FlowAudit audit = flowAuditOf(flow, FlowEnd::idle, "five", 10'000, kNoon);
  CHECK(audit.toResponder.packets == 3);
  CHECK(audit.toInitiator.bytes == 120);
  CHECK(audit.start == kNoon - 9'000'000);
  CHECK(audit.end == kNoon - 5'000'000);
  CHECK(audit.state == AuditFlowState::closing);
  CHECK(audit.decision.action == AuditAction::reject);
  CHECK(audit.decision.reason == DropReason::gatewayRejected);
  CHECK(audit.decision.rule == 5);

  const AuditEnds sent = endsOf(flow, Side::initiator, "http");
  CHECK(sent.source == v4(2));
  CHECK(sent.sourcePort == 80);
  CHECK_FALSE(sent.toInitiator);
  const AuditEnds answered = endsOf(flow, Side::responder, "http");
  CHECK(answered.source == v4(1));
  CHECK(answered.toInitiator);

  // Nothing was counted yet: it began and ended now.
  const FlowAudit fresh = flowAuditOf(Flow{}, FlowEnd::shutdown, {}, 10'000, kNoon);
  CHECK(fresh.start == kNoon);
  CHECK(fresh.end == kNoon);
}

TEST_CASE("the pipeline's statistics become counters, each name once") {
  Pipeline::Statistics statistics;
  statistics.packets = 5;
  statistics.drops[static_cast<size_t>(DropReason::gatewayDenied)] = 2;
  statistics.conditions[static_cast<size_t>(Condition::midFlow)] = 1;
  statistics.stages = {{"stream", 5, 1, 0, 0}, {"policy", 4, 0, 0, 0}};
  const auto counters = countersOf(statistics);
  AuditRecord record = recordOf(StatsAudit{counters});
  record.ends.reset();
  const auto values = read(lineOf(record));
  CHECK(values.at("stats.packets") == "5");
  CHECK(values.at("stats.drops.gatewayDenied") == "2");
  CHECK(values.at("stats.conditions.midFlow") == "1");
  CHECK(values.at("stats.stopped.stream") == "1");
  CHECK(values.count("stats.drops.gatewayRule") == 0);
}

TEST_CASE("events have names, and only those") {
  for (size_t i = 0; i < kAuditEventCount; ++i) {
    const auto event = static_cast<AuditEvent>(i);
    CHECK(auditEventFromName(auditEventName(event)) == event);
    AuditEvents events;
    CHECK_FALSE(events.has(event));
    events.add(event);
    CHECK(events.has(event));
    CHECK(AuditEvents::all().has(event));
  }
  CHECK_FALSE(auditEventFromName("flows"));
}

TEST_CASE("SHA-256 of bytes in pieces") {
  Sha256Hasher hasher;
  hasher.add(bytesOf("a"));
  hasher.add({});
  hasher.add(bytesOf("bc"));
  Sha256 digest;
  REQUIRE(hasher.finish(digest));
  CHECK(hexOf(digest) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
