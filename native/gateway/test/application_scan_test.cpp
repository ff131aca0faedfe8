// Files that the policy wants scanned: what waits, what is cut, and what happens when they cannot be scanned.
#include "gateway/test/application_world.h"

namespace p2pxbone::gateway::testing {
namespace {

using Texts = std::vector<std::string>;

// Local file header of a ZIP archive.
const std::string kZip = std::string("PK\x03\x04\x14\x00\x00\x00\x08\x00", 10) + std::string(20, '\x01');

TEST_CASE("the end of a file waits for its scan, the client's direction and other flows do not") {
  ApplicationWorld on{"scan"};
  Connection web{on};
  Connection other{on, {kClient.address, 40001}};
  CHECK(web.client(get("/thing.bin")).goesOn());
  CHECK(web.server(response(30, "0123456789")).goesOn());
  CHECK(web.server("01234567890123456789").action == Verdict::Action::hold);
  CHECK(web.client(get("/next.bin")).goesOn());
  CHECK(other.client(get("/")).goesOn());
  CHECK(other.server(response(2, "")).goesOn());
  const size_t before = on.world.out.size();
  on.poll();
  CHECK(on.world.out.size() == before);
  on.scanAll();
  CHECK(on.world.texts().back() == "01234567890123456789");
  CHECK(on.audit.all("fileinfo", "scan").back() == "clean");
  CHECK(on.audit.all("fileinfo", "state").back() == "complete");
  // The connection goes on as any other.
  CHECK(web.server(response(1)).goesOn());
}

TEST_CASE("a parser waits, receives, and has what it received processed, as in the paper") {
  using State = ApplicationStage::ParserState;
  ApplicationWorld on{"scan"};
  Connection web{on};
  const auto state = [&] { return on.stage.knownOf(on.flow()).parser; };
  CHECK(state() == State::none);
  CHECK(web.client(get("/thing.bin")).goesOn());
  CHECK(state() == State::initial);
  CHECK(web.server(response(20, "0123456789")).goesOn());
  CHECK(state() == State::receiving);
  CHECK(web.server("0123456789").action == Verdict::Action::hold);
  CHECK(state() == State::processing);
  CHECK(on.stage.knownOf(on.flow()).host == "some.example");
  on.scanAll();
  CHECK(state() == State::initial);
}

TEST_CASE("an infected file is cut with RST at both ends, and the same connection refused for as long as the policy says") {
  ApplicationWorld on{"scan"};
  Connection web{on};
  CHECK(web.client(get("/thing.bin")).goesOn());
  CHECK(web.server(response(40, "....")).goesOn());
  // The signature lies across two packets.
  CHECK(web.server(std::string(24, '.') + kVirus.substr(0, 5)).goesOn());
  CHECK(web.server(kVirus.substr(5)).action == Verdict::Action::hold);
  on.scanAll();
  CHECK(on.world.made.size() == 2);
  CHECK(on.world.text().find(kVirus.substr(5)) == std::string::npos);
  CHECK(on.flow().phase == FlowPhase::denied);
  CHECK(on.flow().verdict.reason == DropReason::gatewayInfected);
  CHECK(on.audit.all("alert", "cause") == Texts{"scan"});
  CHECK(on.audit.all("alert", "malware") == Texts{kVirus});
  CHECK(on.audit.all("fileinfo", "scan").back() == "infected");
  const Segment again{.from = {kClient.address, 50'000}, .sequence = 1, .flags = kTcpSyn};
  on.world.now += 299'000;
  CHECK(on.world.client(again).action == Verdict::Action::drop);
  on.world.now += 2'000;
  CHECK(on.world.client(again).goesOn());
  CHECK(on.engine.jobs() == 0);
}

TEST_CASE("a server that tells of fewer bytes than it sends does not have them scanned apart") {
  ApplicationWorld on{"scan"};
  Connection control{on, {kClient.address, 40000}, {kServer.address, 21}};
  CHECK(control.server("220 some FTP server\r\n").goesOn());
  CHECK(control.client("USER joe\r\n").goesOn());
  CHECK(control.server("230 hello\r\n").goesOn());
  CHECK(control.client("EPSV\r\n").goesOn());
  CHECK(control.server("229 there (|||5000|)\r\n").goesOn());
  CHECK(control.client("RETR thing.bin\r\n").goesOn());
  Connection data{on, {kClient.address, 40001}, {kServer.address, 5000}};
  CHECK(control.server("150 here it comes (4 bytes)\r\n").goesOn());
  (void)data.server("....");
  on.scanAll();
  (void)data.server(kVirus.substr(0, 5));
  on.scanAll();
  (void)data.server(kVirus.substr(5));
  on.scanAll();
  (void)data.server("", kTcpFin | kTcpAck);
  on.scanAll();
  CHECK(on.audit.all("fileinfo", "filename").back() == "thing.bin");
  CHECK(on.audit.all("fileinfo", "scan").back() == "infected");
}

TEST_CASE("what was asked for together with a scan is done when the scan is") {
  ApplicationWorld on{"scan-drop"};
  Connection web{on};
  CHECK(web.client(get("/thing.bin")).goesOn());
  CHECK(web.server(response(4, "....")).action == Verdict::Action::hold);
  const size_t before = on.audit.all("alert", "rule").size();
  on.scanAll();
  CHECK(on.audit.all("alert", "rule").size() == before + 1);
  CHECK(on.audit.all("alert", "rule").back() == "scanned");
}

TEST_CASE("without a scanner a file is not passed silently: denied, or recorded and counted") {
  for (const std::string action : {"drop", "pass", "bypass"}) {
    CAPTURE(action);
    ApplicationWorld on{"scan-" + action, {}, false};
    Connection web{on};
    CHECK(web.client(get("/thing.bin")).goesOn());
    const Verdict verdict = web.server(response(4, "...."));
    CHECK(verdict.goesOn() == (action != "drop"));
    std::array<uint64_t, kConditionCount> conditions{};
    on.stage.addConditionsTo(conditions);
    CHECK(conditions[static_cast<size_t>(Condition::scanUnavailable)] == 1);
    const Texts told = on.audit.all("alert", "condition");
    CHECK(std::count(told.begin(), told.end(), "scanUnavailable") == 1);
    CHECK(on.audit.all("fileinfo", "scan").back() == "skipped");
    CHECK(on.audit.all("fileinfo", "unscanned").back() == "there is no scanner");
    CHECK(on.world.made.size() == (action == "drop" ? 2 : 0));
  }
}

TEST_CASE("a scanner that fails: drop denies, pass lets this file go and bypass also all later ones of the flow") {
  for (const std::string action : {"drop", "pass", "bypass"}) {
    CAPTURE(action);
    ApplicationWorld on{"scan-" + action};
    Connection web{on};
    on.engine.breakDown("it has burnt down");
    CHECK(web.client(get("/one.bin")).goesOn());
    CHECK(web.server(response(4, "one!")).action == Verdict::Action::hold);
    on.scanAll();
    CHECK((on.flow().phase == FlowPhase::denied) == (action == "drop"));
    CHECK(on.audit.all("fileinfo", "unscanned").back() == "it has burnt down");
    on.engine.breakDown("");
    if (action == "drop") {
      CHECK(web.client(get("/two.bin")).action == Verdict::Action::drop);
      continue;
    }
    CHECK(on.world.text().ends_with("one!"));
    CHECK(web.client(get("/two.bin")).goesOn());
    const Verdict second = web.server(response(kVirus.size(), kVirus));
    CHECK(second.goesOn() == (action == "bypass"));
    on.scanAll();
    CHECK((on.flow().phase == FlowPhase::denied) == (action == "pass"));
    CHECK(on.audit.all("fileinfo", "scan").back() == (action == "pass" ? "infected" : "skipped"));
    // Another flow is not concerned.
    Connection other{on, {kClient.address, 40001}, {v4(10, 2, 0, 3), 80}};
    CHECK(other.client(get("/three.bin")).goesOn());
    CHECK(other.server(response(4, "....")).action == Verdict::Action::hold);
  }
}

TEST_CASE("an archive that is too big is cut, or passes with an alert and its reason") {
  for (const std::string action : {"drop", "pass"}) {
    CAPTURE(action);
    ApplicationWorld on{"scan-" + action};
    Connection web{on};
    CHECK(web.client(get("/big.zip")).goesOn());
    Verdict verdict = web.server(response(2'000'000, kZip));
    // Its type is known by its first kilobyte.
    for (int i = 0; i < 20 && verdict.goesOn(); ++i) verdict = web.server(std::string(500, '\x01'));
    CHECK(verdict.goesOn() == (action == "pass"));
    const Texts told = on.audit.all("alert", "condition");
    CHECK(std::count(told.begin(), told.end(), "scanTooBig") == 1);
    std::array<uint64_t, kConditionCount> conditions{};
    on.stage.addConditionsTo(conditions);
    CHECK(conditions[static_cast<size_t>(Condition::scanTooBig)] == 1);
    on.endFlows();
    CHECK(on.audit.all("fileinfo", "unscanned").back().find("larger than is scanned whole") != std::string::npos);
    CHECK(on.audit.all("fileinfo", "scan").back() == "failed");
  }
}

TEST_CASE("that there is no scanner does not matter for a file that turns out not to be scanned") {
  ApplicationWorld on{"scan-archives", {}, false};
  Connection web{on};
  CHECK(web.client(get("/notes.txt")).goesOn());
  CHECK(web.server(response(11, "hello hello", "text/plain")).goesOn());
  CHECK(web.client(get("/notes.zip")).goesOn());
  CHECK(web.server(response(kZip.size(), kZip)).action == Verdict::Action::reject);
}

TEST_CASE("a file by its content: the name is allowed until the type is known, then it is cut") {
  ApplicationWorld on{"no-irc"};
  Connection web{on};
  CHECK(web.client(get("/notes.doc")).goesOn());
  CHECK(web.server(response(5'000, std::string(400, 'a'), "text/plain")).goesOn());
  CHECK(web.server(std::string(1'000, 'a')).action == Verdict::Action::drop);
  CHECK(on.audit.all("alert", "rule") == Texts{"no notes"});
}

TEST_CASE("with another policy a scan that is under way counts, and names the rule that wanted it") {
  ApplicationWorld on{"scan"};
  Connection web{on};
  CHECK(web.client(get("/thing.bin")).goesOn());
  CHECK(web.server(response(kVirus.size(), kVirus)).action == Verdict::Action::hold);
  on.use("no-irc");
  on.scanAll();
  CHECK(on.flow().phase == FlowPhase::denied);
  CHECK(on.audit.all("alert", "rule") == Texts{"scanned"});
  CHECK(on.stage.rules().nameOf(on.flow().verdict.rule) == "scanned");
  CHECK(on.audit.all("fileinfo", "verdict.rule").back() == "scanned");
}

TEST_CASE("a flow that ends while its file is being scanned leaves nothing behind") {
  ApplicationWorld on{"scan"};
  Connection web{on};
  CHECK(web.client(get("/thing.bin")).goesOn());
  CHECK(web.server(response(4, "....")).action == Verdict::Action::hold);
  on.endFlows();
  on.scanAll();
  CHECK(on.engine.jobs() == 0);
  CHECK(on.audit.all("fileinfo", "state").back() == "truncated");
  CHECK(on.world.waiting.empty());
}

TEST_CASE("no room for what waits: the packet is dropped and its copy, too, until the scan is done") {
  Limits limits;
  limits.heldPackets = 1;
  ApplicationWorld on{"scan", limits};
  Connection web{on};
  Connection other{on, {kClient.address, 40001}};
  CHECK(web.client(get("/thing.bin")).goesOn());
  CHECK(web.server(response(4, "....")).action == Verdict::Action::hold);
  CHECK(other.client(get("/thing.bin")).goesOn());
  CHECK(other.server(response(4, "....")).action == Verdict::Action::drop);
  CHECK(on.world.drops(DropReason::gatewayHeldFull) == 1);
  on.scanAll();
  CHECK(on.world.text().ends_with("...."));
}

}  // namespace
}  // namespace p2pxbone::gateway::testing
