// Redirected connections: what the target sees, what the client sees, and what neither must see.
#include "gateway/checks.h"
#include "gateway/rewrite.h"
#include "gateway/test/application_world.h"

namespace p2pxbone::gateway::testing {
namespace {

const Host kProxy{v4(10, 3, 0, 3), 3128};
const Host kResolver{v4(10, 3, 0, 53), 53};

struct Ends {
  Host from, to;
};

// Of the last packet that went on, whose checksums must be right.
Ends lastEnds(World& world) {
  REQUIRE_FALSE(world.out.empty());
  Bytes bytes = world.out.back();
  Packet packet;
  REQUIRE(parsePacket(bytes, {}, 0, packet) == DropReason::none);
  REQUIRE(checkTransport(packet) == DropReason::none);
  return {{packet.ip.source, packet.ip.sourcePort}, {packet.ip.destination, packet.ip.destinationPort}};
}
bool same(const Host& a, const Host& b) { return a.address == b.address && a.port == b.port; }
bool lastIs(World& world, const Host& from, const Host& to) {
  const Ends ends = lastEnds(world);
  return same(ends.from, from) && same(ends.to, to);
}

struct RedirectWorld {
  explicit RedirectWorld(const Limits& limits = {}) : on("redirect", limits) {}

  Verdict client(uint32_t sequence, uint32_t acknowledgement, uint8_t flags, std::string_view data = "", const Host& from = kClient) {
    return on.world.client({.from = from, .sequence = sequence, .acknowledgement = acknowledgement, .flags = flags, .data = bytesOf(data)});
  }
  Verdict proxy(uint32_t sequence, uint32_t acknowledgement, uint8_t flags, std::string_view data = "", const Host& to = kClient) {
    return on.world.send(tcpPacket({.from = kProxy, .to = to, .sequence = sequence, .acknowledgement = acknowledgement,
                                    .flags = flags, .data = bytesOf(data)}));
  }
  void open() {
    REQUIRE(client(100, 0, kTcpSyn).goesOn());
    REQUIRE(lastIs(on.world, kClient, kProxy));
    REQUIRE(proxy(500, 101, kSynAck).goesOn());
    REQUIRE(lastIs(on.world, kServer, kClient));
    REQUIRE(client(101, 501, kTcpAck).goesOn());
    REQUIRE(lastIs(on.world, kClient, kProxy));
  }

