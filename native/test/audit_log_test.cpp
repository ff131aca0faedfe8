#include "os/audit_log.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>

#include <system_error>

#include "gateway/test/json_reader.h"
#include "test/scratch_directory.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using gateway::testing::JsonReader;
using p2pxbone::testing::contentsOf;
using p2pxbone::testing::eventually;
using p2pxbone::testing::ScratchDirectory;
using p2pxbone::testing::SmallDisk;
using Values = JsonReader::Values;

namespace {

AuditLog::Settings settingsIn(const std::string& directory) {
  AuditLog::Settings settings;
  settings.directory = directory;
  settings.syncEvery = 10;
  settings.retryEvery = 10;
  return settings;
}

void say(AuditLog& log, uint64_t number, std::string_view text = "hello") {
  AuditRecord record;
  record.ends.emplace().flowId = number;
  record.about = ChatAudit{ChatMessage::Kind::text, {}, {}, text, {}};
  log.record(record);
}

// All lines, each of which must be whole.
std::vector<Values> linesOf(const std::string& path) {
  const std::string text = contentsOf(path);
  std::vector<Values> lines;
  size_t from = 0;
  while (from < text.size()) {
    const size_t end = text.find('\n', from);
    REQUIRE(end != std::string::npos);
    const auto values = JsonReader::read(std::string_view{text}.substr(from, end - from));
    REQUIRE_MESSAGE(values.has_value(), text.substr(from, end - from));
    lines.push_back(*values);
    from = end + 1;
  }
  return lines;
}

std::vector<uint64_t> numbersOf(const std::vector<Values>& lines) {
  std::vector<uint64_t> numbers;
  for (const Values& line : lines)
    if (line.at("event_type") == "chat") numbers.push_back(std::stoull(line.at("flow_id")));
  return numbers;
}

}  // namespace

TEST_CASE("a clean stop loses nothing that any thread has recorded") {
  constexpr uint64_t kThreads = 4;
  constexpr uint64_t kEach = 10'000;
  const ScratchDirectory scratch;
  AuditLog log{settingsIn(scratch.in("audit"))};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&log, t] {
      for (uint64_t i = 1; i <= kEach; ++i) say(log, t * kEach + i, "a\nb\"\\\x1b\xff");
    });
  for (std::thread& thread : threads) thread.join();
  log.stop();
  CHECK(log.statistics().recorded == kThreads * kEach);
  CHECK(log.statistics().lost == 0);

  const auto lines = linesOf(scratch.in("audit/eve.json"));
  const std::vector<uint64_t> numbers = numbersOf(lines);
  CHECK(lines.size() == kThreads * kEach);
  CHECK(log.statistics().written == lines.size());
  CHECK(log.statistics().bytes == std::filesystem::file_size(scratch.in("audit/eve.json")));
  // Each thread's own records are in their order.
  std::array<uint64_t, kThreads> next{};
  for (const uint64_t number : numbers) {
    const uint64_t thread = (number - 1) / kEach;
    CHECK_MESSAGE(number == thread * kEach + ++next[thread], number);
  }

  say(log, 1);
  CHECK(log.statistics().lost == 1);
}

TEST_CASE("a log goes on where the one before has stopped, and nobody else writes to it") {
  const ScratchDirectory scratch;
  const AuditLog::Settings settings = settingsIn(scratch.in("audit"));
  for (const uint64_t number : {1, 2, 3}) {
    AuditLog log{settings};
    say(log, number);
    CHECK_THROWS_AS((AuditLog{settings}), std::system_error);
  }
  CHECK(numbersOf(linesOf(scratch.in("audit/eve.json"))) == std::vector<uint64_t>{1, 2, 3});
  struct stat status {};
  REQUIRE(::stat(scratch.in("audit/eve.json").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK_THROWS_AS((AuditLog{settingsIn(scratch.in("no/such"))}), std::system_error);
}

TEST_CASE("only the events that are wanted are recorded") {
  const ScratchDirectory scratch;
  AuditLog::Settings settings = settingsIn(scratch.in("audit"));
  settings.events = {};
  settings.events.add(AuditEvent::drop);
  AuditLog log{settings};
  CHECK(log.wants(AuditEvent::drop));
  CHECK_FALSE(log.wants(AuditEvent::chat));
  say(log, 1);
  AuditRecord drop;
  drop.about = DropAudit{};
  log.record(drop);
  log.stop();
  const auto lines = linesOf(scratch.in("audit/eve.json"));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].at("event_type") == "drop");
}

TEST_CASE("what was recorded is on its place soon, without a stop") {
  const ScratchDirectory scratch;
  AuditLog log{settingsIn(scratch.in("audit"))};
  say(log, 1);
  CHECK(eventually([&] { return !contentsOf(scratch.in("audit/eve.json")).empty(); }));
}

