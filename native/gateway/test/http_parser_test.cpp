#include "gateway/test/parser_checks.h"

namespace p2pxbone::gateway::script {
namespace {

std::string http(const Script& script) { return told(Application::http, script, "http."); }

}  // namespace

TEST_CASE("http: a download has the name of its URL, decoded") {
  CHECK(told(Application::http,
             {initiator("GET /a/b/my%20song%2emp3?x=1 HTTP/1.1\r\nHost: h.example\r\nUser-Agent: t/1\r\n\r\n"),
              responder("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: audio/mpeg\r\n\r\nhello")}) ==
        "http.user_agent: t/1\n"
        "http.method: GET\n"
        "http.url: /a/b/my%20song%2emp3?x=1\n"
        "http.host: h.example\n"
        "request initiator name=my song.mp3 path=/a/b/my song.mp3\n"
        "http.content_type: audio/mpeg\n"
        "http.status: 200\n"
        "begin responder name=my song.mp3 size=5 type=audio/mpeg\n"
        "end responder bytes=5 data=hello\n");
}

TEST_CASE("http: pipelined requests, each answer with its name and framing") {
  CHECK(http({initiator("GET /1.bin HTTP/1.1\r\n\r\nHEAD /2.bin HTTP/1.1\r\n\r\nGET /3.bin HTTP/1.1\r\n\r\n"),
              responder("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: "
                        "x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 200 OK\r\nContent-Encoding: "
                        "gzip\r\n\r\nuntil the end"),
              end(Side::responder)}) ==
        "request initiator name=1.bin path=/1.bin\n"
        "request initiator name=2.bin path=/2.bin\n"
        "request initiator name=3.bin path=/3.bin\n"
        "begin responder name=1.bin\n"
        "end responder bytes=13 data=abc0123456789\n"
        "begin responder name=3.bin encoding=gzip\n"
        "end responder bytes=13 data=until the end\n");
}

TEST_CASE("http: Content-Disposition gives the name, in every way it is written") {
  const auto named = [](std::string_view disposition) {
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Disposition: " + std::string{disposition} +
                               "\r\nContent-Length: 1\r\n\r\nx";
    const std::string all = http({initiator("GET /d HTTP/1.1\r\n\r\n"), responder(answer)});
    const size_t begin = all.find("begin responder name=") + 21;
    return all.substr(begin, all.find(" size=", begin) - begin);
  };
  CHECK(named("attachment; filename=a.exe") == "a.exe");
  CHECK(named("attachment; filename=\"a \\\"b\\\".exe\"") == "a \"b\".exe");
  CHECK(named("attachment; filename=\"C:\\dir\\a.exe\"") == "a.exe");
  CHECK(named("attachment; filename=\"x.txt\"; filename*=UTF-8''%e2%82%ac%20rates.exe") == "€ rates.exe");
  CHECK(named("attachment; filename*=iso-8859-1'en'%A3.exe") == "£.exe");
  CHECK(named("attachment; filename*0=\"long\"; filename*1=\"er.exe\"") == "longer.exe");
  CHECK(named("attachment; filename*0*=UTF-8''%e2%82%ac; filename*1=.exe") == "€.exe");
  CHECK(named("attachment; filename=\"=?UTF-8?B?4oKsLmV4ZQ==?=\"") == "€.exe");
  CHECK(named("attachment; filename=\"a%2Eexe\"") == "a.exe");
  CHECK(named("attachment; filename=\"\xff.exe\"") == "\xef\xbf\xbd.exe");
  CHECK(named("attachment;\r\n filename=folded.exe") == "folded.exe");
  CHECK(named("inline") == "d");
}

TEST_CASE("http: uploads, plain and as forms") {
  CHECK(http({initiator("PUT /up/plan.doc HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"),
              responder("HTTP/1.1 100 Continue\r\n\r\n"), initiator("abc"),
              responder("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")}) ==
        "offer initiator name=plan.doc path=/up/plan.doc size=3\n"
        "begin initiator name=plan.doc size=3\n"
        "end initiator bytes=3 data=abc\n");
  const std::string body =
      "preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nno file\r\n--XX\r\nContent-Disposition: "
      "form-data; name=\"u\";\r\n filename=\"a\\b.zip\"\r\nContent-Type: application/zip\r\n\r\nPK\r\n--X\r\n\n--Y\r\n--XX"
      "\r\nContent-Disposition: form-data; name=\"e\"; filename=\"\"\r\n\r\n\r\n--XX--\r\nepilogue\r\n--XX\r\n";
  CHECK(http({initiator("POST /form HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=\"XX\"\r\nContent-Length: " +
                        std::to_string(body.size()) + "\r\n\r\n" + body),
              initiator("POST /form HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "
                        "3\r\n\r\na=b")}) ==
        "offer initiator name=b.zip path=a\\b.zip\n"
        "begin initiator name=b.zip type=application/zip\n"
        "end initiator bytes=13 data=PK\r\n--X\r\n\n--Y\n"
        "offer initiator name=form\n"
        "begin initiator name=form\n"
        "end initiator bytes=0 data=\n");
}

TEST_CASE("http: a boundary after a bare line feed is one too") {
  const std::string body = "--Q\nContent-Disposition: form-data; filename=x.exe\n\nM\r\rZ\n--Q--\n";
  CHECK(http({initiator("POST /f HTTP/1.1\nContent-Type: multipart/form-data; boundary=Q\nContent-Length: " +
                        std::to_string(body.size()) + "\n\n" + body)}) ==
        "offer initiator name=x.exe\n"
        "begin initiator name=x.exe\n"
        "end initiator bytes=4 data=M\r\rZ\n");
}

TEST_CASE("http: what nobody has asked for or takes apart hides nothing of a file") {
  const auto whole = [](std::string_view answer) {
    return http({initiator("GET /x.exe HTTP/1.1\r\n\r\n"), responder(std::string{answer} + "\r\nContent-Length: 3\r\n\r\nMZa")});
  };
  const std::string file = "request initiator name=x.exe path=/x.exe\nbegin responder name=x.exe size=3";
  const std::string end = "\nend responder bytes=3 data=MZa\n";
  CHECK(whole("HTTP/1.1 200 OK\r\nContent-Range: bytes 1-3/4") == file + end);
  CHECK(whole("HTTP/1.1 206 Partial\r\nContent-Range: bytes 1-3/4") == file + end);
  CHECK(whole("HTTP/1.1 206 Partial\r\nContent-Type: multipart/byteranges; boundary=R") ==
        file + " type=multipart/byteranges; boundary=R" + end);
  CHECK(whole("HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=R\r\nContent-Encoding: br\r\nContent-Encoding: gzip") ==
        file + " type=multipart/mixed; boundary=R encoding=br, gzip" + end);
  for (const std::string field : {"Content-Range: bytes 1-3/4", "Content-Type: application/x-www-form-urlencoded",
                                  "Content-Type: multipart/mixed; boundary=R"}) {
    const std::string told = http({initiator("PUT /x.exe HTTP/1.1\r\n" + field + "\r\nContent-Length: 3\r\n\r\nMZb")});
    CHECK(told.find("begin initiator name=x.exe size=3") != std::string::npos);
    CHECK(told.find("offset") == std::string::npos);
    CHECK(told.ends_with("end initiator bytes=3 data=MZb\n"));
  }
}

TEST_CASE("http: ranges say where the data belongs") {
  CHECK(http({initiator("GET /f.iso HTTP/1.1\r\nRange: bytes=100-\r\n\r\n"),
              responder("HTTP/1.1 206 Partial\r\nContent-Range: bytes 100-102/5000\r\nContent-Length: 3\r\n\r\nabc"),
              initiator("GET /g HTTP/1.1\r\nRange: bytes=7-8,9-9\r\n\r\n"),
              responder("HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=R\r\nContent-Length: "
                        "54\r\n\r\n--R\r\nContent-Range: bytes 7-8/10\r\n\r\nxy\r\n--R--\r\n00000")}) ==
        "request initiator name=f.iso path=/f.iso\n"
        "begin responder name=f.iso size=3 offset=100 of=5000\n"
        "end responder bytes=3 data=abc\n"
        "request initiator name=g path=/g\n"
        "begin responder name=g offset=7 of=10\n"
        "end responder bytes=2 data=xy\n");
}

TEST_CASE("http: what follows CONNECT or an upgrade is another protocol") {
  CHECK(http({initiator("CONNECT h:443 HTTP/1.1\r\n\r\n"), responder("HTTP/1.1 200 OK\r\n\r\n\x16\x03"),
              initiator("\x16\x03")}) == "hand over to ? connect at 26 19\n");
  CHECK(http({initiator("CONNECT h:443 HTTP/1.1\r\n\r\nearly"), responder("HTTP/1.1 200 OK\r\n\r\n")}) ==
        "hand over to ? connect at 26 19\n");
  CHECK(http({initiator("GET /c HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
              responder("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x00")}) ==
        "request initiator name=c path=/c\nhand over to ? websocket at 39 46\n");
  CHECK(http({initiator("CONNECT h:443 HTTP/1.1\r\n\r\n"), responder("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"),
              initiator("GET /x HTTP/1.1\r\n\r\n")}) == "request initiator name=x path=/x\n");
  // What was sent behind it is told as soon as the tunnel is refused, not when more comes.
  CHECK(http({initiator("CONNECT h:443 HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n"),
              responder("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")}) == "request initiator name=x path=/x\n");
}

TEST_CASE("http: missing bytes cut a transfer, and the next message is found where it can be") {
  CHECK(http({initiator("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"),
              responder("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"), gap(Side::responder, 5),
              responder("hijHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")}) ==
        "request initiator name=a path=/a\n"
        "request initiator name=b path=/b\n"
        "begin responder name=a size=10\n"
        "cut responder bytes=2 data=ab\n"
        "begin responder name=b size=1\n"
        "end responder bytes=1 data=x\n");
  CHECK(http({initiator("GET /a HT"), gap(Side::initiator, 5), initiator("\r\n\r\n")}) == "parser: gave up\n");
  CHECK(http({initiator("GET /a HTTP/1.1\r\n\r\n"), responder("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"),
              end(Side::responder)}) ==
        "request initiator name=a path=/a\nbegin responder name=a size=10\ncut responder bytes=2 data=ab\n");
}

TEST_CASE("http: what two readers could read differently is given up") {
  const auto gaveUp = [](std::string_view request) {
    return http({initiator(request)}).find("parser: gave up") != std::string::npos;
  };
  CHECK(gaveUp("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"));
  CHECK(gaveUp("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"));
  CHECK(gaveUp("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"));
  CHECK(gaveUp("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"));
  CHECK(gaveUp("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"));
  CHECK(gaveUp("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"));
  CHECK(gaveUp("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"));
  CHECK(gaveUp("GET / HTTP/1.1\r\nA: " + std::string(70'000, 'x') + "\r\n\r\n"));
  std::string endless = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 12'000; ++i) endless += "A: x\r\n";
  CHECK_FALSE(gaveUp("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"));
  CHECK(gaveUp(endless));
  CHECK(gaveUp("\x16\x03\x01 no HTTP\r\n"));
}

TEST_CASE("http: requests that are never answered are not collected without end") {
  std::string many;
  for (int i = 0; i < 300; ++i) many += "GET /" + std::string(200, 'n') + " HTTP/1.1\r\n\r\n";
  CHECK(http({initiator(many)}).find("parser: gave up") != std::string::npos);
}

TEST_CASE("http: the oldest form has neither version nor head") {
  CHECK(http({initiator("GET /old.txt\r\n"), responder(""), end(Side::initiator), responder("text"),
              end(Side::responder)}) ==
        "request initiator name=old.txt path=/old.txt\nbegin responder name=old.txt\nend responder bytes=4 data=text\n");
}

TEST_CASE("http: a file passes from the end of its head to its own") {
  const auto parser = makeParser(Application::http);
  EventLog log;
  CHECK_FALSE(parser->transferring());
  play(*parser, {initiator("GET /a HTTP/1.0\r\n\r\n"), responder("HTTP/1.0 200 OK\r\n\r\nabc")}, log);
  CHECK(parser->transferring());
  play(*parser, {end(Side::responder)}, log);
  CHECK_FALSE(parser->transferring());
}

}  // namespace p2pxbone::gateway::script