  ApplicationWorld on;
};

TEST_CASE("a redirected connection reaches the target, and its client sees the end it has called") {
  RedirectWorld redirect;
  redirect.open();
  World& world = redirect.on.world;
  const std::string question = get("/");
  CHECK(redirect.client(101, 501, kTcpAck, question).goesOn());
  CHECK(lastIs(world, kClient, kProxy));
  CHECK(redirect.proxy(501, 101 + static_cast<uint32_t>(question.size()), kTcpAck, response(2, "ok")).goesOn());
  CHECK(lastIs(world, kServer, kClient));
  // It is one flow, between the ends that the client knows.
  CHECK(world.pipeline.flows().size() == 1);
  CHECK(redirect.on.flow().address(Side::responder) == kServer.address);
  CHECK(redirect.on.flow().application == Application::http);
  CHECK(redirect.on.stage.rules().nameOf(redirect.on.flow().verdict.rule) == "to the proxy");
  redirect.on.endFlows();
  CHECK(redirect.on.audit.all("flow", "verdict.action") == std::vector<std::string>{"redirect"});
}

TEST_CASE("what waits, and the RSTs of a denied connection, go to the target, too") {
  RedirectWorld redirect;
  World& world = redirect.on.world;
  redirect.open();
  // Out of order, so that it waits.
  CHECK(redirect.client(105, 501, kTcpAck, "second").action == Verdict::Action::hold);
  CHECK(redirect.client(101, 501, kTcpAck, "gap!").action == Verdict::Action::hold);
  CHECK(world.text().ends_with("gap!second"));
  CHECK(lastIs(world, kClient, kProxy));
  world.pipeline.deny(redirect.on.flow().ref, {.verdict = Verdict::reject(1)}, world.now);
  REQUIRE(world.made.size() == 2);
  int toTarget = 0;
  for (const Bytes& reset : world.made) {
    world.out = {reset};
    if (lastIs(world, kServer, kClient)) continue;
    CHECK(lastIs(world, kClient, kProxy));
    ++toTarget;
  }
  CHECK(toTarget == 1);
}

TEST_CASE("UDP goes to the same port of the target, whatever other checksum it then has; a missing one stays missing") {
  ApplicationWorld on{"redirect"};
  const Host server{kServer.address, 53};
  for (int i = 0; i < 300; ++i) {
    CHECK(on.world.send(udpPacket(kClient, server, bytesOf("question" + std::to_string(i)))).goesOn());
    CHECK(lastIs(on.world, kClient, kResolver));
    CHECK(on.world.send(udpPacket(kResolver, kClient, bytesOf("answer" + std::to_string(i)))).goesOn());
    CHECK(lastIs(on.world, server, kClient));
  }
  Bytes plain = udpPacket(kClient, server, bytesOf("no sum"));
  put16(plain, 26, 0);
  CHECK(on.world.send(plain).goesOn());
  CHECK(on.world.out.back()[26] == 0);
  CHECK(on.world.out.back()[27] == 0);
}

TEST_CASE("both families, and checksums that others are to finish") {
  const Host target6{v6(0x33), 3128};
  for (const bool unfinished : {false, true}) {
    Bytes bytes = tcpPacket({.from = kClient6, .to = kServer6, .sequence = 7, .flags = kTcpSyn, .data = {}});
    Offload offload;
    offload.needsChecksum = unfinished;
    const auto sumOf = [](const Bytes& packet, const Host& from, const Host& to) {
      Bytes transport(packet.begin() + 40, packet.end());
      put16(transport, 16, 0);
      return transportChecksum(from.address, to.address, kProtocolTcp, transport);
    };
    if (unfinished) {
      // The pseudo-header alone, not inverted.
      put16(bytes, 40 + 16, static_cast<uint16_t>(~transportChecksum(kClient6.address, kServer6.address, kProtocolTcp, Bytes(20, 0))));
    }
    Packet packet;
    REQUIRE(parsePacket(bytes, offload, 0, packet) == DropReason::none);
    moveDestination(packet, target6.address, target6.port);
    moveSource(packet, kClient6.address, 1234);
    CHECK(packet.moved);
    const unsigned sum = bytes[56] * 256U + bytes[57];
    if (unfinished) {
      CHECK(sum == static_cast<uint16_t>(~transportChecksum(kClient6.address, target6.address, kProtocolTcp, Bytes(20, 0))));
    } else {
      CHECK(sum == sumOf(bytes, kClient6, target6));
    }
  }
}

TEST_CASE("IPv6 from end to end, and pings, which have no ports") {
  ApplicationWorld on{"redirect"};
  const Host server{kServer6.address, 81};
  Address target{};
  target[0] = 0xfd;
  target[15] = 0x33;
  const Host proxy{target, 3128};
  CHECK(on.world.client({.from = kClient6, .to = server, .sequence = 100, .flags = kTcpSyn}).goesOn());
  CHECK(lastIs(on.world, kClient6, proxy));
  CHECK(on.world.client({.from = proxy, .to = kClient6, .sequence = 500, .acknowledgement = 101, .flags = kSynAck}).goesOn());
  CHECK(lastIs(on.world, server, kClient6));
  CHECK(on.world.client({.from = kClient6, .to = server, .sequence = 101, .acknowledgement = 501, .data = bytesOf("hello")}).goesOn());
  CHECK(lastIs(on.world, kClient6, proxy));

  const Host pinger{kClient.address, 0};
  const Host pinged{kServer.address, 0};
  const Host answering{kProxy.address, 0};
  Bytes echo{8, 0, 0, 0, 0, 1, 0, 1};
  put16(echo, 2, slowChecksum(echo));
  CHECK(on.world.send(wrap(pinger, pinged, kProtocolIcmp, echo)).goesOn());
  CHECK(lastIs(on.world, pinger, answering));
  Bytes reply{0, 0, 0, 0, 0, 1, 0, 1};
  put16(reply, 2, slowChecksum(reply));
  CHECK(on.world.send(wrap(answering, pinger, kProtocolIcmp, reply)).goesOn());
  CHECK(lastIs(on.world, pinged, pinger));
}

TEST_CASE("in a dry run nothing is redirected, and the record says what would be") {
  ApplicationWorld on{"redirect-dry-run"};
  CHECK(on.world.send(udpPacket(kClient, {kServer.address, 53}, bytesOf("question"))).goesOn());
  CHECK(lastIs(on.world, kClient, {kServer.address, 53}));
  CHECK(on.redirects.size() == 0);
  CHECK(on.audit.all("alert", "action") == std::vector<std::string>{"redirect"});
  CHECK(on.audit.all("alert", "dry_run") == std::vector<std::string>{"true"});
}

TEST_CASE("the target's own connections go where they are called, and so does what is called there anyway") {
  RedirectWorld redirect;
  World& world = redirect.on.world;
  CHECK(redirect.client(100, 0, kTcpSyn, "", {kProxy.address, 45'000}).goesOn());
  CHECK(lastIs(world, {kProxy.address, 45'000}, kServer));
  const Host itself{kResolver.address, 53};
  CHECK(world.send(udpPacket(kClient, itself, bytesOf("x"))).goesOn());
  CHECK(lastIs(world, kClient, itself));
  CHECK(redirect.on.redirects.size() == 0);
}

TEST_CASE("two connections that would look alike to the target get different ports") {
  RedirectWorld redirect;
  World& world = redirect.on.world;
  redirect.open();
  const Host other{v4(10, 2, 0, 9), 80};
  CHECK(world.client({.to = other, .sequence = 900, .flags = kTcpSyn}).goesOn());
  const Ends shown = lastEnds(world);
  CHECK(same(shown.to, kProxy));
  CHECK(shown.from.address == kClient.address);
  CHECK(shown.from.port != kClient.port);
  CHECK(redirect.proxy(1'500, 901, kSynAck, "", shown.from).goesOn());
  CHECK(lastIs(world, other, kClient));
  // What the client says to the target itself, from the first one's port, would get that one's answers.
  CHECK(world.client({.to = kProxy, .sequence = 1, .flags = kTcpSyn}).action == Verdict::Action::drop);
  CHECK(world.drops(DropReason::gatewayRedirect) == 1);
}

TEST_CASE("what cannot be redirected is dropped: another family, fragments, no room") {
  Limits limits;
  limits.redirects = 4;
  RedirectWorld redirect{limits};
  World& world = redirect.on.world;
  CHECK(world.client({.to = {kServer.address, 81}, .flags = kTcpSyn}).action == Verdict::Action::drop);
  const Bytes large = udpPacket(kClient, {kServer.address, 53}, Bytes(64, 'x'));
  (void)world.send(fragmentOf(large, 0, 40));
  (void)world.send(fragmentOf(large, 40, 40));
  CHECK(world.out.empty());
  // Unfinished connections make room for others, those that go on do not.
  redirect.open();
  for (uint16_t i = 0; i < 1'000; ++i) {
    CHECK(redirect.client(100, 0, kTcpSyn, "", {kClient.address, static_cast<uint16_t>(1'000 + i)}).goesOn());
    CHECK(redirect.on.redirects.size() <= 4);
  }
  CHECK(redirect.client(101, 501, kTcpAck, "still here").goesOn());
  CHECK(lastIs(world, kClient, kProxy));
  CHECK(redirect.on.redirects.counters().evicted.get() >= 990);
}

TEST_CASE("connections that are kept open in silence do not shut others out") {
  Limits limits;
  limits.redirects = 1;
  RedirectWorld redirect{limits};
  World& world = redirect.on.world;
  redirect.open();
  CHECK(redirect.client(101, 501, kTcpAck, "x").goesOn());
  const Host later{kClient.address, 999};
  world.pass(299'000);
  CHECK(redirect.client(100, 0, kTcpSyn, "", later).action == Verdict::Action::drop);
  world.pass(2'000);
  CHECK(redirect.client(100, 0, kTcpSyn, "", later).goesOn());
  CHECK(lastIs(world, later, kProxy));
  // What is left of the first one goes nowhere, rather than to the end that it must not reach.
  CHECK(redirect.client(102, 501, kTcpAck, "y").action == Verdict::Action::drop);
}

TEST_CASE("a redirected connection is forgotten when it is over or was silent for too long") {
  RedirectWorld redirect;
  World& world = redirect.on.world;
  CHECK(redirect.client(100, 0, kTcpSyn, "", {kClient.address, 999}).goesOn());
  redirect.open();
  CHECK(redirect.client(101, 501, kTcpAck, "x").goesOn());
  CHECK(redirect.on.redirects.size() == 2);
  world.pass(31'000);
  CHECK(redirect.on.redirects.size() == 1);
  CHECK(redirect.client(102, 501, kFinAck).goesOn());
  CHECK(redirect.proxy(501, 103, kFinAck).goesOn());
  CHECK(redirect.client(103, 502, kTcpAck).goesOn());
  world.pass(30'000);
  CHECK(redirect.on.redirects.size() == 0);
}

TEST_CASE("another policy does not move connections that exist; a new one from the same port is asked about anew") {
  RedirectWorld redirect;
  World& world = redirect.on.world;
  redirect.open();
  redirect.on.use("nothing");
  CHECK(redirect.client(101, 501, kTcpAck, "more").goesOn());
  CHECK(lastIs(world, kClient, kProxy));
  CHECK(redirect.client(100, 0, kTcpSyn, "", {kClient.address, 999}).goesOn());
  CHECK(lastIs(world, {kClient.address, 999}, kServer));
  CHECK(redirect.client(105, 501, kTcpRst).goesOn());
  CHECK(redirect.client(9'000, 0, kTcpSyn).goesOn());
  CHECK(lastIs(world, kClient, kServer));
}

TEST_CASE("a connection that was picked up in its middle is not redirected") {
  RedirectWorld redirect;
  CHECK(redirect.client(100, 700, kTcpAck, "in the middle").goesOn());
  CHECK(lastIs(redirect.on.world, kClient, kServer));
}

}  // namespace
}  // namespace p2pxbone::gateway::testing
