// Gnutella, FastTrack and OpenNap.
#include "gateway/test/parser_checks.h"

namespace p2pxbone::gateway::script {
namespace {

std::string le(uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string gnutellaMessage(uint8_t type, const std::string& payload) {
  return std::string(16, 'G') + static_cast<char>(type) + "\x05" + std::string(1, '\0') + le(payload.size(), 4) + payload;
}

std::string nap(uint16_t type, std::string_view text) { return le(text.size(), 2) + le(type, 2) + std::string{text}; }

const std::string kConnect = "GNUTELLA CONNECT/0.6\r\nUser-Agent: Old/1\r\nX-My-Address: 10.0.0.1:6346\r\n\r\n";
const std::string kAccepts = "GNUTELLA/0.6 200 OK\r\nX-Try-Ultrapeers: 10.0.0.2:6347,10.0.0.3:6348\r\n\r\n";

}  // namespace

TEST_CASE("gnutella: handshake, then searches, hits and pushes") {
  std::string payload = "\x02" + le(6346, 2) + std::string{"\x0a\0\0\x07", 4} + le(1, 4);
  payload += le(1, 4) + le(1000, 4) + std::string{"dir/a song.mp3\0urn:sha1:ABC\x1cXX\0", 31};
  payload += le(2, 4) + le(2000, 4) + std::string{"b\xff.exe\0\0", 8} + std::string(16, 'S');
  const std::string push = std::string(16, 'S') + le(1, 4) + std::string{"\x0a\0\0\x09", 4} + le(7000, 2);
  CHECK(told(Application::gnutella,
             {initiator(kConnect), responder(kAccepts), initiator("GNUTELLA/0.6 200 OK\r\n\r\n"),
              initiator(gnutellaMessage(0x80, le(0, 2) + std::string{"song\0urn:sha1:XYZ\0", 18})),
              responder(gnutellaMessage(0x00, "")), responder(gnutellaMessage(0x30, std::string(5000, 'r'))),
              responder(gnutellaMessage(0x81, payload)), initiator(gnutellaMessage(0x40, push))}) ==
        "gnutella.version: 0.6\n"
        "gnutella.user_agent: Old/1\n"
        "peer 10.0.0.1:6346 gnutella\n"
        "gnutella.status: 200\n"
        "peer 10.0.0.2:6347 gnutella\n"
        "peer 10.0.0.3:6348 gnutella\n"
        "gnutella.status: 200\n"
        "gnutella.search: song\n"
        "request initiator hash=urn:sha1:XYZ\n"
        "peer 10.0.0.7:6346 gnutella\n"
        "listed responder name=a song.mp3 path=dir/a song.mp3 size=1000 hash=urn:sha1:ABC\n"
        "listed responder name=b\xef\xbf\xbd.exe size=2000\n"
        "peer 10.0.0.9:7000 gnutella\n");
}

TEST_CASE("gnutella: transfers by index and by hash") {
  CHECK(told(Application::gnutella,
             {initiator("GET /get/12/what? a song.mp3/ HTTP/1.0\r\nUser-Agent: x\r\nRange: bytes=5-\r\n\r\n"),
              responder("HTTP 206 OK\r\nContent-range: bytes=5-7/8\r\nContent-length: 3\r\n\r\nabc"),
              initiator("GET /uri-res/N2R?urn:sha1:ABC HTTP/1.1\r\n\r\n"),
              responder("HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=b.exe\r\nX-Gnutella-Content-URN: "
                        "urn:sha1:ABC\r\nContent-Length: 2\r\n\r\nMZ")},
             "gnutella.") ==
        "request initiator name=what? a song.mp3 path=/get/12/what? a song.mp3/\n"
        "begin responder name=what? a song.mp3 size=3 offset=5 of=8\n"
        "end responder bytes=3 data=abc\n"
        "request initiator path=/uri-res/N2R?urn:sha1:ABC hash=urn:sha1:ABC\n"
        "begin responder name=b.exe size=2 hash=urn:sha1:ABC\n"
        "end responder bytes=2 data=MZ\n");
}

TEST_CASE("gnutella: a pushed file goes from the side that connected") {
  CHECK(told(Application::gnutella,
             {initiator("GIV 5:0123456789abcdef0123456789abcdef/a song.mp3\n\n"),
              responder("GET /get/5/a song.mp3 HTTP/1.1\r\n\r\n"),
              initiator("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")},
             "gnutella.") ==
        "offer initiator name=a song.mp3\n"
        "request responder name=a song.mp3 path=/get/5/a song.mp3\n"
        "begin initiator name=a song.mp3 size=3\n"
        "end initiator bytes=3 data=abc\n");
}

TEST_CASE("gnutella: deflated links and hostile messages") {
  CHECK(told(Application::gnutella, {initiator(kConnect), responder(kAccepts),
                                     initiator("GNUTELLA/0.6 200 OK\r\nContent-Encoding: deflate\r\n\r\n\x78\x9cxxxx")})
            .find("gnutella.encoding: deflate\n") != std::string::npos);
  const Script open{initiator("GNUTELLA CONNECT/0.4\n\n"), responder("GNUTELLA OK\n\n")};
  const auto after = [&](std::string_view bytes) {
    Script script = open;
    script.push_back(responder(bytes));
    return told(Application::gnutella, script, "gnutella.");
  };
  CHECK(after(std::string(16, 'G') + "\x81\x01\x01\xff\xff\xff\xff") == "parser: gave up\n");
  CHECK(after(gnutellaMessage(0x81, "\xff")) == "");
  CHECK(after(gnutellaMessage(0x81, "\xff" + std::string(30, 'x'))) ==
        "peer 120.120.120.120:30840 gnutella\nlisted responder name=xxxxxxxxxxxx size=2021161080\n");
  CHECK(told(Application::gnutella, {initiator("GNUTELLA CONNECT/0.6\r\n"), initiator("A: " + std::string(5000, 'x'))},
             "gnutella.") == "parser: gave up\n");
}

TEST_CASE("fasttrack: a transfer is known by its hash, and named by its tags") {
  CHECK(told(Application::fasttrack,
             {initiator("GET /.hash=00FFab HTTP/1.1\r\nX-Kazaa-Username: joe\r\nX-Kazaa-IP: 10.0.0.5:1214\r\n\r\n"),
              responder("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-KazaaTag: 4=A Title\r\nX-KazaaTag: "
                        "2=a.exe\r\n\r\nMZ")}) ==
        "fasttrack.user: joe\n"
        "peer 10.0.0.5:1214 fasttrack\n"
        "fasttrack.method: GET\n"
        "fasttrack.url: /.hash=00FFab\n"
        "request initiator hash=fasttrack:00ffab\n"
        "fasttrack.title: A Title\n"
        "fasttrack.status: 200\n"
        "begin responder name=a.exe size=2 hash=fasttrack:00ffab\n"
        "end responder bytes=2 data=MZ\n");
  CHECK(told(Application::fasttrack,
             {initiator("GIVE 12345\r\n\r\n"), responder("GET /99/a.mp3 HTTP/1.0\r\n\r\n"),
              initiator("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx")},
             "fasttrack.") ==
        "request responder name=a.mp3 path=/99/a.mp3\n"
        "begin initiator name=a.mp3 size=1\n"
        "end initiator bytes=1 data=x\n");
  CHECK(told(Application::fasttrack, {initiator("\x27\x01\x02\x03\xa9\x80KaZaA")}) == "fasttrack.link: encrypted\n");
}

TEST_CASE("opennap: a client and its server") {
  CHECK(told(Application::opennap,
             {initiator(nap(2, "bob secret 6700 \"nap v0.8\" 3")), responder(nap(3, "anon@vm")),
              initiator(nap(100, "\"C:\\mp3\\mine.mp3\" 2b30-300000 300000 128 44100 60")),
              initiator(nap(200, "FILENAME CONTAINS \"song\" MAX_RESULTS 10")),
              responder(nap(201, "\"C:\\mp3\\a song.mp3\" 0000 300000 128 44100 60 alice 16777343 7")),
              initiator(nap(203, "alice \"C:\\mp3\\a song.mp3\"")),
              responder(nap(204, "alice 16777343 6699 \"C:\\mp3\\a song.mp3\" 0000 7")),
              responder(nap(607, "eve \"C:\\mp3\\mine.mp3\" 3")), initiator(nap(608, "eve \"C:\\mp3\\mine.mp3\"")),
              initiator(nap(205, "alice hello there")), responder(nap(205, "alice hi \xff")),
              initiator(nap(402, "#rock all of you")), responder(nap(403, "#rock eve all right")),
              initiator(nap(824, "#rock \"waves\"")), initiator(nap(400, "#rock"))}) ==
        "opennap.nick: bob\n"
        "opennap.client: nap v0.8\n"
        "offer initiator name=mine.mp3 path=C:\\mp3\\mine.mp3 size=300000 hash=md5:2b30\n"
        "opennap.search: FILENAME CONTAINS \"song\" MAX_RESULTS 10\n"
        "listed responder name=a song.mp3 path=C:\\mp3\\a song.mp3 size=300000\n"
        "request initiator name=a song.mp3 path=C:\\mp3\\a song.mp3 size=300000\n"
        "peer 127.0.0.1:6699 opennap kind=file name=a song.mp3 size=300000\n"
        "request responder name=mine.mp3 path=C:\\mp3\\mine.mp3\n"
        "offer initiator name=mine.mp3 path=C:\\mp3\\mine.mp3\n"
        "chat initiator from=bob to=alice text=hello there\n"
        "chat responder from=alice to=bob text=hi \xef\xbf\xbd\n"
        "chat initiator from=bob to=#rock text=all of you\n"
        "chat responder from=eve to=#rock text=all right\n"
        "action initiator from=bob to=#rock text=waves\n"
        "opennap.channel: #rock\n");
}

TEST_CASE("opennap: a download, whose size stands in front of the data") {
  const Script script{responder("1"), initiator("GETbob \"C:\\m\\a \"b\" song.mp3\" 2"), responder("7"), responder("ID3xy")};
  CHECK(told(Application::opennap, script) ==
        "opennap.nick: bob\n"
        "request initiator name=a \"b\" song.mp3 path=C:\\m\\a \"b\" song.mp3\n"
        "begin responder name=a \"b\" song.mp3 size=5 offset=2 of=7\n"
        "end responder bytes=5 data=ID3xy\n");
}

TEST_CASE("opennap: data that begins with a digit") {
  const Script script{responder("1"), initiator("GETbob \"a.txt\" 0"), responder("6"), responder("2024ab"),
                      end(Side::responder)};
  ParserContext context;
  context.hint = {FlowHint::Kind::file, "a.txt", 6, 0, std::nullopt};
  CHECK(told(Application::opennap, script, "opennap.", context) ==
        "request initiator name=a.txt size=6\nbegin responder name=a.txt size=6\nend responder bytes=6 data=2024ab\n");
  // Without the size from a server the digits cannot be told apart; that the file is whole is seen at its end.
  CHECK(told(Application::opennap, script, "opennap.") ==
        "request initiator name=a.txt\nbegin responder name=a.txt size=62024\nend responder bytes=2 data=ab\n");
}

TEST_CASE("opennap: an upload through a firewall, a refusal, a list") {
  CHECK(told(Application::opennap,
             {responder("1"), initiator("SENDeve \"a.mp3\" 10"), responder("4"), initiator("abcdef")}, "opennap.") ==
        "offer initiator name=a.mp3\nbegin initiator name=a.mp3 size=6 offset=4 of=10\nend initiator bytes=6 data=abcdef\n");
  CHECK(told(Application::opennap,
             {responder("1"), initiator("SENDeve \"a.mp3\" 10"), responder("4 99"), initiator("abcdef")}, "opennap.") ==
        "offer initiator name=a.mp3\nbegin initiator name=a.mp3 size=6 offset=4 of=10\nend initiator bytes=6 data=abcdef\n");
  CHECK(told(Application::opennap, {responder("1"), initiator("GETbob \"a\" 0"), responder("FILE NOT SHARED")}) ==
        "opennap.nick: bob\nrequest initiator name=a\nopennap.refused: a\n");
  CHECK(told(Application::opennap, {responder("1"), initiator("GETLIST"),
                                    responder("eve\n\"C:\\x\\a.mp3\" aa-1 5 128 44100 60\n\n")}) ==
        "listed responder name=a.mp3 path=C:\\x\\a.mp3 size=5 hash=md5:aa\n");
  CHECK(told(Application::opennap, {responder("1"), initiator("GET" + std::string(5000, 'x'))}) == "parser: gave up\n");
}

}  // namespace p2pxbone::gateway::script
