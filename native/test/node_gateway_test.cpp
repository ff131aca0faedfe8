// A virtual node's gateway in a whole data plane: node 2 of the chain 1 - 2 - 3 has one.
#include <chrono>
#include <fstream>
#include <iterator>

#include "core/bytes.h"
#include "gateway/test/gateway_packets.h"
#include "gateway/test/own_signatures.h"
#include "test/fake_clamd.h"
#include "test/station.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

using gateway::testing::Host;
using gateway::testing::Segment;
using gateway::testing::tcpPacket;
using gateway::testing::textOf;
using gateway::testing::udpPacket;

constexpr uint8_t kSynAck = kTcpSyn | kTcpAck;
constexpr int kShortMs = 100;

GatewayRules rulesOf(const std::string& name) {
  static const auto signatures = gateway::testing::ownSignatureSet();
  std::ifstream file(P2PXBONE_SOURCE_DIR "/test/golden/" + name, std::ios::binary);
  const std::vector<uint8_t> image{std::istreambuf_iterator<char>(file), {}};
  auto built = gateway::Policy::build(image, [](std::string_view application) { return signatures->applicationOf(application); });
  if (const auto* error = std::get_if<gateway::PolicyError>(&built)) FAIL(error->what);
  GatewayRules rules;
  rules.policy = std::get<std::shared_ptr<const gateway::Policy>>(built);
  rules.signatures = signatures;
  return rules;
}

GatewaySettings smallSettings() {
  GatewaySettings settings;
  settings.host = "two";
  settings.limits.flows = 1024;
  settings.limits.halfOpenFlows = 1024;
  settings.limits.heldBlocks = 4096;
  settings.limits.heldPackets = 4096;
  settings.limits.limitBlocks = 2048;
  settings.limits.streamPages = 1024;
  return settings;
}

struct GatewayChain : Chain {
  explicit GatewayChain(const GatewaySettings& settings = smallSettings(), const Flavour& flavour = {}) : Chain(flavour) {
    const Failure failure = two.plane.setGateway(two.node, settings, rulesOf("node-gateway.bin"), 4747);
    REQUIRE_MESSAGE(failure.error == PlaneError::none, failure.text);
  }
  std::string statistics() {
    const auto outcome = two.plane.gatewayStatistics(two.node);
    REQUIRE(std::holds_alternative<std::string>(outcome));
    return std::get<std::string>(outcome);
  }
};

uint8_t flagsOf(const Bytes& ip) { return ip.size() < 60 ? uint8_t{0} : ip[53]; }
std::string dataOf(const Bytes& ip) { return ip.size() < 60 ? std::string{} : textOf(std::span{ip}.subspan(60)); }

// Two ends that say what a test wants them to, over IPv6.
struct Talk {
  Talk(Station& clientAt, uint64_t clientId, Station& serverAt, uint64_t serverId, uint16_t port = 40'000)
      : clientStation(clientAt), serverStation(serverAt), client{v6(clientId), port}, server{v6(serverId), 80} {
    clientStation.send(tcpPacket({.from = client, .to = server, .sequence = sent - 1, .flags = kTcpSyn}));
    REQUIRE(flagsOf(serverStation.receive()) == kTcpSyn);
    serverStation.send(tcpPacket({.from = server, .to = client, .sequence = answered - 1, .acknowledgement = sent, .flags = kSynAck}));
    REQUIRE(flagsOf(clientStation.receive()) == kSynAck);
    clientStation.send(tcpPacket({.from = client, .to = server, .sequence = sent, .acknowledgement = answered}));
    REQUIRE(flagsOf(serverStation.receive()) == kTcpAck);
  }
  void ask(const std::string& text) {
    clientStation.send(tcpPacket({.from = client, .to = server, .sequence = sent, .acknowledgement = answered,
                                  .data = Bytes(text.begin(), text.end())}));
    sent += static_cast<uint32_t>(text.size());
  }
  void answer(const std::string& text) {
    serverStation.send(tcpPacket({.from = server, .to = client, .sequence = answered, .acknowledgement = sent,
                                  .data = Bytes(text.begin(), text.end())}));
    answered += static_cast<uint32_t>(text.size());
  }

  Station& clientStation;
  Station& serverStation;
  Host client;
  Host server;
  uint32_t sent = 1001;
  uint32_t answered = 5001;
};

std::string get(const std::string& name) { return "GET /" + name + " HTTP/1.1\r\nHost: files.example\r\n\r\n"; }
std::string headFor(size_t length) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

Bytes numbered(uint16_t port, uint32_t number, size_t bytes = 200) {
  Bytes data(bytes, 0);
  storeBe32(data.data(), number);
  return udpPacket({v6(100), 5000}, {v6(300), port}, data);
}
uint32_t numberOf(const Bytes& ip) { return ip.size() < 52 ? 0xffffffff : loadBe32(&ip[48]); }

}  // namespace

