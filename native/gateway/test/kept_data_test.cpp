// Memory for finding out what flows carry is bounded for all flows together.
#include <random>

#include "gateway/test/application_world.h"

namespace p2pxbone::gateway::testing {
namespace {

constexpr uint64_t kBytesMax = 50'000;

struct KeptWorld {
  KeptWorld() : stage({.audit = &audit, .keptBytesMax = kBytesMax}, {}, "router"), world({}, false) {
    REQUIRE(stage.use(goldenPolicy("rules"), signaturesOnce()));
    world.pipeline.addStage(stage);
  }
  static Host client(uint32_t number) { return {v4(10, 9, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)), 40'000}; }
  void open(const Host& from) {
    REQUIRE(world.client({.from = from, .sequence = 100, .flags = kTcpSyn}).goesOn());
    REQUIRE(world.send(tcpPacket({.from = kServer, .to = from, .sequence = 500, .acknowledgement = 101, .flags = kSynAck})).goesOn());
    REQUIRE(world.client({.from = from, .sequence = 101, .acknowledgement = 501}).goesOn());
  }
  Verdict say(const Host& from, uint32_t sequence, std::string_view text) {
    return world.client({.from = from, .sequence = sequence, .acknowledgement = 501, .data = bytesOf(text)});
  }

  RecordedAudit audit;
  ApplicationStage stage;
  World world;
};

TEST_CASE("very many flows of which nobody knows what they carry keep no more than all may") {
  KeptWorld on;
  std::mt19937 random(1);
  for (uint32_t i = 0; i < 1000; ++i) {
    Bytes noise(1000);
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random() | 0x80);
    (void)on.world.send(udpPacket(KeptWorld::client(i), kServer, noise));
    REQUIRE(on.stage.kept().bytes() <= kBytesMax + 2 * 1500);
  }
  CHECK(on.stage.kept().full());
  CHECK(on.stage.counters().hurried.get() > 900);
  // What shows itself at once is still known for what it is.
  const Host late = KeptWorld::client(2000);
  on.open(late);
  CHECK(on.say(late, 101, get("/SONG.MP3")).action == Verdict::Action::reject);
  on.world.pipeline.shutdown(on.world.now);
  CHECK(on.stage.kept().bytes() == 0);
}

TEST_CASE("parsers that keep much give up when all together keep too much, and others go on") {
  KeptWorld on;
  const std::string begun = "GET / HTTP/1.1\r\nHost: a.example\r\nCookie: ";
  for (uint32_t i = 0; i < 100; ++i) {
    on.open(KeptWorld::client(i));
    REQUIRE(on.say(KeptWorld::client(i), 101, begun + std::string(1200, 'x')).goesOn());
    (void)on.say(KeptWorld::client(i), 101 + static_cast<uint32_t>(begun.size()) + 1200, std::string(1200, 'x'));
    REQUIRE(on.stage.kept().bytes() <= kBytesMax + 2 * 4096);
  }
  CHECK(on.stage.counters().parserErrors.get() > 50);
  const Host late = KeptWorld::client(2000);
  on.open(late);
  CHECK(on.say(late, 101, "GET /SONG.MP3 HT").goesOn());
  CHECK(on.say(late, 117, "TP/1.1\r\nHost: a.example\r\n\r\n").action == Verdict::Action::reject);
  on.world.pipeline.shutdown(on.world.now);
  CHECK(on.stage.kept().bytes() == 0);
}

}  // namespace
}  // namespace p2pxbone::gateway::testing
