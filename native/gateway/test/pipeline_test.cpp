#include "gateway/test/pipeline_world.h"

#include "core/bytes.h"
#include "gateway/checks.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

using Texts = std::vector<std::string>;

Host clientAt(uint16_t port) { return {kClient.address, port}; }

// A packet that the gateway made must be one that its receiver accepts.
Packet checked(Bytes& bytes) {
  Packet packet;
  REQUIRE(parsePacket(bytes, {}, 0, packet) == DropReason::none);
  REQUIRE(packet.bytes.size() == bytes.size());
  REQUIRE(checkTransport(packet) == DropReason::none);
  return packet;
}

TEST_CASE("a packet that may be the last is kept until what comes behind it may go on") {
  World world;
  world.open();
  CHECK(world.say(101, "KEEP").action == Verdict::Action::hold);
  CHECK(world.out.empty());
  // Acknowledgements pass it, its copies do not.
  CHECK(world.client({.sequence = 105, .acknowledgement = 501}).goesOn());
  CHECK(world.say(101, "KEEP").action == Verdict::Action::drop);
  CHECK(world.text().empty());
  CHECK(world.say(105, "more").goesOn());
  CHECK(world.text() == "KEEPmore");
}

TEST_CASE("packets that may each be the last leave one by one, and the last when it is decided") {
  World world;
  world.open();
  for (uint32_t i = 0; i < 5; ++i) {
    CHECK(world.say(101 + 4 * i, "KEEP").action == Verdict::Action::hold);
    CHECK(world.out.size() == i);
  }
  world.decide(Verdict::accept());
  CHECK(world.text() == "KEEPKEEPKEEPKEEPKEEP");
  CHECK(world.say(121, "more").goesOn());
  CHECK(world.text() == "KEEPKEEPKEEPKEEPKEEPmore");
}

TEST_CASE("what is kept does not go on if what comes behind it is denied") {
  World world;
  world.open();
  CHECK(world.say(101, "KEEP").action == Verdict::Action::hold);
  CHECK(world.say(105, "EVIL").action == Verdict::Action::drop);
  world.pass(1'000);
  CHECK(world.text().empty());
}

TEST_CASE("what is kept waits with a held end, and both leave in order") {
  World world;
  world.stage.holdEnd = true;
  world.open();
  CHECK(world.say(101, "KEEP").action == Verdict::Action::hold);
  CHECK(world.client({.sequence = 105, .acknowledgement = 501, .flags = kFinAck}).action == Verdict::Action::hold);
  CHECK(world.out.empty());
  world.stage.last.second = Side::initiator;
  world.decide(Verdict::accept());
  CHECK(world.text() == "KEEP");
  CHECK(world.out.size() == 2);
}

TEST_CASE("a last packet that came out of order is kept as well") {
  World world;
  world.open();
  CHECK(world.say(105, "KEEP").action == Verdict::Action::hold);
  (void)world.say(101, "some");
  CHECK(world.text() == "some");
  world.decide(Verdict::accept());
  CHECK(world.text() == "someKEEP");
}

TEST_CASE("a flow that ends takes what is kept with it") {
  World world;
  world.open();
  CHECK(world.say(101, "KEEP").action == Verdict::Action::hold);
  world.pipeline.shutdown(world.now);
  CHECK(world.text().empty());
}

}  // namespace

TEST_CASE("data in order are inspected and go on unchanged") {
  World world;
  world.open();
  const Bytes packet = tcpPacket({.sequence = 101, .acknowledgement = 501, .data = bytesOf("hello ")});
  CHECK(world.send(packet).goesOn());
  CHECK(world.out == std::vector<Bytes>{packet});
  CHECK(world.server({.sequence = 501, .acknowledgement = 107, .data = bytesOf("welcome")}).goesOn());
  CHECK(world.say(107, "world", kFinAck).goesOn());
  CHECK(world.seen() == "hello world");
  CHECK(world.seen(Side::responder) == "welcome");
  CHECK(world.stage.ends == std::vector<Side>{Side::initiator});
}

