// Parsers on sessions of real programs.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "gateway/parsers/functions.h"
#include "gateway/test/capture_flows.h"
#include "gateway/test/parser_checks.h"

namespace p2pxbone::gateway::script {
namespace {

const char* capturesFolder() {
  const char* const folder = std::getenv("P2PXBONE_CAPTURES");
  if (folder == nullptr) MESSAGE("skipped: P2PXBONE_CAPTURES names no folder with captures");
  return folder;
}

struct Captured {
  ParserContext context;
  Script script;
};

// Conversations by "initiator port-responder port".
std::map<std::string, Captured> conversations(const std::string& folder, const std::string& file) {
  testing::PcapReader reader(std::filesystem::path(folder) / file);
  testing::CaptureFlows flows;
  std::map<std::string, Captured> all;
  REQUIRE(reader.forEachPacket([&](std::span<const uint8_t> packet) {
    flows.add(packet, [&](const testing::CaptureFlows::Key& key, const testing::CaptureFlow& flow, const Chunk& chunk) {
      Captured& captured = all[std::to_string(std::get<2>(key)) + "-" + std::to_string(std::get<4>(key))];
      captured.context.ends = flow.ends;
      const Step::Kind kind = chunk.datagram ? Step::Kind::datagram : Step::Kind::data;
      captured.script.push_back({kind, chunk.side, std::string{textOf(chunk.bytes)}, 0});
    });
  }));
  return all;
}

std::string toldBy(Application application, const Captured& captured, std::string_view without) {
  return told(application, captured.script, without, captured.context);
}

}  // namespace

TEST_CASE("captures: an MSN session") {
  const char* const folder = capturesFolder();
  if (folder == nullptr) return;
  const auto flows = conversations(folder, "gen_msn_escargot2017_session.pcap");
  CHECK(toldBy(Application::msn, flows.at("39316-1863"), {}) == "msn.version: MSNP7\nmsn.account: ann@example.org\n");
  CHECK(toldBy(Application::msn, flows.at("50594-1864"), {}) ==
        "msn.account: ann@example.org\n"
        "chat initiator from=ann@example.org to=ben@example.org text=hello ben\n"
        "chat initiator from=ann@example.org to=ben@example.org text=this is confidential please\n"
        "chat initiator from=ann@example.org to=ben@example.org text=ok bye\n"
        "offer initiator name=budget-secret.xls size=53248\n"
        "chat responder from=ben@example.org to=ann@example.org text=got it\n");
  CHECK(toldBy(Application::msn, flows.at("50602-1864"), {}) ==
        "msn.account: ben@example.org\n"
        "chat responder from=ann@example.org to=ben@example.org text=hello ben\n"
        "chat responder from=ann@example.org to=ben@example.org text=this is confidential please\n"
        "chat responder from=ann@example.org to=ben@example.org text=ok bye\n"
        "offer responder name=budget-secret.xls size=53248\n"
        "chat initiator from=ben@example.org to=ann@example.org text=got it\n");
}

TEST_CASE("captures: an OpenNap session, with a transfer between its clients") {
  const char* const folder = capturesFolder();
  if (folder == nullptr) return;
  const auto flows = conversations(folder, "gen_opennap-ng050_session.pcap");
  const std::string uploader = toldBy(Application::opennap, flows.at("40144-8888"), {});
  CHECK(uploader ==
        "opennap.nick: alice\n"
        "opennap.client: nap v0.8\n"
        "offer initiator name=generic band - generic song.mp3 path=C:\\mp3\\generic band - generic song.mp3 size=300000 "
        "hash=md5:2b301ff3feb528c4dbc91424947a2e8f\n"
        "offer initiator name=other band - tune 1.mp3 path=C:\\mp3\\other band - tune 1.mp3 size=300000 "
        "hash=md5:2b301ff3feb528c4dbc91424947a2e8f\n"
        "offer initiator name=other band - tune 2.mp3 path=C:\\mp3\\other band - tune 2.mp3 size=300000 "
        "hash=md5:2b301ff3feb528c4dbc91424947a2e8f\n"
        "request responder name=generic band - generic song.mp3 path=C:\\mp3\\generic band - generic song.mp3\n"
        "offer initiator name=generic band - generic song.mp3 path=C:\\mp3\\generic band - generic song.mp3\n"
        "chat responder from=bob to=alice text=hello there\n");
  const std::string downloader = toldBy(Application::opennap, flows.at("40148-8888"), "chat responder");
  CHECK(downloader.find("peer 127.0.0.1:6699 opennap kind=file name=generic band - generic song.mp3 size=300000\n") !=
        std::string::npos);
  CHECK(downloader.find("chat initiator from=bob to=alice text=hello there\n") != std::string::npos);
  const std::string transfer = toldBy(Application::opennap, flows.at("43340-6699"), "end ");
  CHECK(transfer ==
        "opennap.nick: bob\n"
        "request initiator name=generic band - generic song.mp3 path=C:\\mp3\\generic band - generic song.mp3\n"
        "begin responder name=generic band - generic song.mp3 size=300000\n");
  CHECK(toldBy(Application::opennap, flows.at("43340-6699"), {}).find("end responder bytes=300000 ") != std::string::npos);
}

TEST_CASE("captures: HTTP, trackers, IRC, Gnutella, XMPP, SIP, SSH") {
  const char* const folder = capturesFolder();
  if (folder == nullptr) return;
  const auto only = [&](const std::string& file, const std::string& flow, Application application) {
    return toldBy(application, conversations(folder, file).at(flow), {});
  };
  const std::string http = only("exe_download.pcap", "49165-80", Application::http);
  CHECK(http.find("request initiator name=solar.php path=/solar.php\n") != std::string::npos);
  CHECK(http.find("begin responder name=phn34ycjtghm.exe size=679008 type=application/octet-stream\n") != std::string::npos);
  CHECK(only("bt-http.pcapng", "46882-80", Application::bittorrent)
            .find("request initiator hash=btih:aa3769c4530dde06241873dad43ab5ccec2ce622\n") != std::string::npos);
  const std::string irc = only("zeek-irc-basic.pcap", "49170-6667", Application::irc);
  CHECK(irc.find("chat initiator from=brotest to=#brotest text=test\n") != std::string::npos);
  CHECK(irc.find("irc.server: leguin.freenode.net\n") != std::string::npos);
  CHECK(only("zeek-gnutella-max-header.pcapng", "40004-6346", Application::gnutella) == "gnutella.version: 0.6\n");
  const std::string xmpp = only("zeek-tls-xmpp-starttls.pcap", "56048-5222", Application::xmpp);
  CHECK(xmpp == "xmpp.server: jabber.ccc.de\nhand over to tls starttls at 169 525\n");
  const std::string sip = only("sip_hello.pcapng", "5060-5060", Application::sip);
  CHECK(sip.find("sip.user_agent: Huawei SoftX3000 V300R011\n") != std::string::npos);
  CHECK(sip.find("gave up") == std::string::npos);
  CHECK(only("ssh.pcap", "58395-22", Application::ssh) ==
        "ssh.server: 2.0-OpenSSH_5.3\nssh.client: 2.0-OpenSSH_5.6\n");
}

TEST_CASE("captures: BitTorrent between real clients, their trackers and the DHT") {
  const char* const folder = capturesFolder();
  if (folder == nullptr) return;
  const auto plain = conversations(folder, "gen_bt_lt_plain_tcp.pcap");
  const std::string torrent = "request initiator hash=btih:c1d6af5a2aae2c415fe25a946382809f1555b6d0\n";
  CHECK(toldBy(Application::bittorrent, plain.at("44267-51001"), {}) ==
        torrent +
            "bittorrent.peer: -LT2080-\nbittorrent.peer: -LT2080-\nbittorrent.client: libtorrent/2.0.8.0\n"
            "bittorrent.client: libtorrent/2.0.8.0\npeer 11.1.0.2:52001 bittorrent\n");
  CHECK(toldBy(Application::bittorrent, plain.at("44201-6969"), {}).find(torrent) != std::string::npos);
  const auto encrypted = conversations(folder, "gen_bt_lt_mse_tcp.pcap");
  CHECK(toldBy(Application::bittorrent, encrypted.at("46791-51002"), {}) == "bittorrent.link: encrypted\n");
  const auto dht = conversations(folder, "sv-bittorrent-dht.pcap");
  CHECK(toldBy(Application::bittorrent, dht.at("20000-30000"), {}).find("peer 97.120.106.101:11893 bittorrent\n") !=
        std::string::npos);
}

}  // namespace p2pxbone::gateway::script