TEST_CASE("a full log makes room for a new one, and the oldest goes") {
  constexpr uint64_t kBytesMax = 20'000;
  constexpr uint64_t kRecords = 2'000;
  const ScratchDirectory scratch;
  AuditLog::Settings settings = settingsIn(scratch.in("audit"));
  settings.rotateBytes = kBytesMax;
  settings.keep = 3;
  {
    AuditLog log{settings};
    for (uint64_t i = 1; i <= kRecords; ++i) say(log, i);
    log.stop();
    CHECK(log.statistics().lost == 0);
    CHECK(log.statistics().rotations > 3);
  }
  std::vector<uint64_t> numbers;
  for (const char* name : {"eve.json.3", "eve.json.2", "eve.json.1", "eve.json"}) {
    const std::string path = scratch.in(std::string{"audit/"} + name);
    CHECK(std::filesystem::file_size(path) <= kBytesMax);
    for (const uint64_t number : numbersOf(linesOf(path))) numbers.push_back(number);
  }
  CHECK_FALSE(std::filesystem::exists(scratch.in("audit/eve.json.4")));
  // The last of them, without a gap.
  for (size_t i = 0; i < numbers.size(); ++i) CHECK(numbers[i] == kRecords - numbers.size() + 1 + i);
  CHECK(numbers.size() > 200);

  settings.keep = 1;
  const AuditLog fewer{settings};
  CHECK(std::filesystem::exists(scratch.in("audit/eve.json.1")));
  CHECK_FALSE(std::filesystem::exists(scratch.in("audit/eve.json.2")));
  CHECK_FALSE(std::filesystem::exists(scratch.in("audit/eve.json.3")));
}

TEST_CASE("a record that is longer than a file has one of its own, and with none kept the full one goes") {
  const ScratchDirectory scratch;
  AuditLog::Settings settings = settingsIn(scratch.in("audit"));
  settings.rotateBytes = 10;
  settings.keep = 2;
  {
    AuditLog log{settings};
    for (uint64_t i = 1; i <= 5; ++i) say(log, i);
  }
  CHECK(numbersOf(linesOf(scratch.in("audit/eve.json"))) == std::vector<uint64_t>{5});
  CHECK(numbersOf(linesOf(scratch.in("audit/eve.json.2"))) == std::vector<uint64_t>{3});
  settings.keep = 0;
  {
    AuditLog log{settings};
    say(log, 6);
  }
  CHECK(numbersOf(linesOf(scratch.in("audit/eve.json"))) == std::vector<uint64_t>{6});
  CHECK_FALSE(std::filesystem::exists(scratch.in("audit/eve.json.1")));
}

