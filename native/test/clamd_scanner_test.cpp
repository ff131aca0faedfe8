// The client of clamd against one that misbehaves.
#include "os/clamd_scanner.h"

#include "os/thread.h"
#include "test/fake_clamd.h"

namespace p2pxbone::testing {
namespace {

using gateway::ScanJob;
using gateway::ScanResult;
using gateway::ScanRoom;
using Kind = ScanResult::Kind;
using State = ClamdStatus::State;

using namespace std::string_literals;

constexpr Millis kPatience = 20'000;

std::span<const uint8_t> bytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::unique_ptr<ClamdScanner> scannerOf(const ClamdSettings& settings) {
  std::string error;
  auto scanner = ClamdScanner::make(settings, error);
  REQUIRE_MESSAGE(scanner != nullptr, error);
  return scanner;
}

struct Rig {
  explicit Rig(FakeClamd::Answer answer, ClamdSettings settings = {}) {
    begin(std::move(answer));
    settings.address = folder / "clamd.ctl";
    scanner = scannerOf(settings);
    REQUIRE(scanner->start() == 0);
  }
  void begin(FakeClamd::Answer answer) {
    if (answer) fake = std::make_unique<FakeClamd>(folder / "clamd.ctl", std::move(answer));
  }
  ScanJob submit(std::string_view object) {
    const auto job = scanner->begin();
    REQUIRE(job);
    REQUIRE(scanner->data(*job, bytesOf(object)) != ScanRoom::none);
    scanner->finish(*job);
    return *job;
  }
  std::optional<ScanResult> result(Millis patience = kPatience) {
    for (const Millis end = monotonicNow() + patience; monotonicNow() < end;) {
      if (auto result = scanner->poll()) return result;
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    return std::nullopt;
  }
  ScanResult scan(std::string_view object) {
    const ScanJob job = submit(object);
    auto answer = result();
    REQUIRE(answer);
    CHECK(answer->job == job);
    return *answer;
  }
  State waitFor(State wanted) {
    for (const Millis end = monotonicNow() + kPatience; monotonicNow() < end && scanner->status().state != wanted;)
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    return scanner->status().state;
  }

  ScopedFolder folder;
  std::unique_ptr<FakeClamd> fake;
  std::unique_ptr<ClamdScanner> scanner;
};

// An honest one, but for objects.
FakeClamd::Answer onObject(FakeClamd::Answer answer) {
  return [answer = std::move(answer)](FakeSession& session, const FakeSession::Command& command, const std::string& number) {
    const bool object = command.name == "zINSTREAM" && !FakeClamd::isProbe(command);
    return object ? answer(session, command, number) : FakeClamd::honest("EVIL")(session, command, number);
  };
}

FakeClamd::Answer saying(std::string reply, bool goesOn = true) {
  return onObject([reply = std::move(reply), goesOn](FakeSession& session, const auto&, const std::string& number) {
    std::string text = reply;
    if (const size_t at = text.find('#'); at != std::string::npos) text.replace(at, 1, number);
    session.say(text);
    return goesOn;
  });
}

TEST_CASE("where clamd listens") {
  for (const char* good : {"/run/clamav/clamd.ctl", "127.0.0.1:3310", "[::1]:3310", "[fe80::1]:1"})
    CHECK(ClamdAddress::parse(good));
  for (const char* bad : {"", "clamd.ctl", "localhost:3310", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000",
                          "::1:3310", "[::1]", "127.0.0.1:33x"}) {
    CAPTURE(bad);
    CHECK(!ClamdAddress::parse(bad));
  }
  CHECK(!ClamdAddress::parse("/" + std::string(200, 'x')));
  std::string error;
  CHECK(ClamdScanner::make({.address = "localhost"}, error) == nullptr);
  CHECK(error.find("localhost") != std::string::npos);
  CHECK(ClamdScanner::make({.connections = 0}, error) == nullptr);
  CHECK(ClamdScanner::make({.timeout = 0}, error) == nullptr);
  CHECK(ClamdScanner::make({.memoryMax = 1000}, error) == nullptr);
}

TEST_CASE("objects are scanned over sessions that stay open") {
  Rig rig{FakeClamd::honest("EVIL"), {.connections = 2}};
  CHECK(rig.scan("nothing").kind == Kind::clean);
  const ScanResult found = rig.scan("an EVIL object");
  CHECK(found.kind == Kind::infected);
  CHECK(found.text == "EVIL");
  for (int i = 0; i < 50; ++i) CHECK(rig.scan(std::string(static_cast<size_t>(i) * 3000, 'x')).kind == Kind::clean);
  CHECK(rig.fake->opened() <= 2);
  CHECK(rig.waitFor(State::up) == State::up);
  CHECK(rig.scanner->status().version == "ClamAV fake");
  CHECK(rig.scanner->status().limitAlerts == true);
  CHECK(rig.scanner->counters().scanned.get() == 52);
  CHECK(rig.scanner->counters().infected.get() == 1);
  CHECK(rig.scanner->statistics().bytes == 0);
  CHECK(rig.scanner->statistics().objects == 0);
}

TEST_CASE("a job that proceeds carries the tail, across blocks too") {
  Rig rig{FakeClamd::honest("EVIL")};
  for (const size_t at : {size_t{10}, ScanObject::kBlockBytes - 2, 2 * ScanObject::kBlockBytes + 1}) {
    const auto first = rig.scanner->begin();
    REQUIRE(rig.scanner->data(*first, bytesOf(std::string(at, 'x') + "EV")) == ScanRoom::plenty);
    const auto second = rig.scanner->proceed(*first, 3);
    REQUIRE(second);
    REQUIRE(rig.scanner->data(*second, bytesOf("IL and more")) == ScanRoom::plenty);
    rig.scanner->finish(*second);
    for (int i = 0; i < 2; ++i) {
      const auto result = rig.result();
      REQUIRE(result);
      CHECK((result->kind == Kind::infected) == (result->job == *second));
    }
  }
}

TEST_CASE("the doorbell rings for results, and not again before they were taken") {
  ScopedFolder folder;
  FakeClamd fake{folder / "clamd.ctl", FakeClamd::honest("EVIL")};
  std::atomic<int> rings = 0;
  const auto scanner = scannerOf({.address = folder / "clamd.ctl"});
  scanner->onResult([&] { ++rings; });
  REQUIRE(scanner->start() == 0);
  for (int round = 1; round <= 3; ++round) {
    for (int i = 0; i < 5; ++i) {
      const auto job = scanner->begin();
      REQUIRE(scanner->data(*job, bytesOf("x")) == ScanRoom::plenty);
      scanner->finish(*job);
    }
    const Millis end = monotonicNow() + kPatience;
    while (scanner->counters().scanned.get() < static_cast<uint64_t>(5 * round) && monotonicNow() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    CHECK(rings == round);
    int results = 0;
    while (scanner->poll()) ++results;
    CHECK(results == 5);
  }
}

TEST_CASE("an answer that is none is never taken for clean") {
  for (const std::string& reply :
       {"#: stream: OK"s, "stream: OK\0"s, "7: stream: OK\0"s, "#: OK\0"s, "\0\0\0\0"s, "#: PONG\0"s, "garbage\0"s, ""s,
        "#: stream: OK\0#: stream: OK\0"s, "\xff\xfe\0"s, std::string(100'000, 'x')}) {
    CAPTURE(reply.substr(0, 40));
    Rig rig{saying(reply, false)};
    const ScanResult result = rig.scan("x");
    CHECK(result.kind == Kind::failed);
    CHECK(!result.text.empty());
    CHECK(rig.scanner->counters().scanned.get() == 0);
  }
}

TEST_CASE("replies that come byte by byte are understood") {
  Rig rig{onObject([](FakeSession& session, const auto&, const std::string& number) {
    for (const char c : number + ": stream: Slow.Virus FOUND" + '\0') {
      session.say({&c, 1});
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return true;
  })};
  CHECK(rig.scan("x").text == "Slow.Virus");
}

TEST_CASE("clean before it had everything is no answer; too big is one") {
  // A session of which only the beginning of the object is read.
  const auto answersAfter = [](std::string reply) -> FakeClamd::Answer {
    return [reply](FakeSession& session, const FakeSession::Command& command, const std::string& number) {
      if (command.name == "zVERSION") {
        session.say(number + ": ClamAV fake" + '\0');
        if (!session.readName()) return false;
        const auto head = session.read(8);
        if (!head) return false;
        if (head->substr(4) == "PK\x03\x04") {
          // The probe: its one block, and the end.
          (void)session.read(loadBe32(reinterpret_cast<const uint8_t*>(head->data())) - 4 + 4);
          session.say("2: stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND" + std::string(1, '\0'));
        }
        if (!session.readName() || !session.read(1000)) return false;
        session.say("3: " + reply + '\0');
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
      }
      return false;
    };
  };
  const std::string big(10'000'000, 'x');
  {
    Rig rig{answersAfter("stream: OK"), {.connections = 1}};
    const ScanResult result = rig.scan(big);
    CHECK(result.kind == Kind::failed);
    CHECK(result.text == "clamd answered before it had all of the object");
  }
  {
    Rig rig{answersAfter("INSTREAM size limit exceeded. ERROR"), {.connections = 1}};
    const ScanResult result = rig.scan(big);
    CHECK(result.kind == Kind::tooBig);
  }
}

TEST_CASE("a clamd that breaks off is tried again, a few times") {
  std::atomic<int> broken = 0;
  Rig rig{onObject([&](FakeSession& session, const FakeSession::Command& command, const std::string& number) {
    if (command.object == "poison" || ++broken <= 2) return false;
    return FakeClamd::honest("EVIL")(session, command, number);
  })};
  CHECK(rig.scan("EVIL").kind == Kind::infected);
  CHECK(rig.scanner->counters().retried.get() == 2);
  const ScanResult poison = rig.scan("poison");
  CHECK(poison.kind == Kind::failed);
  CHECK(poison.text == "clamd closed the connection");
  CHECK(rig.scan("x").kind == Kind::clean);
}

TEST_CASE("a clamd that hangs costs the time-out, and no other object more than that") {
  Rig rig{onObject([](FakeSession& session, const FakeSession::Command& command, const std::string& number) {
            if (command.object == "hang") session.hang();
            return command.object != "hang" && FakeClamd::honest("EVIL")(session, command, number);
          }),
          {.connections = 2, .timeout = 500}};
  REQUIRE(rig.waitFor(State::up) == State::up);
  const Millis before = monotonicNow();
  const ScanJob hangs = rig.submit("hang");
  const ScanJob good = rig.submit("x");
  auto first = rig.result();
  REQUIRE(first);
  CHECK(first->job == good);
  CHECK(first->kind == Kind::clean);
  auto second = rig.result();
  REQUIRE(second);
  CHECK(second->job == hangs);
  CHECK(second->kind == Kind::failed);
  CHECK(second->text.find("in time") != std::string::npos);
  CHECK(monotonicNow() - before >= 500);
  CHECK(rig.scanner->counters().timeouts.get() == 1);
}

TEST_CASE("without clamd objects fail: soon after it is known, at once later, and not any more when it is back") {
  Rig rig{nullptr};
  const ScanResult first = rig.scan("x");
  CHECK(first.kind == Kind::failed);
  CHECK(first.text.find("cannot be reached") != std::string::npos);
  CHECK(rig.waitFor(State::down) == State::down);
  const Millis before = monotonicNow();
  CHECK(rig.scan("x").kind == Kind::failed);
  CHECK(monotonicNow() - before < 1'500);
  rig.begin(FakeClamd::honest("EVIL"));
  CHECK(rig.waitFor(State::up) == State::up);
  CHECK(rig.scan("EVIL").kind == Kind::infected);
}

TEST_CASE("a restart is waited for") {
  Rig rig{FakeClamd::honest("EVIL")};
  CHECK(rig.scan("x").kind == Kind::clean);
  rig.fake.reset();
  const ScanJob job = rig.submit("EVIL");
  std::this_thread::sleep_for(std::chrono::milliseconds{200});
  CHECK(!rig.scanner->poll());
  rig.begin(FakeClamd::honest("EVIL"));
  const auto result = rig.result();
  REQUIRE(result);
  CHECK(result->job == job);
  CHECK(result->kind == Kind::infected);
}

TEST_CASE("a clamd that is silent about its limits is not trusted, unless that is allowed") {
  const auto silent = [](FakeSession& session, const FakeSession::Command& command, const std::string& number) {
    const bool probe = FakeClamd::isProbe(command);
    session.say(number + ": " + (probe ? "stream: OK" : FakeClamd::answerOf(command, "EVIL")) + '\0');
    return true;
  };
  Rig strict{silent};
  const ScanResult refused = strict.scan("x");
  CHECK(refused.kind == Kind::failed);
  CHECK(refused.text.find("AlertExceedsMax") != std::string::npos);
  CHECK(strict.waitFor(State::unfit) == State::unfit);
  CHECK(strict.scanner->status().limitAlerts == false);
  Rig lenient{silent, {.requireLimitAlerts = false}};
  CHECK(lenient.scan("x").kind == Kind::clean);
  CHECK(lenient.scan("EVIL").kind == Kind::infected);
  CHECK(lenient.scanner->status().limitAlerts == false);
}

TEST_CASE("clamd's own errors are failures") {
  Rig rig{saying("#: stream: Can't create temporary file ERROR\0"s)};
  const ScanResult result = rig.scan("x");
  CHECK(result.kind == Kind::failed);
  CHECK(result.text == "clamd says: Can't create temporary file");
}

TEST_CASE("memory is bounded, and given back") {
  ScopedFolder folder;
  const auto scanner = scannerOf({.address = folder / "absent.ctl", .memoryMax = 10 * ScanObject::kBlockBytes});
  const std::string block(ScanObject::kBlockBytes, 'x');
  const auto job = scanner->begin();
  for (int i = 0; i < 7; ++i) CHECK(scanner->data(*job, bytesOf(block)) == ScanRoom::plenty);
  CHECK(scanner->data(*job, bytesOf(block)) == ScanRoom::scarce);
  const auto other = scanner->begin();
  REQUIRE(other);
  CHECK(scanner->data(*other, bytesOf(block + block + block)) == ScanRoom::none);
  CHECK(scanner->data(*other, bytesOf(block + block)) == ScanRoom::scarce);
  CHECK(!scanner->begin());
  CHECK(scanner->data(*other, bytesOf("x")) == ScanRoom::none);
  CHECK(scanner->statistics().bytes == 10 * ScanObject::kBlockBytes);
  CHECK(scanner->statistics().refused == 3);
  CHECK(!scanner->proceed(*other, 10));
  scanner->abandon(*other);
  CHECK(scanner->room() == ScanRoom::scarce);
  scanner->finish(*job);
  scanner->abandon(*job);
  CHECK(scanner->statistics().bytes == 0);
  CHECK(scanner->statistics().objects == 0);
  for (size_t i = 0; i < ClamdScanner::kJobsMax; ++i) REQUIRE(scanner->begin());
  CHECK(!scanner->begin());
}

TEST_CASE("of what was abandoned nothing is heard, wherever it was") {
  std::atomic<bool> released = false;
  Rig rig{onObject([&](FakeSession& session, const FakeSession::Command& command, const std::string& number) {
            while (command.object == "wait" && !released) std::this_thread::sleep_for(std::chrono::milliseconds{1});
            return FakeClamd::honest("EVIL")(session, command, number);
          }),
          {.connections = 1}};
  const ScanJob underWay = rig.submit("wait");
  const ScanJob queued = rig.submit("EVIL");
  std::this_thread::sleep_for(std::chrono::milliseconds{100});
  rig.scanner->abandon(underWay);
  rig.scanner->abandon(queued);
  const ScanJob wanted = rig.submit("x");
  released = true;
  const auto result = rig.result();
  REQUIRE(result);
  CHECK(result->job == wanted);
  rig.scanner->abandon(rig.submit("EVIL"));
  CHECK(!rig.result(100));
}

TEST_CASE("it stops with objects in every state") {
  Rig rig{onObject([](FakeSession& session, const auto&, const std::string&) {
            session.hang();
            return false;
          }),
          {.connections = 2}};
  for (int i = 0; i < 5; ++i) (void)rig.submit(std::string(100'000, 'x'));
  const auto open = rig.scanner->begin();
  CHECK(rig.scanner->data(*open, bytesOf("x")) == ScanRoom::plenty);
  std::this_thread::sleep_for(std::chrono::milliseconds{50});
  const Millis before = monotonicNow();
  rig.scanner.reset();
  CHECK(monotonicNow() - before < 2'000);
}

}  // namespace
}  // namespace p2pxbone::testing
