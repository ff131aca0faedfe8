// Protocols of which attributes, names or peers are told, but no content: BitTorrent, eDonkey, SIP, DNS, SSH; and the table of
// what is feasible for each.
#include <algorithm>

#include "gateway/parsers/functions.h"
#include "gateway/parsers/text.h"
#include "gateway/test/parser_checks.h"

namespace p2pxbone::gateway::script {
namespace {

std::string le(uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i, value >>= 8) text += static_cast<char>(value);
  return text;
}
std::string be(uint64_t value, size_t bytes) {
  std::string text = le(value, bytes);
  std::reverse(text.begin(), text.end());
  return text;
}

const std::string kHash(20, 'h');
const std::string kHashText = "btih:" + std::string{"6868686868686868686868686868686868686868"};

std::string handshake(std::string_view peer) {
  return std::string{"\x13"} + "BitTorrent protocol" + std::string(8, '\0') + kHash + std::string{peer} +
         std::string(20 - peer.size(), 'r');
}
std::string bt(uint8_t type, const std::string& payload) {
  return be(payload.size() + 1, 4) + static_cast<char>(type) + payload;
}
std::string text(std::string_view value) { return std::to_string(value.size()) + ":" + std::string{value}; }

std::string ed(uint8_t protocol, const std::string& body) {
  return static_cast<char>(protocol) + le(body.size(), 4) + body;
}
std::string edFile(std::string_view name, uint32_t size) {
  return std::string(16, 'H') + le(0, 6) + le(3, 4) + "\x02" + le(1, 2) + "\x01" + le(name.size(), 2) + std::string{name} +
         std::string{"\x83\x02"} + le(size, 4) + "\x92\x03" + "ab";
}

}  // namespace