TEST_CASE("a flow that is denied stays denied, and the packet that shows it does not go on") {
  World world;
  world.open();
  CHECK(world.say(101, "E").goesOn());
  const Verdict verdict = world.say(102, "VIL");
  CHECK(verdict == Verdict::drop(DropReason::gatewayRule, 1));
  CHECK(world.say(105, "more") == Verdict::drop(DropReason::gatewayFlowDenied, 1));
  CHECK(world.server({.sequence = 501, .acknowledgement = 102, .data = bytesOf("x")}).reason ==
        DropReason::gatewayFlowDenied);
  CHECK(world.text() == "E");
}

TEST_CASE("a denied connection is refused at its SYN, whatever port it comes from, and others go on") {
  World world;
  world.stage.denyFor = 60'000;
  world.open(101, clientAt(1111));
  world.open(101, clientAt(2222));
  CHECK(!world.client({.from = clientAt(1111), .sequence = 101, .acknowledgement = 501, .data = bytesOf("EVIL")}).goesOn());
  CHECK(world.client({.from = clientAt(3333), .sequence = 1, .flags = kTcpSyn}) ==
        Verdict::drop(DropReason::gatewayDenied, 1));
  // What was open already is not the connection that was denied.
  CHECK(world.client({.from = clientAt(2222), .sequence = 101, .acknowledgement = 501, .data = bytesOf("fine")}).goesOn());
  // What comes up in the middle is taken for the denied one.
  CHECK(world.client({.from = clientAt(4444), .sequence = 1, .data = bytesOf("x")}).reason == DropReason::gatewayFlowDenied);
  world.pass(60'000);
  CHECK(world.client({.from = clientAt(3333), .sequence = 1, .flags = kTcpSyn}).goesOn());
}

TEST_CASE("a rejected connection is reset at both ends with the numbers they expect") {
  World world;
  world.open();
  CHECK(world.say(101, "begin ").goesOn());
  CHECK(world.server({.sequence = 501, .acknowledgement = 107, .data = bytesOf("answer")}).goesOn());
  CHECK(world.client({.sequence = 107, .acknowledgement = 507, .data = bytesOf("REJECT")}).action ==
        Verdict::Action::reject);
  REQUIRE(world.made.size() == 2);
  const Packet toClient = checked(world.made[0]);
  const Packet toServer = checked(world.made[1]);
  CHECK(toClient.ip.destination == kClient.address);
  CHECK(toClient.ip.destinationPort == kClient.port);
  CHECK(toClient.tcp.flags == (kTcpRst | kTcpAck));
  CHECK(toClient.tcp.sequence == 507);
  CHECK(toServer.ip.destination == kServer.address);
  CHECK(toServer.ip.source == kClient.address);
  CHECK(toServer.tcp.sequence == 107);  // the packet with the word has not gone on
  // An end that has lost something expects another number, and says so.
  CHECK(!world.server({.sequence = 507, .acknowledgement = 103}).goesOn());
  REQUIRE(world.made.size() == 3);
  const Packet again = checked(world.made[2]);
  CHECK(again.ip.destination == kServer.address);
  CHECK(again.tcp.sequence == 103);
  for (int i = 0; i < 100; ++i) (void)world.say(107, "REJECT");
  CHECK(world.made.size() <= 2 + 2 * 16);
}

TEST_CASE("a rejected connection over IPv6 is reset, too") {
  World world;
  const auto send = [&](Segment segment, bool reply = false) {
    segment.from = reply ? kServer6 : kClient6;
    segment.to = reply ? kClient6 : kServer6;
    return world.send(tcpPacket(segment));
  };
  REQUIRE(send({.sequence = 100, .flags = kTcpSyn}).goesOn());
  REQUIRE(send({.sequence = 500, .acknowledgement = 101, .flags = kSynAck}, true).goesOn());
  CHECK(send({.sequence = 101, .acknowledgement = 501, .data = bytesOf("REJECT")}).action == Verdict::Action::reject);
  REQUIRE(world.made.size() == 2);
  CHECK(checked(world.made[0]).tcp.sequence == 501);
  CHECK(checked(world.made[1]).tcp.sequence == 101);
}

TEST_CASE("a SYN may be rejected before there is any record") {
  World world;
  CHECK(world.client({.to = {kServer.address, WordStage::kClosedPort}, .sequence = 100, .flags = kTcpSyn}).action ==
        Verdict::Action::reject);
  REQUIRE(world.made.size() == 1);
  const Packet reset = checked(world.made[0]);
  CHECK(reset.tcp.flags == (kTcpRst | kTcpAck));
  CHECK(reset.tcp.acknowledgement == 101);
  CHECK(world.pipeline.statistics().flows == 0);
}

TEST_CASE("a rejected datagram is answered by ICMP, in both families, and not without end") {
  for (const bool six : {false, true}) {
    Pipeline::Settings settings;
    settings.limits.answersPerSecond = 5;
    World world(settings);
    for (uint16_t port = 1000; port < 1020; ++port) {
      const Host from{six ? kClient6.address : kClient.address, port};
      CHECK(world.send(udpPacket(from, six ? kServer6 : kServer, bytesOf("REJECT"))).action == Verdict::Action::reject);
    }
    REQUIRE(world.made.size() == 5);
    Packet packet;
    REQUIRE(parsePacket(world.made[0], {}, 0, packet) == DropReason::none);
    CHECK(packet.ip.destination == (six ? kClient6.address : kClient.address));
    CHECK(packet.transport()[0] == (six ? 1 : 3));
    CHECK(packet.transport()[1] == (six ? 1 : 13));
  }
}

TEST_CASE("the ports of a denied connection serve another when the other end says so, and not before") {
  World world;
  world.open();
  CHECK(!world.say(101, "EVIL").goesOn());
  // The SYN that it began with is no new one, and an RST that does not go on ends nothing.
  CHECK(world.client({.sequence = 100, .flags = kTcpSyn}).reason == DropReason::gatewayFlowDenied);
  CHECK(world.client({.sequence = 101, .flags = kTcpRst}).reason == DropReason::gatewayFlowDenied);
  CHECK(world.client({.sequence = 9000, .flags = kTcpSyn}).goesOn());
  // A server that was not told would still take these.
  CHECK(world.say(101, "EVIL").reason == DropReason::gatewayFlowDenied);
  CHECK(world.say(105, "more").reason == DropReason::gatewayFlowDenied);
  CHECK(!world.server({.sequence = 7000, .acknowledgement = 101, .flags = kSynAck}).goesOn());
  CHECK(world.server({.sequence = 7000, .acknowledgement = 9001, .flags = kSynAck}).goesOn());
  CHECK(world.client({.sequence = 9001, .acknowledgement = 7001, .data = bytesOf("fine")}).goesOn());
  CHECK(world.text() == "fine");
  // It is followed from its beginning: far beyond what the server allows is nothing of it.
  CHECK(!world.client({.sequence = 9005 + (1U << 24), .acknowledgement = 7001, .data = bytesOf("x")}).goesOn());
  CHECK(!world.client({.sequence = 9005, .acknowledgement = 7001, .data = bytesOf("EVIL")}).goesOn());
}

TEST_CASE("a record begins with a packet of its connection: what no end would accept begins none") {
  for (const bool server : {false, true}) {
    World world;
    CHECK(world.client({.sequence = 100, .flags = kTcpSyn}).goesOn());
    CHECK(world.server({.sequence = 500, .acknowledgement = 101, .flags = kSynAck}).goesOn());
    const Verdict strange = server ? world.server({.sequence = 501, .acknowledgement = 200'101, .data = bytesOf("x")})
                                   : world.client({.sequence = 200'101, .acknowledgement = 501, .data = bytesOf("x")});
    CHECK(strange.reason == DropReason::gatewayTcpWindow);
    CHECK(world.stage.begun == 0);
    // The connection itself is inspected from its first byte.
    CHECK(world.say(101, "fine").goesOn());
    CHECK(world.stage.begun == 1);
    CHECK(world.seen() == "fine");
    CHECK(!world.say(105, "EVIL").goesOn());
  }
}

TEST_CASE("a connection that begins behind a segment of none is followed from its own beginning") {
  World world;
  // Picked up, as it may belong to a connection that was there before; the server knows nothing of it.
  CHECK(world.client({.sequence = 1000, .acknowledgement = 1, .data = bytesOf("innocent")}).goesOn());
  CHECK(world.client({.sequence = 1008, .flags = kTcpSyn}).goesOn());
  CHECK(world.server({.sequence = 500, .acknowledgement = 1009, .flags = kSynAck}).goesOn());
  CHECK(world.client({.sequence = 1009, .acknowledgement = 501, .data = bytesOf("EV")}).goesOn());
  CHECK(world.stage.begun == 2);
  CHECK(world.seen() == "EV");
  // Nothing of it is taken for granted: far beyond what the server allows is nothing of it.
  CHECK(!world.client({.sequence = 1011 + (1U << 24), .acknowledgement = 501, .data = bytesOf("x")}).goesOn());
  CHECK(!world.client({.sequence = 1011, .acknowledgement = 501, .data = bytesOf("IL")}).goesOn());
}

TEST_CASE("what an end acknowledges before it was sent does not pass unseen when it is") {
  World world;
  // Picked up in the middle, so that nothing is known of windows.
  CHECK(world.client({.sequence = 1000, .acknowledgement = 500, .data = bytesOf("get")}).goesOn());
  CHECK(world.server({.sequence = 500, .acknowledgement = 1003, .data = bytesOf("head")}).goesOn());
  CHECK(world.client({.sequence = 1003, .acknowledgement = 504 + 100'000}).goesOn());
  CHECK(world.server({.sequence = 504, .acknowledgement = 1003, .data = bytesOf("EVIL")}).reason ==
        DropReason::gatewayStreamGap);
  // A keep-alive is no data, and what comes behind is inspected.
  CHECK(world.server({.sequence = 504 + 99'999, .acknowledgement = 1003, .data = bytesOf("x")}).goesOn());
  CHECK(world.server({.sequence = 504 + 100'000, .acknowledgement = 1003, .data = bytesOf("fine")}).goesOn());
  CHECK(world.seen(Side::responder) == "headfine");
}

TEST_CASE("a new connection between ports that are in use is asked of the policy as any other") {
  World world;
  const Host closed{kServer.address, WordStage::kClosedPort};
  // The denied one, and one that goes on, were begun by the other end.
  for (const std::string_view word : {"EVIL", "fine"}) {
    const Host from = clientAt(word == "EVIL" ? 2000 : 2001);
    CHECK(world.client({.from = closed, .to = from, .sequence = 100, .flags = kTcpSyn}).goesOn());
    CHECK(world.client({.from = from, .to = closed, .sequence = 500, .acknowledgement = 101, .flags = kSynAck}).goesOn());
    (void)world.client({.from = closed, .to = from, .sequence = 101, .acknowledgement = 501, .data = bytesOf(word)});
    CHECK(world.client({.from = from, .to = closed, .sequence = 9000, .flags = kTcpSyn}).action ==
          Verdict::Action::reject);
  }
}

TEST_CASE("both ends of each connection that is rejected are told, however many; of connections that nobody saw begin, some") {
  Pipeline::Settings settings;
  settings.limits.answersPerSecond = 5;
  World world(settings);
  constexpr uint16_t kConnections = 50;
  for (uint16_t i = 0; i < kConnections; ++i) {
    const Host from = clientAt(static_cast<uint16_t>(1000 + i));
    world.open(101, from);
    CHECK(!world.client({.from = from, .sequence = 101, .acknowledgement = 501, .data = bytesOf("REJECT")}).goesOn());
  }
  CHECK(world.made.size() == 2 * kConnections);
  world.made.clear();
  for (uint16_t i = 0; i < kConnections; ++i) {
    const Host from = clientAt(static_cast<uint16_t>(5000 + i));
    CHECK(!world.client({.from = from, .sequence = 101, .acknowledgement = 501, .data = bytesOf("REJECT")}).goesOn());
  }
  CHECK(world.made.size() == 5);
  const Pipeline::Statistics all = world.pipeline.statistics();
  CHECK(all.resets == 2 * kConnections + 5);
  CHECK(all.withheldAnswers > 0);
}

TEST_CASE("packets of a flow that waits stand in their own line, and leave in order when the verdict comes") {
  World world;
  world.open();
  CHECK(world.say(101, "one HOLD").action == Verdict::Action::hold);
  CHECK(world.say(109, "two").action == Verdict::Action::hold);
  CHECK(world.say(112, "three").action == Verdict::Action::hold);
  // Neither another flow nor the other direction waits for them, and neither do acknowledgements.
  CHECK(world.send(udpPacket(kClient, kServer, bytesOf("other flow"))).goesOn());
  CHECK(world.server({.sequence = 501, .acknowledgement = 101, .data = bytesOf("back")}).goesOn());
  CHECK(world.client({.sequence = 117, .acknowledgement = 505}).goesOn());
  CHECK(world.texts() == Texts{"other flow", "back", ""});
  world.out.clear();
  world.pipeline.decide(world.stage.last.first, Side::initiator, {}, world.now);
  CHECK(world.texts() == Texts{"one HOLD", "two", "three"});
  CHECK(world.stage.seen[world.stage.last.first.id][0] == "one HOLDtwothree");
  CHECK(world.say(117, "four").goesOn());
}

TEST_CASE("what waits is dropped with a denied flow, and copies of it do not wait twice") {
  World world;
  world.open();
  CHECK(world.say(101, "HOLD").action == Verdict::Action::hold);
  CHECK(world.say(105, "tail").action == Verdict::Action::hold);
  CHECK(world.say(101, "HOLD") == Verdict::drop(DropReason::gatewayHeldDuplicate));
  CHECK(world.say(103, "LDta") == Verdict::drop(DropReason::gatewayHeldDuplicate));
  // Behind a hole it may be needed yet.
  CHECK(world.say(120, "far").action == Verdict::Action::hold);
  CHECK(world.say(109, "filled hole").action == Verdict::Action::hold);
  world.decide(Verdict::reject(9), 1000);
  CHECK(world.discarded.size() == 4);
  CHECK(world.out.empty());
  CHECK(world.made.size() == 2);
  CHECK(checked(world.made[1]).tcp.sequence == 101);
  CHECK(world.client({.from = clientAt(999), .sequence = 1, .flags = kTcpSyn}).reason == DropReason::gatewayDenied);
}

TEST_CASE("the packets behind a verdict are inspected when their turn comes, and may wait again") {
  World world;
  world.open();
  CHECK(world.say(101, "HOLD1").action == Verdict::Action::hold);
  CHECK(world.say(106, "HOLD2").action == Verdict::Action::hold);
  CHECK(world.say(111, "EVIL").action == Verdict::Action::hold);
  CHECK(world.say(115, "rest").action == Verdict::Action::hold);
  CHECK(world.seen() == "HOLD1");
  world.decide(Verdict::accept());
  CHECK(world.texts() == Texts{"HOLD1"});
  CHECK(world.seen() == "HOLD1HOLD2");
  world.decide(Verdict::accept());
  CHECK(world.texts() == Texts{"HOLD1", "HOLD2"});
  CHECK(world.discarded.size() == 2);
  CHECK(world.say(119, "x").reason == DropReason::gatewayFlowDenied);
}

TEST_CASE("a long line goes on bit by bit, and what comes meanwhile stands behind it") {
  World world;
  world.open();
  CHECK(world.say(101, "HOLD").action == Verdict::Action::hold);
  std::string expected = "HOLD";
  uint32_t sequence = 105;
  for (; sequence < 105 + 300; ++sequence) {
    CHECK(world.say(sequence, std::string(1, static_cast<char>('a' + sequence % 26))).action == Verdict::Action::hold);
    expected += static_cast<char>('a' + sequence % 26);
  }
  world.decide(Verdict::accept());
  CHECK(world.out.size() > 32);
  CHECK(world.out.size() < 200);
  CHECK(world.say(sequence, "!").action == Verdict::Action::hold);
  world.pass(200);
  CHECK(world.text() == expected + "!");
  CHECK(world.say(sequence + 1, "?").goesOn());
}

TEST_CASE("with fast pass what completes a stream waits for the verdict about what went ahead of it") {
  for (const std::string_view word : {"HOLD", "KEEP"}) {
    for (const bool accepts : {true, false}) {
      Pipeline::Settings settings;
      settings.fastPass = true;
      World world(settings);
      world.open();
      CHECK(world.say(105, std::string{word} + "cc").goesOn());
      CHECK(world.say(101, "bbbb").action == Verdict::Action::hold);
      CHECK(world.say(111, "dd").action == Verdict::Action::hold);
      CHECK(world.texts() == std::vector<std::string>{std::string{word} + "cc"});
      world.decide(accepts ? Verdict::accept() : Verdict::drop(DropReason::gatewayRule));
      world.pass(200);
      CHECK(world.text() == std::string{word} + (accepts ? "ccbbbbdd" : "cc"));
    }
  }
}

TEST_CASE("the line of a flow is bounded, and beyond it packets are dropped, or the flow goes on unseen") {
  for (const auto action : {ConditionAction::drop, ConditionAction::dropFlow, ConditionAction::bypass}) {
    Pipeline::Settings settings;
    settings.limits.heldBlocksPerFlow = 4;
    settings.conditions.set(Condition::heldFull, action);
    World world(settings);
    world.open();
    CHECK(world.say(101, "HOLD").action == Verdict::Action::hold);
    for (uint32_t i = 0; i < 3; ++i) CHECK(world.say(105 + i, "x").action == Verdict::Action::hold);
    const Verdict fifth = world.say(108, "y");
    switch (action) {
      case ConditionAction::drop:
        CHECK(fifth.reason == DropReason::gatewayHeldFull);
        world.decide(Verdict::accept());
        CHECK(world.text() == "HOLDxxx");
        CHECK(world.say(108, "y").goesOn());
        break;
      case ConditionAction::dropFlow:
        CHECK(fifth.reason == DropReason::gatewayHeldFull);
        CHECK(world.discarded.size() == 4);
        break;
      default:
        CHECK(fifth.goesOn());
        CHECK(world.text() == "HOLDxxxy");
        CHECK(world.say(109, "EVIL").goesOn());
    }
  }
}

TEST_CASE("without room for the packet that waits, its data do not slip through when they are sent again") {
  Pipeline::Settings settings;
  settings.limits.heldBlocks = 1;
  World world(settings);
  CHECK(world.send(udpPacket(kClient, kServer, bytesOf("HOLD"))).action == Verdict::Action::hold);  // takes the room
  world.open();
  CHECK(world.say(101, "HOLD").reason == DropReason::gatewayHeldFull);
  CHECK(world.say(101, "HOLD").reason == DropReason::gatewayHeldDuplicate);
  world.decide(Verdict::accept());
  CHECK(world.say(101, "HOLD").goesOn());
}

TEST_CASE("without room for the packet that waits, the policy may let it go on, or the flow unseen") {
  for (const auto action : {ConditionAction::pass, ConditionAction::bypass, ConditionAction::dropFlow}) {
    Pipeline::Settings settings;
    settings.limits.heldBlocks = 1;
    settings.conditions.set(Condition::heldFull, action);
    World world(settings);
    CHECK(world.send(udpPacket(kClient, kServer, bytesOf("HOLD"))).action == Verdict::Action::hold);
    world.open();
    // What came too early is in the stream when the packet before it has to wait.
    CHECK(world.say(105, "later").goesOn() == false);
    CHECK(world.say(101, "HOLD").goesOn() == (action != ConditionAction::dropFlow));
    CHECK(world.say(101, "HOLD").goesOn() == (action == ConditionAction::bypass));
    if (action == ConditionAction::bypass) CHECK(world.say(110, "EVIL").goesOn());
  }
}

TEST_CASE("datagrams of one end alone have no connection remembered as denied") {
  World world;
  CHECK_FALSE(world.send(udpPacket(kClient, kServer, bytesOf("EVIL"))).goesOn());
  CHECK(world.pipeline.connectionCache().counters().denied.get() == 0);
}

TEST_CASE("the end of a stream can be held back until the verdict about the whole") {
  World world;
  world.stage.holdEnd = true;
  world.open();
  CHECK(world.say(101, "file").goesOn());
  CHECK(world.say(105, "tail", kFinAck).action == Verdict::Action::hold);
  CHECK(world.text() == "file");
  world.decide(Verdict::accept());
  CHECK(world.text() == "filetail");
}

TEST_CASE("a flow settles when every stage has seen enough, and no stage sees it after that") {
  World world;
  world.open();
  CHECK(world.say(101, "ENOUGH").goesOn());
  const int chunks = world.stage.chunks;
  CHECK(world.say(107, "EVIL and anything").goesOn());
  CHECK(world.say(5107, "even far ahead").goesOn());
  CHECK(world.stage.chunks == chunks);
  CHECK(world.pipeline.statistics().memory.streams == 0);
  CHECK(world.pipeline.inspectionCounters().settled.get() == 1);
}

TEST_CASE("packet stages see every packet of watched flows, those that waited included") {
  struct Meter final : PacketStage {
    std::string_view name() const override { return "meter"; }
    Verdict packet(const PacketContext&, Packet& packet) override {
      const std::string text = textOf(packet.payload());
      seen += text;
      return text == "drop" ? Verdict::drop(DropReason::gatewayRule) : Verdict::accept();
    }
    std::string seen;
  } meter;
  World world;
  world.pipeline.addStage(meter);
  world.open();
  (void)world.say(101, "a");
  CHECK(meter.seen.empty());
  world.pipeline.flows().find(world.stage.last.first)->watched = true;
  (void)world.say(103, "c");
  CHECK(world.say(102, "b").action == Verdict::Action::hold);
  (void)world.say(104, "HOLD");
  (void)world.say(108, "d");
  world.decide(Verdict::accept());
  CHECK(world.say(109, "drop").reason == DropReason::gatewayRule);
  (void)world.say(113, "ENOUGH");
  (void)world.say(119, "settled");
  CHECK(meter.seen == "bcHOLDddropENOUGHsettled");
  CHECK(world.text() == "abcHOLDdENOUGHsettled");
}

TEST_CASE("fragments are inspected as the datagram they are, and leave as they came") {
  for (const bool six : {false, true}) {
    World world;
    const Host& from = six ? kClient6 : kClient;
    const Host& to = six ? kServer6 : kServer;
    std::string text(3000, '.');
    const Bytes good = udpPacket(from, to, bytesOf(text));
    for (const size_t at : {1600U, 0U, 800U, 2400U}) (void)world.send(fragmentOf(good, at, 800, 1));
    CHECK(world.out.size() == 4);
    CHECK(world.out[0] == fragmentOf(good, 0, 800, 1));
    CHECK(world.out[3] == fragmentOf(good, 2400, 800, 1));
    world.out.clear();
    text.replace(790, 4, "EVIL");  // spread over two fragments
    const Bytes bad = udpPacket(from, to, bytesOf(text));
    for (const size_t at : {0U, 800U, 1600U, 2400U}) (void)world.send(fragmentOf(bad, at, 800, 2));
    CHECK(world.out.empty());
    CHECK(world.discarded.size() == 4);
  }
}

TEST_CASE("a fragmented datagram that waits for a verdict leaves in fragments, too") {
  World world;
  const Bytes packet = udpPacket(kClient, kServer, bytesOf("HOLD" + std::string(3000, '.')));
  for (const size_t at : {0U, 1600U}) (void)world.send(fragmentOf(packet, at, 1600));
  CHECK(world.out.empty());
  world.decide(Verdict::accept());
  CHECK(world.out == std::vector<Bytes>{fragmentOf(packet, 0, 1600), fragmentOf(packet, 1600, 1600)});
}

TEST_CASE("the policy may refuse fragments, or let them by") {
  Pipeline::Settings settings;
  const Bytes packet = udpPacket(kClient, kServer, Bytes(3000, 'x'));
  settings.conditions.set(Condition::fragmented, ConditionAction::drop);
  World refusing(settings);
  CHECK(refusing.send(fragmentOf(packet, 0, 800)).reason == DropReason::gatewayFragmentRefused);
  settings.conditions.set(Condition::fragmented, ConditionAction::pass);
  World passing(settings);
  CHECK(passing.send(fragmentOf(packet, 800, 800)).goesOn());
}

TEST_CASE("a new connection between the same ports takes the place of the old one") {
  World world;
  world.open();
  CHECK(world.say(101, "first").goesOn());
  CHECK(world.server({.sequence = 501, .acknowledgement = 106, .flags = kTcpRst | kTcpAck}).goesOn());
  world.open(90001);
  CHECK(world.say(90001, "second").goesOn());
  CHECK(world.seen() == "second");
  REQUIRE(world.stage.over.size() == 1);
  CHECK(world.stage.over[0].second == FlowEnd::replaced);
}

TEST_CASE("a gap that is not filled in time is given up as the policy says") {
  for (const bool fastPass : {false, true}) {
    for (const auto action : {ConditionAction::drop, ConditionAction::pass, ConditionAction::bypass}) {
      Pipeline::Settings settings;
      settings.fastPass = fastPass;
      settings.conditions.set(Condition::streamGap, action);
      World world(settings);
      world.open();
      (void)world.say(101, "abc");
      (void)world.say(109, "ijk");
      (void)world.say(112, "EVI");
      world.pass(settings.limits.gapTimeout + 1000);
      if (action == ConditionAction::pass) {
        CHECK(world.seen() == "abcijkEVI");
        CHECK(world.text() == "abcijkEVI");
        CHECK(!world.say(115, "L").goesOn());
      } else if (action == ConditionAction::bypass) {
        CHECK(world.text() == "abcijkEVI");
        CHECK(world.say(115, "L").goesOn());
      } else if (fastPass) {
        CHECK(world.say(104, "defgh").reason == DropReason::gatewayFlowDenied);
      } else {
        CHECK(world.discarded == std::vector<DropReason>(2, DropReason::gatewayStreamGap));
        CHECK(world.say(104, "defgh").goesOn());
        CHECK(world.say(109, "ijk").goesOn());
        CHECK(world.seen() == "abcdefghijk");
      }
    }
  }
}

TEST_CASE("stages are counted, and timed for one packet in 64 if there is a clock") {
  static uint64_t time = 0;
  Pipeline::Settings settings;
  settings.clock = [] { return time += 10; };
  World world(settings);
  for (uint16_t port = 1000; port < 1640; ++port) (void)world.send(udpPacket(clientAt(port), kServer, bytesOf("x")));
  const auto all = world.pipeline.statistics();
  REQUIRE(all.stages.size() == kStageCount + 1);
  for (const size_t stage : {size_t{0}, size_t{1}, size_t{3}}) {
    CHECK(all.stages[stage].packets == 640);
    CHECK(all.stages[stage].samples == 10);
    CHECK(all.stages[stage].nanoseconds == 100);
  }
  CHECK(all.stages.back().name == "words");
  CHECK(all.stages.back().packets == 1280);  // begin() and data()
}