TEST_CASE("a full disk stops nobody, is counted, and the trail goes on and tells its gap when there is room again") {
  const SmallDisk disk{"256k"};
  if (!disk.mounted()) return;
  AuditLog::Settings settings = settingsIn(disk.in("audit"));
  settings.queueBytes = 64 * 1024;
  AuditLog log{settings};
  uint64_t number = 0;
  say(log, ++number);
  REQUIRE(eventually([&] { return log.statistics().written == 1; }));
  disk.fill("filler");
  while (log.statistics().lost < 1'000 && number < 100'000) say(log, ++number);
  CHECK(log.statistics().lost >= 1'000);
  REQUIRE(eventually([&] { return log.statistics().lastError == ENOSPC; }));
  CHECK(log.statistics().errors > 0);

  std::filesystem::remove(disk.in("filler"));
  REQUIRE(eventually([&] { return log.statistics().lastError == 0; }));
  const uint64_t lost = log.statistics().lost;
  for (int i = 0; i < 10; ++i) say(log, ++number);
  log.stop();
  CHECK(log.statistics().lost == lost);

  const auto lines = linesOf(disk.in("audit/eve.json"));
  const auto numbers = numbersOf(lines);
  CHECK(numbers.size() == log.statistics().recorded - lost);
  CHECK(std::is_sorted(numbers.begin(), numbers.end()));
  CHECK(numbers.back() == number);
  // What came last before the gap has waited for room.
  CHECK(numbers.size() > 200);
  uint64_t told = 0;
  for (const Values& line : lines)
    if (line.at("event_type") == "stats") told = std::stoull(line.at("stats.audit.lost"));
  CHECK(told == lost);
}

TEST_CASE("a stop on a full disk ends, leaves whole lines and counts the rest") {
  const SmallDisk disk{"128k"};
  if (!disk.mounted()) return;
  const AuditLog::Settings settings = settingsIn(disk.in("audit"));
  {
    AuditLog log{settings};
    for (uint64_t i = 1; i <= 5'000; ++i) say(log, i);
    log.stop();
    const auto numbers = numbersOf(linesOf(disk.in("audit/eve.json")));
    CHECK(log.statistics().lost > 0);
    CHECK(numbers.size() > 100);
    CHECK(numbers.size() + log.statistics().lost == log.statistics().recorded);
    for (size_t i = 0; i < numbers.size(); ++i) CHECK(numbers[i] == i + 1);
  }
  // Full as it is, the next one starts.
  AuditLog again{settings};
  say(again, 1);
}

TEST_CASE("a line that was cut off by a crash goes, what is no log of lines is put aside") {
  const ScratchDirectory scratch;
  const AuditLog::Settings settings = settingsIn(scratch.in("audit"));
  std::filesystem::create_directory(scratch.in("audit"));
  std::ofstream{scratch.in("audit/eve.json")} << R"({"event_type":"chat","flow_id":1})"
                                              << "\n"
                                              << R"({"event_type":"cha)";
  {
    AuditLog log{settings};
    say(log, 2);
  }
  CHECK(numbersOf(linesOf(scratch.in("audit/eve.json"))) == std::vector<uint64_t>{1, 2});

  const std::string foreign(100'000, 'x');
  std::ofstream{scratch.in("audit/eve.json")} << foreign;
  {
    AuditLog log{settings};
    say(log, 3);
  }
  CHECK(numbersOf(linesOf(scratch.in("audit/eve.json"))) == std::vector<uint64_t>{3});
  CHECK(contentsOf(scratch.in("audit/eve.json.1")) == foreign);
}

TEST_CASE("a log that somebody moves away begins anew, as does one whose folder is removed") {
  const ScratchDirectory scratch;
  AuditLog log{settingsIn(scratch.in("audit"))};
  const auto written = [&](uint64_t lines) { return [&log, lines] { return log.statistics().written == lines; }; };
  say(log, 1);
  REQUIRE(eventually(written(1)));
  std::filesystem::rename(scratch.in("audit/eve.json"), scratch.in("moved"));
  say(log, 2);
  REQUIRE(eventually(written(2)));
  CHECK(numbersOf(linesOf(scratch.in("audit/eve.json"))) == std::vector<uint64_t>{2});
  std::filesystem::remove_all(scratch.in("audit"));
  say(log, 3);
  log.stop();
  CHECK(numbersOf(linesOf(scratch.in("audit/eve.json"))) == std::vector<uint64_t>{3});
  CHECK(numbersOf(linesOf(scratch.in("moved"))) == std::vector<uint64_t>{1});
  CHECK(log.statistics().lost == 0);
}

TEST_CASE("a log that has filled the disk goes on whole in a new file when it is removed") {
  const SmallDisk disk{"128k"};
  if (!disk.mounted()) return;
  AuditLog log{settingsIn(disk.in("audit"))};
  uint64_t number = 0;
  REQUIRE(eventually([&] {
    for (int i = 0; i < 10; ++i) say(log, ++number);
    return log.statistics().lastError == ENOSPC;
  }));
  // The last line is there in part, for the rest to follow.
  const std::string full = contentsOf(disk.in("audit/eve.json"));
  CHECK(full.back() != '\n');
  const auto before = static_cast<uint64_t>(std::count(full.begin(), full.end(), '\n'));
  std::filesystem::remove(disk.in("audit/eve.json"));
  CHECK(eventually([&] { return log.statistics().lastError == 0; }));
  log.stop();
  const auto numbers = numbersOf(linesOf(disk.in("audit/eve.json")));
  REQUIRE(!numbers.empty());
  CHECK(numbers.front() == before + 1);
  CHECK(before + numbers.size() + log.statistics().lost == number);
}

TEST_CASE("neither a pipe nor a link in the log's place is written to") {
  const ScratchDirectory scratch;
  std::filesystem::create_directory(scratch.in("audit"));
  REQUIRE(::mkfifo(scratch.in("audit/eve.json").c_str(), 0600) == 0);
  CHECK_THROWS_AS((AuditLog{settingsIn(scratch.in("audit"))}), std::system_error);
  std::filesystem::remove(scratch.in("audit/eve.json"));
  std::filesystem::create_symlink(scratch.in("target"), scratch.in("audit/eve.json"));
  CHECK_THROWS_AS((AuditLog{settingsIn(scratch.in("audit"))}), std::system_error);
  CHECK_FALSE(std::filesystem::exists(scratch.in("target")));
}

TEST_CASE("a queue takes what fits and gives all there is") {
  BatchQueue queue{100, 0};
  const std::vector<uint8_t> piece(40, 7);
  const std::span<const uint8_t> span{piece};
  CHECK(queue.push({&span, 1}));
  CHECK_FALSE(queue.push({&span, 1}, 21));
  CHECK(queue.push({&span, 1}, 20));
  CHECK_FALSE(queue.push({&span, 1}));
  CHECK(queue.take(0).size() == 80);
  CHECK(queue.take(0).empty());
  CHECK(queue.push({&span, 1}));
  queue.close();
  CHECK_FALSE(queue.push({&span, 1}));
  CHECK(queue.take(1'000'000).size() == 40);
  CHECK(queue.take(1'000'000).empty());
}
