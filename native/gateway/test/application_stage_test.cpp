// The application stage: what flows carry is found out, the policy is asked in its order, and what it says is done.
#include "gateway/test/application_world.h"

namespace p2pxbone::gateway::testing {
namespace {

using Texts = std::vector<std::string>;

TEST_CASE("a flow is classified, and the first rule that matches decides") {
  ApplicationWorld on{"rules"};
  // The rule that accepts stands before the one that rejects; it asks for the host.
  Connection friendly{on};
  CHECK(friendly.client(get("/a/live.mp3", "friend.example")).goesOn());
  CHECK(on.flow().application == Application::http);
  Connection other{on, {kClient.address, 40001}};
  const Verdict refused = other.client(get("/a/live.mp3"));
  CHECK(refused.action == Verdict::Action::reject);
  CHECK(on.stage.rules().nameOf(refused.rule) == "no songs");
  // Both ends get an RST, and what follows is dropped.
  CHECK(on.world.made.size() == 2);
  CHECK(other.server("HTTP/1.1 200 OK\r\n\r\n").action == Verdict::Action::drop);
  CHECK(on.audit.all("alert", "rule") == Texts{"no songs"});
  CHECK(on.audit.all("alert", "cause") == Texts{"file"});
  CHECK(on.audit.all("fileinfo", "state") == Texts{"requested", "blocked"});
  on.endFlows();
  CHECK(on.audit.all("drop", "rule") == Texts{"no songs"});
  CHECK(on.audit.all("flow", "verdict.rule").size() == 2);
  CHECK(on.stage.counters().denied.get() == 1);
  CHECK(on.stage.counters().classified.get() == 2);
}

TEST_CASE("another file of the same connection is allowed: the name decides, not the connection") {
  ApplicationWorld on{"rules"};
  Connection web{on};
  CHECK(web.client(get("/notes.txt")).goesOn());
  CHECK(web.server(response(5, "hello")).goesOn());
  CHECK(web.client(get("/SONG.MP3")).action == Verdict::Action::reject);
}

TEST_CASE("each request of a connection is asked about with its own host, also where the policy has nothing else to look for") {
  const std::string ok = "HTTP/1.1 204 No Content\r\n\r\n";
  for (const std::string& second : {get("/", "www.evil.example"), get("/", "WWW.EVIL.example.:80"),
                                    get("http://u@www.evil.example:80/x", "good.example"),
                                    get("http://good.example/", "www.evil.example")}) {
    ApplicationWorld on{"hosts"};
    Connection web{on};
    CHECK(web.client(get("/", "good.example")).goesOn());
    CHECK(on.flow().mark == 7);
    CHECK(web.server(ok).goesOn());
    CHECK(web.client(get("/", "other.example")).goesOn());
    CHECK(on.flow().mark == 0);
    CHECK(web.server(ok).goesOn());
    CHECK(web.client(second).action == Verdict::Action::reject);
  }
  // Of two in one segment, too.
  ApplicationWorld on{"hosts"};
  Connection web{on};
  CHECK(web.client(get("/", "www.evil.example") + get("/", "good.example")).action == Verdict::Action::reject);
  // Others may be had there.
  Connection other{on, {kClient.address, 40'020}, kServer};
  CHECK(other.client(get("/", "good.example") + get("/", "www.evil.example") + get("/", "good.example")).action !=
        Verdict::Action::accept);
}

TEST_CASE("where a rule asks for the host, a connection that hides it does not go on") {
  ApplicationWorld on{"hosts"};
  Connection twice{on};
  CHECK_FALSE(twice.client("GET / HTTP/1.1\r\nHost: www.evil.example\r\nHost: good.example\r\n\r\n").goesOn());
  // A client's hello of 16 KB, of which more than is kept is padding.
  Connection padded{on, {kClient.address, 40'030}, {kServer.address, 443}};
  const std::string head{"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03", 11};
  const std::string lists{"\x00\x00\x02\x13\x01\x01\x00\x3f\x00\x00\x15\x3e\x00", 13};
  CHECK(padded.client(head + std::string(32, 'r') + lists + std::string(1000, '\0')).goesOn());
  Verdict verdict = Verdict::accept();
  for (int i = 0; i < 12 && verdict.goesOn(); ++i) verdict = padded.client(std::string(1200, '\0'));
  CHECK_FALSE(verdict.goesOn());
  CHECK(on.audit.all("alert", "condition") == Texts{"parserError", "parserError"});
}

TEST_CASE("a denial by application names the rule, and a later connection elsewhere is not its business") {
  ApplicationWorld on{"rules"};
  const std::string hello = "NICK alice\r\nUSER alice 0 * :Alice\r\n";
  Connection chat{on, kClient, {v4(10, 2, 0, 66), 6667}};
  Verdict verdict = chat.client(hello);
  if (verdict.goesOn()) verdict = chat.server(":irc.example 001 alice :Welcome\r\n");
  CHECK(verdict.action == Verdict::Action::reject);
  CHECK(on.stage.rules().nameOf(verdict.rule) == "no chat with them");
  CHECK(on.flow().application == Application::irc);
  // The connection cache remembers it for the ten minutes of the policy, from whatever port.
  CHECK(on.world.client({.from = {kClient.address, 40'009}, .to = {v4(10, 2, 0, 66), 6667}, .flags = kTcpSyn}).action ==
        Verdict::Action::drop);
  Connection elsewhere{on, {kClient.address, 40'010}, {v4(10, 2, 0, 67), 6667}};
  CHECK(elsewhere.client(hello).goesOn());
  CHECK(elsewhere.server(":irc.example 001 alice :Welcome\r\n").goesOn());
  // A rule about a message denies the flow in which it is, and is not remembered.
  CHECK(elsewhere.client("PRIVMSG #room :nothing\r\n").goesOn());
  CHECK(elsewhere.client("PRIVMSG #room :a secret thing\r\n").action == Verdict::Action::drop);
  CHECK(on.audit.all("chat", "text") == Texts{"nothing", "a secret thing"});
  CHECK(on.audit.all("alert", "about").back() == "a secret thing");
  Connection again{on, {kClient.address, 40'011}, {v4(10, 2, 0, 67), 6667}};
  CHECK(again.client(hello).goesOn());
}

TEST_CASE("limit and mark are carried out, log is an alert and nothing else") {
  ApplicationWorld on{"rules"};
  Connection slow{on};
  CHECK(slow.client(get("/", "slow.example")).goesOn());
  CHECK(on.flow().mark == 7);
  CHECK(on.flow().limit == 1);
  CHECK(on.flow().watched);
  Connection shell{on, {kClient.address, 40001}, {kServer.address, 22}};
  CHECK(shell.client("SSH-2.0-OpenSSH_9.2\r\n").goesOn());
  CHECK(shell.server("SSH-2.0-OpenSSH_9.2\r\n").goesOn());
  CHECK(on.audit.all("alert", "rule") == Texts{"noted"});
  CHECK(on.audit.all("alert", "action") == Texts{"accept"});
}

TEST_CASE("what addresses and ports decide is decided at the first packet, without a flow") {
  ApplicationWorld on{"rules"};
  CHECK(on.world.client({.to = {kServer.address, 23}, .flags = kTcpSyn}).action == Verdict::Action::reject);
  CHECK(on.world.made.size() == 1);
  CHECK(on.world.send(udpPacket(kClient, {kServer.address, 9}, bytesOf("x"))).action == Verdict::Action::drop);
  CHECK(on.world.send(udpPacket(kClient, {kServer.address, 10}, bytesOf("x"))).goesOn());
  CHECK(on.audit.all("alert", "rule") == Texts{"closed", "no discarding"});
}

TEST_CASE("in a dry run everything is decided and recorded, and everything goes on") {
  ApplicationWorld on{"rules-dry-run"};
  Connection web{on};
  CHECK(web.client(get("/song.mp3")).goesOn());
  CHECK(web.server(response(5, "hello")).goesOn());
  CHECK(on.world.client({.from = {kClient.address, 40001}, .to = {kServer.address, 23}, .flags = kTcpSyn}).goesOn());
  Connection slow{on, {kClient.address, 40002}};
  CHECK(slow.client(get("/", "slow.example")).goesOn());
  CHECK(on.flow().mark == 0);
  CHECK(on.flow().limit == 0);
  CHECK(on.world.made.empty());
  CHECK(on.stage.counters().denied.get() == 0);
  CHECK(on.stage.counters().wouldDeny.get() >= 2);
  for (const std::string& dryRun : on.audit.all("alert", "dry_run")) CHECK(dryRun == "true");
  CHECK(on.audit.all("alert", "rule").front() == "no songs");
  // Nor do conditions drop anything: a segment far outside of its window, a SYN with data.
  const Host other{kClient.address, 40'003};
  CHECK(on.world.client({.from = other, .sequence = 100, .flags = kTcpSyn, .data = bytesOf("early")}).goesOn());
  CHECK(slow.client("x").goesOn());
  const Segment strange{.from = {kClient.address, 40'002}, .sequence = 1U << 30, .acknowledgement = 501, .data = bytesOf("x")};
  CHECK(on.world.client(strange).goesOn());
  CHECK(on.world.pipeline.statistics().conditions[static_cast<size_t>(Condition::outsideWindow)] == 1);
}

TEST_CASE("a flow that no rule can concern any more is settled at once; without records after its first data") {
  ApplicationWorld on{"nothing"};
  on.audit.on = false;
  Connection web{on};
  CHECK(web.client(get("/song.mp3")).goesOn());
  CHECK(on.flow().phase == FlowPhase::settled);
  // A policy that asks for the application only is done when that is known.
  ApplicationWorld flows{"flows-only"};
  flows.audit.on = false;
  Connection known{flows};
  CHECK(known.client(get("/song.mp3")).goesOn());
  CHECK(flows.flow().phase == FlowPhase::settled);
  Connection unknown{flows, {kClient.address, 40001}, {kServer.address, 5555}};
  Verdict verdict = Verdict::accept();
  for (int i = 0; i < 10 && verdict.goesOn(); ++i) verdict = unknown.client("\x01\x02\x03 what is this \x04 " + std::string(200, '\x05'));
  CHECK(verdict.action == Verdict::Action::drop);
  CHECK(flows.stage.rules().nameOf(verdict.rule) == "default");
}

TEST_CASE("with another policy flows go on as they were decided, and the rest is decided by the new one") {
  ApplicationWorld on{"rules"};
  Connection chat{on, kClient, {kServer.address, 6667}};
  CHECK(chat.client("NICK alice\r\nUSER alice 0 * :Alice\r\n").goesOn());
  CHECK(chat.server(":irc.example 001 alice :Welcome\r\n").goesOn());
  Connection web{on, {kClient.address, 40001}};
  CHECK(web.client(get("/a.txt")).goesOn());
  Connection denied{on, {kClient.address, 40002}};
  CHECK(denied.client(get("/a.mp3")).action == Verdict::Action::reject);
  const uint32_t before = on.flow().verdict.rule;

  on.use("no-irc");
  // Known as IRC, it is asked about again when somebody says something.
  CHECK(chat.client("PRIVMSG #room :a secret thing\r\n").action == Verdict::Action::reject);
  CHECK(web.server(response(2, "ok")).goesOn());
  CHECK(web.client(get("/b.mp3")).goesOn());
  CHECK(web.server(response(2, "ok")).goesOn());
  CHECK(web.client(get("/b.gif")).action == Verdict::Action::drop);
  // What the old policy denied stays so, and its rule's name is known.
  CHECK(denied.client("more").action == Verdict::Action::drop);
  CHECK(on.stage.rules().nameOf(before) == "no songs");
  on.endFlows();
  Texts names = on.audit.all("drop", "rule");
  std::sort(names.begin(), names.end());
  CHECK(names == Texts{"no songs"});
}

TEST_CASE("a flood of connections that a rule refuses is counted, and recorded up to a rate") {
  ApplicationWorld on{"rules"};
  for (uint16_t i = 0; i < 5'000; ++i) {
    CHECK(on.world.client({.from = {kClient.address, static_cast<uint16_t>(1'000 + i)}, .to = {kServer.address, 23}, .flags = kTcpSyn})
              .action == Verdict::Action::reject);
  }
  CHECK(on.audit.records.size() == 100);
  CHECK(on.stage.counters().untold.get() == 4'900);
  CHECK(on.world.drops(DropReason::gatewayRejected) == 5'000);
  on.world.now += 1'000;
  for (uint16_t i = 0; i < 500; ++i) {
    (void)on.world.client({.from = {kClient.address, static_cast<uint16_t>(1'000 + i)}, .to = {kServer.address, 23}, .flags = kTcpSyn});
  }
  CHECK(on.audit.records.size() == 200);
}

TEST_CASE("a sender who makes its protocol hard to follow does not get by rules about files") {
  const std::string head = "GET /notes.txt HTTP/1.1\r\nHost: some.example\r\n";
  // More than a parser keeps of one line, and more than of a whole head.
  const std::string line = "X: " + std::string(40'000, 'y') + "\r\n";
  const std::string many = [] {
    std::string lines;
    for (int i = 0; i < 100; ++i) lines += "X-" + std::to_string(i) + ": " + std::string(1000, 'y') + "\r\n";
    return lines;
  }();
  for (const std::string& padding : {line, many}) {
    const auto speak = [&](Connection& web) {
      const std::string all = head + padding + "\r\n";
      Verdict verdict = Verdict::accept();
      for (size_t at = 0; at < all.size() && verdict.goesOn(); at += 1000) {
        verdict = web.client(all.substr(at, 1000));
        (void)web.server("");
      }
      return verdict;
    };
    ApplicationWorld on{"rules"};
    Connection web{on};
    CHECK(speak(web).action == Verdict::Action::drop);
    CHECK(on.audit.all("alert", "condition") == Texts{"parserError"});
    CHECK(on.audit.all("alert", "action") == Texts{"drop"});
    // The policy may say otherwise, and then it is told all the same.
    ApplicationWorld passing{"rules-follow-or-pass"};
    Connection other{passing};
    CHECK(speak(other).goesOn());
    CHECK(passing.audit.all("alert", "condition") == Texts{"parserError"});
    CHECK(passing.audit.all("alert", "action") == Texts{"accept"});
    // Where no rule is about files or chat, nothing depends on it.
    ApplicationWorld careless{"flows-only"};
    Connection third{careless};
    CHECK(speak(third).goesOn());
    CHECK(careless.audit.all("alert", "condition").empty());
  }
}

TEST_CASE("a protocol that cannot be followed behind a gap is not followed either") {
  ApplicationWorld on{"rules"};
  const std::string begins = "GET /notes.txt HTTP/1.1\r\nHo";
  const auto end = static_cast<uint32_t>(1000 + begins.size());
  // Of a connection that is picked up it is not known what went by another way: what is acknowledged has passed.
  CHECK(on.world.client({.sequence = 1000, .acknowledgement = 500, .data = bytesOf(begins)}).goesOn());
  CHECK(!on.world.server({.sequence = 500, .acknowledgement = end + 20}).goesOn());
  CHECK(!on.world.client({.sequence = end + 20, .acknowledgement = 500, .data = bytesOf("st: a\r\n\r\n")}).goesOn());
  CHECK(on.audit.all("alert", "condition") == Texts{"parserError"});
}

TEST_CASE("a denied flow, the connection cache, checks and bounds refuse any number of packets with one record") {
  Limits limits;
  limits.flows = 1;
  limits.heldPackets = 4;
  ApplicationWorld on{"rules", limits};
  Connection denied{on, kClient, {v4(10, 2, 0, 66), 6667}};
  (void)denied.client("NICK alice\r\nUSER alice 0 * :Alice\r\n");
  (void)denied.server(":irc.example 001 alice :Welcome\r\n");
  REQUIRE(on.flow().phase == FlowPhase::denied);
  const size_t before = on.audit.records.size();
  for (uint16_t i = 0; i < 2'000; ++i) {
    CHECK(denied.client("again").action == Verdict::Action::drop);
    (void)on.world.client({.from = {kClient.address, static_cast<uint16_t>(1'000 + i)}, .to = {v4(10, 2, 0, 66), 6667}, .flags = kTcpSyn});
    Bytes broken = udpPacket(kClient, kServer, bytesOf("x"));
    broken.back() ^= 1;
    CHECK(on.world.send(broken).action == Verdict::Action::drop);
  }
  CHECK(on.audit.records.size() == before);
  CHECK(on.world.drops(DropReason::gatewayDenied) == 2'000);
  on.endFlows();
  REQUIRE(on.audit.all("drop", "packets").size() == 1);
  CHECK(on.audit.all("drop", "packets").front() == "2001");
  CHECK(on.audit.all("flow", "verdict.rule") == Texts{"no chat with them"});
}

}  // namespace
}  // namespace p2pxbone::gateway::testing
