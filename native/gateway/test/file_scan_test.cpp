#include "gateway/scanning/file_scan.h"

#include <algorithm>
#include <random>

#include "gateway/test/scan_world.h"

namespace p2pxbone::gateway::testing {
namespace {

using namespace std::string_literals;
using Kind = ScanFinding::Kind;
using Coverage = ScanFinding::Coverage;

const std::string kVirus = "WICKED-BYTES";
const std::string kZip = "PK\x03\x04"s + std::string(22, '\0') + "\x05\0\0\0a.txt"s;

ScanSettings smallBuffers() {
  return {.bufferBytes = 100, .tailBytes = kVirus.size() - 1, .objectMax = 400, .archiveMax = 500, .buffersAhead = 0};
}

struct Rig {
  explicit Rig(const ScanSettings& settings = smallBuffers(), const MemoryScanEngine::Settings& engineSettings = {},
               const ConditionPolicy& conditions = {})
      : engine({kVirus}, engineSettings), desk(engine, settings, conditions) {}
  MemoryScanEngine engine;
  ScanDesk desk;
};

ConditionPolicy policyOf(Condition condition, ConditionAction action) {
  ConditionPolicy policy;
  policy.set(condition, action);
  return policy;
}

TEST_CASE("a small file is scanned whole, and its end waits for the result") {
  Rig rig;
  ScannedTransfer transfer{rig.desk, {.owner = 7, .size = 60}};
  CHECK(transfer.scan().owner() == 7);
  transfer.send(std::string(40, 'a'), 0);
  CHECK(transfer.received().size() == 40);
  transfer.sendLast(std::string(20, 'b'), 0);
  CHECK(transfer.waits());
  CHECK(transfer.received().size() == 40);
  transfer.poll(1);
  CHECK(transfer.waits());
  rig.engine.scanAll();
  transfer.poll(2);
  CHECK(transfer.over());
  CHECK(transfer.received().size() == 60);
  CHECK(transfer.scan().finding().kind == Kind::clean);
  CHECK(transfer.scan().finding().coverage == Coverage::whole);
  REQUIRE(rig.engine.scanned().size() == 1);
  CHECK(rig.engine.scanned()[0].size() == 60);
}

TEST_CASE("a known size holds the last packet though the transfer's end comes later") {
  Rig rig;
  ScannedTransfer transfer{rig.desk, {.size = 60}};
  transfer.send(std::string(60, 'a'), 0);
  CHECK(transfer.received().empty());
  rig.engine.scanAll();
  transfer.poll(0);
  CHECK(transfer.received().size() == 60);
  transfer.end(0);
  CHECK(transfer.over());
  CHECK(transfer.scan().finding().coverage == Coverage::whole);
}

TEST_CASE("an infected file is cut before its end") {
  Rig rig;
  ScannedTransfer transfer{rig.desk, {.size = 60}};
  transfer.send("......" + kVirus, 0);
  transfer.sendLast(std::string(42, '.'), 0);
  rig.engine.scanAll();
  transfer.poll(0);
  CHECK(transfer.cut());
  CHECK(transfer.received().size() == 18);
  CHECK(transfer.scan().finding().kind == Kind::infected);
  CHECK(transfer.scan().finding().text == kVirus);
  CHECK(transfer.scan().data(bytesOf("more"), 0) == ScanAnswer::deny);
}

TEST_CASE("a signature is found wherever a border between buffers cuts it") {
  for (size_t at = 80; at < 110; ++at) {
    Rig rig;
    std::string file(250, '.');
    file.replace(at, kVirus.size(), kVirus);
    ScannedTransfer transfer{rig.desk, {.size = file.size()}};
    for (size_t i = 0; i < file.size(); i += 10) {
      transfer.send(file.substr(i, 10), 0);
      rig.engine.scanAll();
      transfer.poll(0);
    }
    CAPTURE(at);
    CHECK(transfer.cut());
    CHECK(transfer.received().size() < 200);
  }
}

TEST_CASE("without the tail it would be missed") {
  ScanSettings settings = smallBuffers();
  settings.tailBytes = 0;
  Rig rig{settings};
  std::string file(250, '.');
  file.replace(95, kVirus.size(), kVirus);
  ScannedTransfer transfer{rig.desk, {.size = file.size()}};
  transfer.sendLast(file, 0);
  rig.engine.scanAll();
  transfer.poll(0);
  CHECK(transfer.scan().finding().kind == Kind::clean);
  CHECK(transfer.scan().finding().coverage == Coverage::buffers);
}

TEST_CASE("so many buffers go ahead of their results, and no more") {
  for (const uint32_t ahead : {0U, 1U, 3U}) {
    ScanSettings settings = smallBuffers();
    settings.buffersAhead = ahead;
    Rig rig{settings};
    ScannedTransfer transfer{rig.desk, {.size = 5000}};
    for (int i = 0; i < 100; ++i) transfer.send(std::string(50, 'x'), 0);
    CHECK(transfer.received().size() == size_t{ahead} * 100 + 50);
    while (rig.engine.scanOne()) transfer.poll(0);
    CHECK(transfer.received().size() == 5000);
    CHECK(rig.engine.scanned().size() == 50);
    CHECK(rig.engine.scanned()[7].size() == 100 + kVirus.size() - 1);
  }
}

TEST_CASE("packed files are scanned as one object, whatever their size up to the limit") {
  Rig rig;
  const std::string file = kZip + std::string(500 - kZip.size(), 'z');
  ScannedTransfer transfer{rig.desk, {.size = 500}};
  for (size_t i = 0; i < 500; i += 50) transfer.send(file.substr(i, 50), 0);
  CHECK(transfer.received().size() == 450);
  transfer.end(0);
  rig.engine.scanAll();
  transfer.poll(0);
  CHECK(rig.engine.scanned() == std::vector{file});
  CHECK(transfer.over());
  CHECK(transfer.scan().finding().coverage == Coverage::whole);
}

TEST_CASE("a packed file that is too big meets its condition as soon as that is known") {
  using enum ConditionAction;
  struct Case {
    ConditionAction action;
    bool cut;
  };
  for (const Case& each : {Case{pass, false}, Case{bypass, false}, Case{drop, true}, Case{dropFlow, true}}) {
    for (const bool sizeKnown : {true, false}) {
      Rig rig{smallBuffers(), {}, policyOf(Condition::scanTooBig, each.action)};
      ScannedTransfer transfer{rig.desk, {.size = sizeKnown ? std::optional<uint64_t>{2000} : std::nullopt}};
      transfer.send(kZip + std::string(120, 'z'), 0);
      if (sizeKnown) CHECK(transfer.scan().finding().kind == Kind::unscanned);
      for (int i = 0; i < 18; ++i) transfer.send(std::string(100, 'z'), 0);
      CHECK(transfer.cut() == each.cut);
      CHECK(transfer.scan().finding().kind == Kind::unscanned);
      CHECK(transfer.scan().finding().condition == Condition::scanTooBig);
      CHECK(transfer.scan().finding().action == each.action);
      CHECK(!transfer.scan().finding().text.empty());
      CHECK(!transfer.waits());
      CHECK(rig.engine.jobs() == 0);
      CHECK(rig.desk.conditionCounters()[Condition::scanTooBig] == 1);
      CHECK(rig.desk.counters().tooBig.get() == 1);
    }
  }
}

TEST_CASE("inspecting what is too big means buffer by buffer") {
  for (const bool sizeKnown : {true, false}) {
    Rig rig{smallBuffers(), {}, policyOf(Condition::scanTooBig, ConditionAction::inspect)};
    const std::string file = kZip + std::string(800, 'z') + kVirus + std::string(500, 'z');
    ScannedTransfer transfer{rig.desk, {.size = sizeKnown ? std::optional<uint64_t>{file.size()} : std::nullopt}};
    transfer.sendLast(file, 0);
    rig.engine.scanAll();
    transfer.poll(0);
    CHECK(transfer.cut());
    CHECK(transfer.scan().finding().kind == Kind::infected);
    CHECK(transfer.scan().finding().coverage == Coverage::buffers);
    CHECK(rig.desk.counters().tooBig.get() == 1);
  }
}

TEST_CASE("programs and documents beyond their limit go on buffer by buffer") {
  for (const bool sizeKnown : {true, false}) {
    Rig rig;
    const std::string file = "%PDF-1.7 " + std::string(691, 'p');
    ScannedTransfer transfer{rig.desk, {.size = sizeKnown ? std::optional<uint64_t>{file.size()} : std::nullopt}};
    for (size_t i = 0; i < file.size(); i += 35) {
      transfer.send(file.substr(i, 35), 0);
      rig.engine.scanAll();
      transfer.poll(0);
    }
    transfer.end(0);
    rig.engine.scanAll();
    transfer.poll(0);
    CHECK(transfer.over());
    CHECK(transfer.received() == file);
    CHECK(transfer.scan().finding().coverage == Coverage::buffers);
    CHECK(rig.engine.scanned()[0].size() == (sizeKnown ? 100 : 400));
  }
}

TEST_CASE("of a file of unknown size the newest packet is kept back until another comes") {
  Rig rig;
  ScannedTransfer transfer{rig.desk, {}};
  transfer.send("one", 0);
  CHECK(transfer.scan().answer() == ScanAnswer::keepBack);
  CHECK(transfer.received().empty());
  transfer.send("two", 10);
  CHECK(transfer.received() == "one");
  transfer.send(kVirus, 20);
  CHECK(transfer.received() == "onetwo");
  transfer.end(30);
  CHECK(transfer.waits());
  rig.engine.scanAll();
  transfer.poll(30);
  CHECK(transfer.cut());
  CHECK(transfer.received() == "onetwo");
}

TEST_CASE("a sender that pauses is scanned so far, so that what was kept back can go on") {
  Rig rig;
  ScannedTransfer transfer{rig.desk, {}};
  transfer.send("half a message", 0);
  CHECK(rig.desk.nextDue() == 50);
  transfer.poll(49);
  CHECK(transfer.scan().answer() == ScanAnswer::keepBack);
  CHECK(rig.engine.jobs() == 1);
  transfer.poll(50);
  CHECK(transfer.waits());
  CHECK(transfer.received().empty());
  rig.engine.scanAll();
  transfer.poll(51);
  CHECK(transfer.received() == "half a message");
  CHECK(rig.desk.counters().cutShort.get() == 1);
  CHECK(!rig.desk.nextDue());
}

TEST_CASE("pauses at its beginning do not make a packed file pass for another") {
  Rig rig;
  const std::string file = kZip + std::string(400 - kZip.size(), 'z');
  ScannedTransfer transfer{rig.desk, {}};
  Millis now = 0;
  for (size_t i = 0; i < 40; ++i) {
    transfer.send(file.substr(i, 1), now);
    transfer.poll(now += 50);
    rig.engine.scanAll();
    transfer.poll(now);
  }
  transfer.send(file.substr(40), now);
  transfer.end(now);
  transfer.poll(now += 50);
  rig.engine.scanAll();
  transfer.poll(now);
  CHECK(transfer.over());
  CHECK(rig.engine.scanned().back() == file);
}

TEST_CASE("a packed file whose sender pauses goes on, and its end waits for the result") {
  Rig rig;
  const std::string begin = kZip + std::string(150, 'z');
  ScannedTransfer transfer{rig.desk, {}};
  transfer.send(begin, 0);
  CHECK(transfer.received().empty());
  transfer.poll(50);
  CHECK(transfer.received() == begin);
  transfer.sendLast(kVirus, 60);
  CHECK(transfer.received() == begin);
  rig.engine.scanAll();
  transfer.poll(60);
  CHECK(transfer.cut());
}

TEST_CASE("an absent scanner never lets a file pass silently") {
  using enum ConditionAction;
  for (const ConditionAction action : {inspect, drop, dropFlow, pass, bypass}) {
    Rig rig{smallBuffers(), {}, policyOf(Condition::scanUnavailable, action)};
    rig.engine.breakDown("clamd does not answer");
    ScannedTransfer transfer{rig.desk, {.size = 10}};
    transfer.sendLast(std::string(10, 'a'), 0);
    rig.engine.scanAll();
    transfer.poll(0);
    CHECK(transfer.cut() == (action != pass && action != bypass));
    CHECK(transfer.over() == (action == pass || action == bypass));
    const ScanFinding& finding = transfer.scan().finding();
    CHECK(finding.kind == Kind::unscanned);
    CHECK(finding.condition == Condition::scanUnavailable);
    CHECK(finding.action == action);
    CHECK(finding.text == "clamd does not answer");
    CHECK(finding.coverage == Coverage::none);
    CHECK(rig.desk.counters().unavailable.get() == 1);
    CHECK(rig.desk.counters().clean.get() == 0);
  }
}

TEST_CASE("what the engine finds too big meets the other condition") {
  Rig rig{smallBuffers(), {.objectMax = 50}, policyOf(Condition::scanTooBig, ConditionAction::dropFlow)};
  ScannedTransfer transfer{rig.desk, {.size = 60}};
  transfer.send(std::string(60, 'a'), 0);
  rig.engine.scanAll();
  transfer.poll(0);
  CHECK(transfer.cut());
  CHECK(transfer.scan().finding().condition == Condition::scanTooBig);
}

TEST_CASE("when room is scarce buffers are cut short, and the file waits for them") {
  ScanSettings settings = smallBuffers();
  settings.bufferBytes = 100'000;
  Rig rig{settings, {.bytesMax = 10'000, .bytesScarce = 3000}};
  ScannedTransfer transfer{rig.desk, {.size = 20'000}};
  for (int i = 0; i < 40; ++i) transfer.send(std::string(500, 'a'), 0);
  CHECK(transfer.received().size() == 2500);
  while (rig.engine.scanOne()) transfer.poll(0);
  CHECK(transfer.received().size() == 20'000);
  CHECK(rig.desk.counters().cutShort.get() == 6);
  CHECK(std::ranges::all_of(rig.engine.scanned(), [](const std::string& object) { return object.size() <= 3500; }));
}

TEST_CASE("a packed file waits for room, but not for ever") {
  Rig rig{smallBuffers(), {.bytesMax = 1000, .bytesScarce = 300}};
  const ScanJob other = *rig.engine.begin();
  REQUIRE(rig.engine.data(other, bytesOf(std::string(250, 'o'))) == ScanRoom::plenty);
  ScannedTransfer first{rig.desk, {.size = 400}};
  first.send(kZip + std::string(120, 'z'), 0);
  CHECK(first.waits());
  first.poll(9'999);
  CHECK(first.waits());
  SUBCASE("room comes") {
    rig.engine.abandon(other);
    first.poll(9'999);
    CHECK(!first.waits());
    CHECK(first.scan().finding().kind == Kind::open);
  }
  SUBCASE("it does not") {
    first.poll(10'000);
    CHECK(first.cut());
    CHECK(first.scan().finding().condition == Condition::scanUnavailable);
    CHECK(rig.engine.bytes() == 250);
    rig.engine.abandon(other);
  }
}

TEST_CASE("a full engine is the condition at once") {
  Rig rig{smallBuffers(), {.bytesMax = 30}};
  ScannedTransfer transfer{rig.desk, {.size = 500}};
  transfer.send(std::string(20, 'a'), 0);
  CHECK(transfer.received().size() == 20);
  transfer.send(std::string(20, 'a'), 0);
  CHECK(transfer.cut());
  CHECK(transfer.scan().finding().condition == Condition::scanUnavailable);
  CHECK(rig.engine.bytes() == 0);
}

TEST_CASE("a file of nothing is clean, and a cut or partial one says so") {
  Rig rig;
  {
    FileScan scan{rig.desk, {.size = 0}};
    CHECK(scan.end(true, 0) == ScanAnswer::goOn);
    CHECK(scan.finding().kind == Kind::clean);
    CHECK(scan.finding().coverage == Coverage::none);
  }
  ScannedTransfer cut{rig.desk, {.size = 60}};
  cut.send("only so much", 0);
  cut.end(0, false);
  rig.engine.scanAll();
  cut.poll(0);
  CHECK(cut.scan().finding().coverage == Coverage::part);
  ScannedTransfer part{rig.desk, {.size = 3, .part = true}};
  part.sendLast("abc", 0);
  rig.engine.scanAll();
  part.poll(0);
  CHECK(part.scan().finding().coverage == Coverage::part);
}

TEST_CASE("a scan that goes away leaves nothing behind") {
  Rig rig;
  {
    ScannedTransfer transfer{rig.desk, {.size = 500}};
    transfer.send(std::string(250, 'a'), 0);
    CHECK(rig.engine.jobs() > 0);
  }
  {
    ScannedTransfer transfer{rig.desk, {}};
    transfer.send(std::string(150, 'a'), 0);
    rig.engine.scanAll();
  }
  CHECK(rig.engine.jobs() == 0);
  CHECK(rig.engine.bytes() == 0);
  CHECK(!rig.desk.nextDue());
  CHECK(rig.desk.poll(1'000'000) == nullptr);
}

// Files of every kind in packets of every size, results early and late, senders that pause.
TEST_CASE("whatever happens, clean files arrive, and of infected ones never the last byte") {
  std::mt19937 random{20051};
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>{0, n - 1}(random); };
  for (int round = 0; round < 3000; ++round) {
    CAPTURE(round);
    ScanSettings settings = smallBuffers();
    settings.buffersAhead = static_cast<uint32_t>(below(3));
    settings.bufferBytes = 1 + below(150);
    settings.archiveMax = settings.objectMax = 2000;
    const bool packed = below(4) == 0;
    // What is scanned whole would wait for the room that it takes itself.
    const size_t scarce = packed || below(2) == 0 ? SIZE_MAX : 1100 + below(1000);
    Rig rig{settings, {.bytesScarce = scarce}, policyOf(Condition::scanTooBig, ConditionAction::dropFlow)};
    std::string file(1 + below(1900), '.');
    if (packed && file.size() > kZip.size()) file.replace(0, kZip.size(), kZip);
    const bool infected = below(2) == 0 && file.size() > kZip.size() + kVirus.size();
    if (infected) file.replace(kZip.size() + below(file.size() - kZip.size() - kVirus.size() + 1), kVirus.size(), kVirus);
    const bool sizeKnown = below(2) == 0;
    ScannedTransfer transfer{rig.desk, {.size = sizeKnown ? std::optional<uint64_t>{file.size()} : std::nullopt}};
    Millis now = 0;
    const size_t pace = 1 + below(8);
    bool paused = false;
    for (size_t at = 0; at < file.size();) {
      const std::string packet = file.substr(at, 1 + below(200));
      at += packet.size();
      if (at == file.size() && below(2) == 0) {
        transfer.sendLast(packet, now);
      } else {
        transfer.send(packet, now);
        if (at == file.size()) transfer.end(now);
      }
      if (below(8) == 0) {
        now += 60;
        paused = true;
      }
      if (below(pace) == 0) rig.engine.scanOne();
      transfer.poll(now);
    }
    for (int i = 0; i < 200 && !transfer.over() && !transfer.cut(); ++i) {
      rig.engine.scanAll();
      transfer.poll(now += 10);
    }
    CHECK(transfer.cut() == infected);
    CHECK(transfer.over() == !infected);
    if (!infected) {
      CHECK(transfer.received() == file);
    } else if (sizeKnown || !packed || !paused) {
      CHECK(transfer.received().size() < file.size());
    }
    CHECK(rig.engine.bytes() == 0);
  }
}

}  // namespace
}  // namespace p2pxbone::gateway::testing