TEST_CASE("node gateway: a file's name is refused in transit, both ends are told, and others' files pass") {
  GatewayChain chain;
  Talk allowed{chain.one, 100, chain.three, 300, 40'000};
  allowed.ask(get("note.txt"));
  CHECK(dataOf(chain.three.receive()) == get("note.txt"));
  allowed.answer(headFor(5) + "hello");
  CHECK(dataOf(chain.one.receive()) == headFor(5) + "hello");

  Talk refused{chain.one, 100, chain.three, 300, 40'001};
  refused.ask(get("song.mp3"));
  CHECK((flagsOf(chain.three.receive()) & kTcpRst) != 0);
  CHECK((flagsOf(chain.one.receive()) & kTcpRst) != 0);
  CHECK(chain.two.dropped(DropReason::gatewayRejected) == 1);
  CHECK(chain.three.receive(kShortMs).empty());
  CHECK(chain.statistics().find("\"denied\":1") != std::string::npos);
  const auto flows = chain.two.plane.gatewayFlows(chain.two.node, 10);
  REQUIRE(std::holds_alternative<std::string>(flows));
  CHECK(std::get<std::string>(flows).find("no songs") != std::string::npos);
}

TEST_CASE("node gateway: the node's own programs are managed, too, whichever end they are") {
  GatewayChain chain;
  Talk asks{chain.two, 200, chain.three, 300};
  asks.ask(get("song.mp3"));
  CHECK((flagsOf(chain.three.receive()) & kTcpRst) != 0);
  CHECK((flagsOf(chain.two.receive()) & kTcpRst) != 0);
  Talk serves{chain.one, 100, chain.two, 200};
  serves.ask(get("note.txt"));
  CHECK(dataOf(chain.two.receive()) == get("note.txt"));
  serves.ask(get("song.mp3"));
  CHECK((flagsOf(chain.two.receive()) & kTcpRst) != 0);
  CHECK((flagsOf(chain.one.receive()) & kTcpRst) != 0);
}

TEST_CASE("node gateway: the end of a file waits for the scanner, and goes on with its answer") {
  ScopedFolder folder;
  FakeClamd clamd{folder / "clamd.ctl", FakeClamd::honest("EVIL")};
  GatewaySettings settings = smallSettings();
  settings.scanner.emplace().address = folder / "clamd.ctl";
  GatewayChain chain{settings};
  const Millis end = monotonicNow() + kPatienceMs;
  while (chain.statistics().find("\"up\":true") == std::string::npos && monotonicNow() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  const std::string clean(5000, 'x');
  Talk first{chain.one, 100, chain.three, 300, 40'000};
  first.ask(get("program.exe"));
  CHECK(dataOf(chain.three.receive()) == get("program.exe"));
  first.answer(headFor(clean.size()));
  for (size_t at = 0; at < clean.size(); at += 1000) first.answer(clean.substr(at, 1000));
  std::string got;
  while (got.size() < headFor(clean.size()).size() + clean.size()) {
    const Bytes packet = chain.one.receive();
    REQUIRE(!packet.empty());
    got += dataOf(packet);
  }
  CHECK(got == headFor(clean.size()) + clean);

  std::string infected = clean;
  infected.replace(4500, 4, "EVIL");
  Talk second{chain.one, 100, chain.three, 300, 40'001};
  second.ask(get("program.exe"));
  CHECK(!chain.three.receive().empty());
  second.answer(headFor(infected.size()));
  for (size_t at = 0; at < infected.size(); at += 1000) second.answer(infected.substr(at, 1000));
  got.clear();
  bool cut = false;
  while (!cut) {
    const Bytes packet = chain.one.receive();
    REQUIRE(!packet.empty());
    cut = (flagsOf(packet) & kTcpRst) != 0;
    got += dataOf(packet);
  }
  CHECK(got.find("EVIL") == std::string::npos);
  CHECK((flagsOf(chain.three.receive()) & kTcpRst) != 0);
  CHECK(chain.two.droppedWithin(DropReason::gatewayInfected, 1) >= 1);
}

TEST_CASE("node gateway: what waits for a limit leaves by itself, in order, while others pass") {
  GatewayChain chain;
  constexpr uint32_t kPackets = 24;
  const Millis begun = monotonicNow();
  for (uint32_t i = 0; i < kPackets; ++i) chain.one.send(numbered(5201, i, 1000));
  chain.one.send(numbered(9, 1000));
  bool otherPassed = false;
  uint32_t next = 0;
  while (next < kPackets) {
    const Bytes packet = chain.three.receive();
    REQUIRE_MESSAGE(!packet.empty(), next, " ", chain.statistics());
    if (numberOf(packet) == 1000) {
      otherPassed = true;
      CHECK(next < kPackets);
      continue;
    }
    REQUIRE(numberOf(packet) == next);
    ++next;
  }
  CHECK(otherPassed);
  // 24 times 1048 bytes at 100 KB/s, less what may pass at once.
  CHECK(monotonicNow() - begun >= 100);
}

TEST_CASE("node gateway: a limited flow is limited with other rules, too, as long as they have its limit") {
  GatewayChain chain;
  uint32_t next = 0;
  const auto take = [&](uint32_t packets) {
    const Millis begun = monotonicNow();
    for (const uint32_t until = next + packets; next < until; ++next) {
      chain.one.send(numbered(5201, next, 1000));
      if (next + 1 < until) continue;
      for (uint32_t i = until - packets; i < until; ++i) REQUIRE(numberOf(chain.three.receive()) == i);
    }
    return monotonicNow() - begun;
  };
  CHECK(take(24) >= 100);
  REQUIRE(chain.two.plane.useGatewayRules(chain.two.node, rulesOf("node-gateway.bin")).error == PlaneError::none);
  CHECK(take(24) >= 100);
  REQUIRE(chain.two.plane.useGatewayRules(chain.two.node, rulesOf("node-names.bin")).error == PlaneError::none);
  (void)take(24);
  CHECK(chain.statistics().find("\"limits\":[]") != std::string::npos);
}

TEST_CASE("gateway: other rules and a survey of the flows take the lock for so many flows at a time") {
  struct Nowhere final : gateway::Outlet {
    void release(std::span<uint8_t>, const Offload&, uint64_t) override {}
    void discard(uint64_t, DropReason) override {}
    void emit(std::span<uint8_t>) override {}
  } nowhere;
  constexpr uint32_t kFlows = 3 * FlowSurvey::kFlowsAtOnce + 7;
  GatewaySettings settings = smallSettings();
  settings.limits.flows = 4096;
  Gateway whole{settings, rulesOf("node-gateway.bin"), nowhere, [] {}};
  Nanos now = 1'000'000'000;
  for (uint32_t i = 0; i < kFlows; ++i) {
    Bytes bytes = udpPacket({v6(100), static_cast<uint16_t>(i + 1)}, {v6(300), 5201}, {});
    (void)whole.process(bytes, {}, i, now);
  }
  const auto piecesOf = [](auto piece) {
    uint32_t pieces = 1;
    while (piece()) ++pieces;
    return pieces;
  };
  FlowSurvey survey{20};
  // Then there is one that finds no more, and names those that were found.
  CHECK(piecesOf([&] { return whole.survey(survey); }) == 5);
  CHECK(survey.text().find("\"total\":" + std::to_string(kFlows)) != std::string::npos);
  REQUIRE(whole.use(rulesOf("node-names.bin"), ++now));
  CHECK(piecesOf([&] { return whole.adapt(); }) == 5);
  // No flow has a limit any more.
  REQUIRE(whole.use(rulesOf("node-gateway.bin"), ++now));
  CHECK(piecesOf([&] { return whole.adapt(); }) == 1);
}

TEST_CASE("node gateway: TCP that comes out of order leaves in order") {
  GatewayChain chain;
  Talk web{chain.one, 100, chain.three, 300, 40'005};
  const auto part = [&](uint32_t number) {
    const std::string text = get("a/rather/long/name.txt");
    return tcpPacket({.from = web.client, .to = web.server, .sequence = web.sent + number * 8, .acknowledgement = web.answered,
                      .data = Bytes(text.begin() + number * 8, text.begin() + (number + 1) * 8)});
  };
  for (const uint32_t number : {3U, 1U, 2U, 0U}) chain.one.send(part(number));
  std::string got;
  for (int i = 0; i < 4; ++i) got += dataOf(chain.three.receive());
  CHECK(got == get("a/rather/long/name.txt").substr(0, 32));
}

TEST_CASE("node gateway: set, given other rules, and taken away under traffic, which arrives in order and whole") {
  for (const ReceivePath receive : {ReceivePath::direct, ReceivePath::queue}) {
    Chain chain{{.receive = receive}};
    constexpr uint32_t kPackets = 3000;
    std::thread sender{[&] {
      for (uint32_t i = 0; i < kPackets; ++i) {
        chain.one.send(numbered(9, i));
        if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds{1});
      }
    }};
    std::atomic<bool> done{false};
    std::thread receiver{[&] {
      for (uint32_t i = 0; i < kPackets; ++i) {
        const Bytes packet = chain.three.receive();
        if (numberOf(packet) == i) continue;
        CHECK(numberOf(packet) == i);
        break;
      }
      done = true;
    }};
    const GatewayRules rules = rulesOf("node-gateway.bin");
    const GatewayRules open = rulesOf("node-gateway-open.bin");
    do {
      REQUIRE(chain.two.plane.setGateway(chain.two.node, smallSettings(), rules, 0).error == PlaneError::none);
      REQUIRE(chain.two.plane.useGatewayRules(chain.two.node, open).error == PlaneError::none);
      (void)chain.two.plane.counters();
      REQUIRE(chain.two.plane.useGatewayRules(chain.two.node, rules).error == PlaneError::none);
      chain.two.plane.removeGateway(chain.two.node);
    } while (!done);
    sender.join();
    receiver.join();
    CHECK(chain.two.plane.useGatewayRules(chain.two.node, open).error == PlaneError::gatewayUnknown);
  }
}

TEST_CASE("node gateway: other rules hold for flows that are under way, and a node closes with its gateway") {
  GatewayChain chain;
  REQUIRE(chain.two.plane.useGatewayRules(chain.two.node, rulesOf("node-gateway-open.bin")).error == PlaneError::none);
  Talk talk{chain.one, 100, chain.three, 300};
  talk.ask(get("song.mp3"));
  CHECK(dataOf(chain.three.receive()) == get("song.mp3"));
  CHECK(chain.two.plane.setGateway(chain.two.node, smallSettings(), rulesOf("node-gateway.bin"), 0).error == PlaneError::conflict);
  CHECK(chain.two.plane.setGateway(99, smallSettings(), rulesOf("node-gateway.bin"), 0).error == PlaneError::nodeUnknown);
  for (uint32_t i = 0; i < 50; ++i) chain.one.send(numbered(5201, i, 1000));
  chain.two.plane.closeNode(chain.two.node);
  CHECK(std::holds_alternative<Failure>(chain.two.plane.gatewayStatistics(chain.two.node)));
}

TEST_CASE("node gateway: who bears a name can change under traffic, and flows go on as they were decided") {
  GatewayChain chain;
  REQUIRE(chain.two.plane.useGatewayRules(chain.two.node, rulesOf("node-names.bin")).error == PlaneError::none);
  const auto passes = [&](uint16_t port) {
    chain.one.send(numbered(port, 1));
    return numberOf(chain.three.receive(kShortMs)) == 1;
  };
  // The first set, with one address or none.
  const auto bear = [&](bool one) {
    Bytes sets{0, 1, 0, 0, 0, 0, 0, static_cast<uint8_t>(one ? 1 : 0)};
    if (one) {
      const Address address = v6(100);
      for (int end = 0; end < 2; ++end) sets.insert(sets.end(), address.begin(), address.end());
    }
    return chain.two.plane.useGatewaySets(chain.two.node, sets).error;
  };
  CHECK(passes(1000));
  CHECK(bear(true) == PlaneError::none);
  CHECK_FALSE(passes(1001));
  CHECK(passes(1000));
  CHECK(chain.two.plane.useGatewaySets(chain.two.node, Bytes{0, 1, 0, 9}).error == PlaneError::system);
  CHECK_FALSE(passes(1002));
  CHECK(bear(false) == PlaneError::none);
  CHECK(passes(1003));
  CHECK(chain.one.plane.useGatewaySets(chain.one.node, {}).error == PlaneError::gatewayUnknown);
}

TEST_CASE("node gateway: a directory that cannot be used is said, and the node goes on without") {
  Chain chain;
  GatewaySettings settings = smallSettings();
  settings.audit.emplace().directory = "/dev/null/audit";
  const Failure failure = chain.two.plane.setGateway(chain.two.node, settings, rulesOf("node-gateway.bin"), 0);
  CHECK(failure.error == PlaneError::system);
  CHECK(!failure.text.empty());
  chain.one.send(numbered(9, 7));
  CHECK(numberOf(chain.three.receive()) == 7);
}