TEST_CASE("bittorrent: handshake, name of the torrent, peers of peers") {
  const std::string info = "d5:filesld6:lengthi7e4:pathl3:sub5:a.exeeee4:name6:my dir12:piece lengthi16384e6:pieces20:" + kHash + "e";
  ParserContext context;
  context.ends.initiator = *addressOf("10.0.0.1");
  context.ends.responder = *addressOf("10.0.0.2");
  CHECK(told(Application::bittorrent,
             {initiator(handshake("-LT1220-")), responder(handshake("-TR2940-")),
              initiator(bt(20, std::string(1, '\0') + "d1:md11:ut_metadatai3e6:ut_pexi1ee1:pi6881e1:v8:client 1e")),
              responder(bt(5, std::string(1000, '\xff')) + bt(20, std::string(1, '\0') + "d1:md11:ut_metadatai2ee1:v1:xe")),
              responder(bt(20, "\x03" "d8:msg_typei1e5:piecei0e10:total_sizei99ee" + info)),
              responder(bt(20, "\x01" "d5:added" + text(std::string{"\x0a\0\0\x09\x1a\xe1", 6}) + "e")),
              responder(bt(7, std::string(16'393, 'p'))), responder(be(0, 4) + bt(9, be(6882, 2)))},
             {}, context) ==
        "request initiator hash=" + kHashText +
            "\nbittorrent.peer: -LT1220-\nbittorrent.peer: -TR2940-\nbittorrent.client: client 1\n"
            "peer 10.0.0.1:6881 bittorrent\nbittorrent.client: x\n"
            "offer responder name=my dir hash=" + kHashText + "\nlisted responder name=a.exe path=my dir/sub/a.exe size=7 hash=" +
            kHashText + "\npeer 10.0.0.9:6881 bittorrent\npeer 10.0.0.2:6882 bittorrent\n");
  CHECK(told(Application::bittorrent, {initiator("random bytes of an encrypted handshake")}) ==
        "bittorrent.link: encrypted\n");
  CHECK(told(Application::bittorrent, {initiator(handshake("x") + "\xff\xff\xff\xff")}).find("gave up") != std::string::npos);
}

TEST_CASE("bittorrent: trackers over HTTP and UDP, and the DHT, tell where peers are") {
  std::string escaped;
  for (int i = 0; i < 20; ++i) escaped += "%68";
  const std::string rows{"\x0a\0\0\x01\x1a\xe1\x0a\0\0\x02\x1a\xe2", 12};
  const std::string answer = "d8:intervali1e5:peers" + text(rows) + "e";
  CHECK(told(Application::bittorrent,
             {initiator("GET /announce?port=1&info_hash=" + escaped + "&left=0 HTTP/1.1\r\nHost: t\r\n\r\n"),
              responder("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(answer.size()) + "\r\n\r\n" + answer)})
            .find("peer 10.0.0.1:6881 bittorrent\npeer 10.0.0.2:6882 bittorrent\n") != std::string::npos);
  CHECK(told(Application::bittorrent,
             {datagram(Side::initiator, be(0x41727101980, 8) + be(0, 4) + be(7, 4)),
              datagram(Side::responder, be(0, 4) + be(7, 4) + be(9, 8)),
              datagram(Side::initiator, be(9, 8) + be(1, 4) + be(8, 4) + kHash + std::string(60, 'x') + be(6881, 2)),
              datagram(Side::responder, be(1, 4) + be(8, 4) + be(0, 12) + rows)}) ==
        "bittorrent.tracker: connect\nrequest initiator hash=" + kHashText +
            "\npeer 10.0.0.1:6881 bittorrent\npeer 10.0.0.2:6882 bittorrent\n");
  CHECK(told(Application::bittorrent,
             {datagram(Side::initiator, "d1:ad2:id20:" + kHash + "9:info_hash20:" + kHash + "e1:q9:get_peers1:t2:aa1:y1:qe"),
              datagram(Side::responder, "d1:rd2:id20:" + kHash + "5:nodes26:" + std::string(20, 'n') + rows.substr(0, 6) +
                                            "6:valuesl6:" + rows.substr(6) + "ee1:t2:aa1:y1:re")}) ==
        "bittorrent.dht: get_peers\nrequest initiator hash=" + kHashText +
            "\npeer 10.0.0.2:6882 bittorrent\npeer 10.0.0.1:6881 bittorrent\n");
}

TEST_CASE("parsers know whether they may still tell of other flows") {
  const auto announces = [](Application application, const Script& script) {
    const auto parser = makeParser(application);
    EventLog log;
    play(*parser, script, log);
    return parser->announces();
  };
  // A torrent in the query of anything else makes no announcement of it.
  CHECK(told(Application::bittorrent,
             {initiator("GET /song.mp3?info_hash=hhhhhhhhhhhhhhhhhhhh HTTP/1.1\r\n\r\n"),
              responder("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nID")},
             "bittorrent.")
            .find("name=song.mp3") != std::string::npos);
  const Step asks = initiator("GET /announce?port=1&info_hash=hhhhhhhhhhhhhhhhhhhh HTTP/1.1\r\n\r\n");
  CHECK(announces(Application::bittorrent, {asks}));
  CHECK(announces(Application::bittorrent, {datagram(Side::initiator, be(0x41727101980, 8) + be(0, 4) + be(7, 4)),
                                            datagram(Side::responder, be(0, 4) + be(7, 4) + be(9, 8))}));
  CHECK(announces(Application::bittorrent, {datagram(Side::initiator, "d1:ad2:id20:" + kHash + "e1:q4:ping1:t2:aa1:y1:qe")}));
  // Connections of peers carry files.
  CHECK_FALSE(announces(Application::bittorrent, {initiator(handshake("-LT1220-"))}));
  CHECK_FALSE(announces(Application::bittorrent, {initiator("random bytes of an encrypted handshake")}));
  CHECK_FALSE(announces(Application::bittorrent, {datagram(Side::initiator, "\x41" + std::string(30, '\0'))}));
  CHECK(announces(Application::ftp, {responder("220 hello\r\n"), initiator("USER a\r\n")}));
  CHECK(announces(Application::opennap, {}));
  CHECK_FALSE(announces(Application::opennap, {responder("1"), initiator("GETbob \"a\" 0")}));
  CHECK_FALSE(announces(Application::gnutella, {initiator("GET /get/1/a HTTP/1.0\r\n\r\n")}));
  CHECK_FALSE(announces(Application::http, {initiator("GET / HTTP/1.0\r\n\r\n")}));
}

TEST_CASE("edonkey: names in offers, results and requests, and sources") {
  const std::string hash(16, 'H');
  const std::string hashText = "ed2k:48484848484848484848484848484848";
  CHECK(told(Application::edonkey,
             {initiator(ed(0xe3, "\x15" + le(2, 4) + edFile("a song.mp3", 5) + edFile("b.exe", 6))),
              initiator(ed(0xe3, "\x58" + hash)), initiator(ed(0xd4, "\x15packed")),
              responder(ed(0xe3, "\x33" + le(1, 4) + edFile("c.zip", 7))),
              responder(ed(0xe3, "\x59" + hash + le(5, 2) + "d.exe")), responder(ed(0xe3, "\x46" + std::string(10'000, 'p'))),
              responder(ed(0xe3, "\x46" + std::string(100'000, 'p'))),
              responder(ed(0xe3, "\x42" + hash + "\x02" + std::string{"\x0a\0\0\x07\x36\x12\x05\0\0\0\x36\x12", 12})),
              responder(ed(0xc5, "\x93" + hash + "\x59" + le(5, 2) + "e.exe")),
              initiator(ed(0xe3, "\x4e" + le(5, 2) + "hello"))}) ==
        "offer initiator name=a song.mp3 size=5 hash=" + hashText + "\noffer initiator name=b.exe size=6 hash=" + hashText +
            "\nrequest initiator hash=" + hashText + "\nlisted responder name=c.zip size=7 hash=" + hashText +
            "\noffer responder name=d.exe hash=" + hashText + "\npeer 10.0.0.7:4662 edonkey\noffer responder name=e.exe hash=" +
            hashText + "\nchat initiator text=hello\n");
  CHECK(told(Application::edonkey, {datagram(Side::responder, "\xe3\x99" + edFile("u.mp3", 9))}) ==
        "listed responder name=u.mp3 size=9 hash=" + hashText + "\n");
  CHECK(told(Application::edonkey, {initiator(ed(0xe3, "\x15" + le(0xffffffff, 4) + edFile("a", 1)) + "\xe3\xff\xff\xff\xff")}) ==
        "offer initiator name=a size=1 hash=" + hashText + "\nparser: gave up\n");
  CHECK(told(Application::edonkey, {initiator(ed(0xe3, "\x46" + std::string(90, 'p')).substr(0, 50)),
                                    gap(Side::initiator, 40), initiator("012345" + ed(0xe3, "\x58" + hash))}) ==
        "request initiator hash=" + hashText + "\n");
}

TEST_CASE("sip: calls, media and messages, in datagrams and in streams") {
  const std::string sdp = "v=0\r\nc=IN IP4 10.0.0.5\r\nm=audio 4000 RTP/AVP 0\r\nm=video 0 RTP/AVP 1\r\nm=image 4002/2 "
                          "x\r\nc=IN IP4 10.0.0.6/127\r\n";
  const std::string invite = "INVITE sip:b@e.org SIP/2.0\r\nf: \"A\" <sip:a@e.org>;tag=1\r\nTo: sip:b@e.org;x=y\r\n"
                             "Call-ID: 7\r\nUser-Agent: p/1\r\nc: application/sdp\r\nl: " +
                             std::to_string(sdp.size()) + "\r\n\r\n" + sdp;
  const std::string expected =
      "sip.method: INVITE\nsip.target: sip:b@e.org\nsip.from: sip:a@e.org\nsip.to: sip:b@e.org\nsip.call_id: 7\n"
      "sip.user_agent: p/1\npeer 10.0.0.5:4000 rtp\npeer 10.0.0.6:4002 rtp\n";
  CHECK(told(Application::sip, {datagram(Side::initiator, "hello"), datagram(Side::initiator, invite)}) == expected);
  const std::string message = "MESSAGE sip:b@e.org SIP/2.0\r\nFrom: sip:a@e.org\r\nTo: sip:b@e.org\r\nContent-Type: "
                              "text/plain\r\nContent-Length: 4\r\n\r\nword";
  CHECK(told(Application::sip, {initiator("\r\n\r\n" + invite + message), responder("SIP/2.0 200 OK\r\n\r\n")}) ==
        expected + "sip.method: MESSAGE\nsip.target: sip:b@e.org\nsip.from: sip:a@e.org\nsip.to: sip:b@e.org\n"
                   "chat initiator from=sip:a@e.org to=sip:b@e.org text=word\nsip.status: 200\n");
  CHECK(told(Application::sip, {initiator("hello\r\n")}) == "parser: gave up\n");
}

TEST_CASE("dns: names asked for and answers, with compression that cannot loop") {
  const std::string name = std::string{"\x03www\x07"} + "example\x03org" + std::string(1, '\0');
  const std::string query = be(7, 2) + be(0x0100, 2) + be(1, 2) + be(0, 6) + name + be(28, 2) + be(1, 2);
  const std::string answer = be(7, 2) + be(0x8180, 2) + be(1, 2) + be(2, 2) + be(0, 4) + name + be(1, 2) + be(1, 2) +
                             be(0xc00c, 2) + be(5, 2) + be(1, 2) + be(60, 4) + be(4, 2) + "\x01x" + be(0xc010, 2) +
                             be(0xc00c, 2) + be(1, 2) + be(1, 2) + be(60, 4) + be(4, 2) + std::string{"\x0a\0\0\x01", 4};
  const std::string expected = "dns.query: www.example.org AAAA\ndns.status: 0\n"
                               "dns.answer: www.example.org CNAME x.example.org\ndns.answer: www.example.org A 10.0.0.1\n";
  CHECK(told(Application::dns, {datagram(Side::initiator, query), datagram(Side::responder, answer)}) == expected);
  CHECK(told(Application::dns, {initiator(be(query.size(), 2) + query), responder(be(answer.size(), 2) + answer)}) == expected);
  const std::string loop = be(7, 2) + be(0, 2) + be(1, 2) + be(0, 6) + be(0xc00c, 2) + be(1, 4);
  CHECK(told(Application::dns, {datagram(Side::initiator, loop), datagram(Side::initiator, "short")}) == "");
}

TEST_CASE("ssh: versions, and then nothing") {
  CHECK(told(Application::ssh, {responder("hello\r\nSSH-2.0-Server_1 x\r\n"), initiator("SSH-2.0-Client_2\n"),
                                initiator(std::string(3000, '\x01'))}) ==
        "ssh.server: 2.0-Server_1 x\nssh.client: 2.0-Client_2\n");
  CHECK(told(Application::ssh, {responder(std::string(2000, 'x'))}) == "parser: gave up\n");
}

TEST_CASE("functions: table 2 of the paper") {
  const auto row = [](Application application) {
    const Functions f = functionsOf(application);
    std::string all;
    for (const bool function : {f.classify, f.filter, f.scan, f.audit, f.limit}) all += function ? 'Y' : 'n';
    return all;
  };
  CHECK(row(Application::fasttrack) == "YYYYY");
  CHECK(row(Application::edonkey) == "YYnnY");
  CHECK(row(Application::bittorrent) == "YYnnY");
  CHECK(row(Application::gnutella) == "YYYYY");
  CHECK(row(Application::msn) == "YYYYY");
  CHECK(row(Application::skype) == "YnnnY");
}

TEST_CASE("functions: what can be filtered has a parser") {
  for (const Functions& functions : allFunctions()) {
    CAPTURE(applicationName(functions.application));
    if (functions.filter) CHECK(makeParser(functions.application) != nullptr);
    if (functions.scan) CHECK(functions.filter);
  }
  CHECK(makeParser(Application::skype) == nullptr);
  CHECK(makeParser(Application::unknown) == nullptr);
}

}  // namespace p2pxbone::gateway::script
