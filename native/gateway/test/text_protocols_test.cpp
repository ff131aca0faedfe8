// FTP and IRC, and the flows that they announce.
#include "gateway/parsers/text.h"
#include "gateway/test/parser_checks.h"

namespace p2pxbone::gateway::script {
namespace {

ParserContext ends() {
  ParserContext context;
  context.ends.initiator = *addressOf("10.0.0.1");
  context.ends.responder = *addressOf("10.0.0.2");
  return context;
}

}  // namespace

TEST_CASE("ftp: passive transfers, both ways") {
  CHECK(told(Application::ftp,
             {responder("220-Welcome\r\n220 srv 1\r\n"), initiator("USER joe\r\nPASS secret\r\nPASV\r\n"),
              responder("331 ?\r\n230 ok\r\n227 Entering Passive Mode (10,0,0,2,19,137).\r\n"),
              initiator("REST 100\r\nRETR pub/a song.mp3\r\n"),
              responder("350 ok\r\n150 Opening BINARY mode (4096 bytes).\r\n226 done\r\n"), initiator("EPSV\r\n"),
              responder("229 Extended (|||5002|)\r\n"), initiator("stor up.exe\r\n"), responder("150 go\r\n226 ok\r\n"),
              initiator("EPSV\r\n"), responder("229 Extended (|||5003|)\r\n"), initiator("LIST\r\n")},
             {}, ends()) ==
        "ftp.server: srv 1\n"
        "ftp.user: joe\n"
        "peer 10.0.0.2:5001 ftpData with=10.0.0.1\n"
        "request initiator name=a song.mp3 path=pub/a song.mp3\n"
        "peer 10.0.0.2:5001 ftpData kind=file name=a song.mp3 offset=100 sender=responder with=10.0.0.1\n"
        "peer 10.0.0.2:5001 ftpData kind=file name=a song.mp3 size=4096 offset=100 sender=responder with=10.0.0.1\n"
        "peer 10.0.0.2:5002 ftpData with=10.0.0.1\n"
        "offer initiator name=up.exe\n"
        "peer 10.0.0.2:5002 ftpData kind=file name=up.exe sender=initiator with=10.0.0.1\n"
        "peer 10.0.0.2:5003 ftpData with=10.0.0.1\n"
        "peer 10.0.0.2:5003 ftpData kind=listing sender=responder with=10.0.0.1\n");
}

TEST_CASE("ftp: active transfers, a third party, and IPv6") {
  CHECK(told(Application::ftp,
             {initiator("PORT 10,0,0,1,4,1\r\nRETR a\r\n"), initiator("PORT 10,0,0,99,0,80\r\n"),
              initiator("EPRT |2|2001:db8::1|5282|\r\nSTOR b\r\n"), initiator("PORT 1,2,3\r\nPORT 256,1,1,1,1,1\r\n")},
             "ftp.", ends()) ==
        "peer 10.0.0.1:1025 ftpData with=10.0.0.2\n"
        "request initiator name=a\n"
        "peer 10.0.0.1:1025 ftpData kind=file name=a sender=initiator with=10.0.0.2\n"
        "peer 10.0.0.99:80 ftpData with=10.0.0.2\n"
        "peer 20010db8000000000000000000000001:5282 ftpData with=10.0.0.2\n"
        "offer initiator name=b\n"
        "peer 20010db8000000000000000000000001:5282 ftpData kind=file name=b sender=responder with=10.0.0.2\n");
  CHECK(told(Application::ftp, {initiator("PORT 10,0,0,99,0,80\r\n")}, {}, ends()) ==
        "ftp.foreign_data_address: PORT\npeer 10.0.0.99:80 ftpData with=10.0.0.2\n");
}

TEST_CASE("ftp: behind AUTH comes TLS, unless it is refused; lost bytes cost a line") {
  CHECK(told(Application::ftp, {initiator("AUTH TLS\r\n"), responder("234 ok\r\n"), initiator("\x16\x03\x01")}) ==
        "hand over to tls auth at 10 8\n");
  CHECK(told(Application::ftp, {initiator("AUTH TLS\r\n"), responder("502 no\r\n"), initiator("RETR a\r\n")}) ==
        "request initiator name=a\n");
  CHECK(told(Application::ftp, {initiator("AUTH TLS\r\nRETR a\r\n"), responder("502 no\r\n")}) ==
        "request initiator name=a\n");
  CHECK(told(Application::ftp, {initiator("RETR a"), gap(Side::initiator, 9), initiator("c\r\nRETR d\r\n")}) ==
        "request initiator name=d\n");
  CHECK(told(Application::ftp, {initiator("RETR " + std::string(9000, 'x') + "\r\nRETR d\r\n")}) ==
        "ftp.skipped: line too long\nrequest initiator name=d\n");
}

TEST_CASE("ftp: the data connection carries the name that the control connection said") {
  ParserContext context;
  context.hint = {FlowHint::Kind::file, "a.mp3", 6, 2, Side::responder};
  CHECK(told(Application::ftpData, {responder("abcd"), end(Side::responder)}, {}, context) ==
        "begin responder name=a.mp3 size=4 offset=2 of=6\nend responder bytes=4 data=abcd\n");
  CHECK(told(Application::ftpData, {responder("ab"), end(Side::responder)}, {}, context) ==
        "begin responder name=a.mp3 size=4 offset=2 of=6\ncut responder bytes=2 data=ab\n");
  CHECK(told(Application::ftpData, {responder("ab"), gap(Side::responder, 1), responder("d"), end(Side::responder)}, {},
             context) == "begin responder name=a.mp3 size=4 offset=2 of=6\ncut responder bytes=2 data=ab\n");
  // The connection may be there before the name is.
  CHECK(told(Application::ftpData, {{Step::Kind::hint, Side::initiator, "late.exe", 3}, initiator("MZx"), end(Side::initiator)}) ==
        "begin initiator name=late.exe size=3\nend initiator bytes=3 data=MZx\n");
  context.hint.kind = FlowHint::Kind::listing;
  CHECK(told(Application::ftpData, {responder("-rw-r--r-- a\r\n"), end(Side::responder)}, {}, context) == "");
}

TEST_CASE("irc: messages, actions and topics, by whom and to whom") {
  CHECK(told(Application::irc,
             {initiator("NICK joe\r\nUSER joe 0 * :Joe\r\nJOIN #c\n"), responder(":srv 001 joe :Welcome\r\n"),
              initiator("PRIVMSG #c :hello all\r\nPRIVMSG eve word\r\n"),
              responder("@time=x;msgid=y :eve!e@h PRIVMSG joe :\x01"
                        "ACTION waves\x01\r\n:eve!e@h NOTICE #c :n\xff\r\n:eve!e@h TOPIC #c :t\r\n"),
              initiator("PRIVMSG #c :one\rPRIVMSG #c :hidden\n")},
             "irc.") ==
        "chat initiator from=joe to=#c text=hello all\n"
        "chat initiator from=joe to=eve text=word\n"
        "action responder from=eve to=joe text=waves\n"
        "notice responder from=eve to=#c text=n\xef\xbf\xbd\n"
        "topic responder from=eve to=#c text=t\n"
        "chat initiator from=joe to=#c text=one\n"
        "chat initiator from=joe to=#c text=hidden\n");
}

TEST_CASE("irc: files and chats that are offered, and the flows that follow") {
  CHECK(told(Application::irc,
             {initiator("PRIVMSG eve :\x01"
                        "DCC SEND \"my file.exe\" 167772161 5000 4096\x01\r\n"),
              responder(":eve!e@h PRIVMSG joe :\x01"
                        "DCC SEND a b.zip 2001:db8::1 5001 10\x01\r\n:eve!e@h PRIVMSG joe :\x01"
                        "DCC CHAT chat 167772162 5002\x01\r\n"),
              initiator("PRIVMSG eve :\x01"
                        "DCC SEND \"r.zip\" 167772161 5003 7 99\x01\r\n")}) ==
        "offer initiator name=my file.exe size=4096\n"
        "peer 10.0.0.1:5000 irc kind=file name=my file.exe size=4096 sender=responder\n"
        "offer responder name=a b.zip size=10\n"
        "peer 20010db8000000000000000000000001:5001 irc kind=file name=a b.zip size=10 sender=responder\n"
        "peer 10.0.0.2:5002 irc kind=chat\n"
        "offer initiator name=r.zip size=7\n"
        "peer 10.0.0.1:5003 irc kind=file name=r.zip size=7 sender=initiator\n");
  ParserContext context;
  context.hint = {FlowHint::Kind::file, "my file.exe", 4, 0, Side::responder};
  // The receiver's counts are no file, and the sender waits for them with the connection open.
  CHECK(told(Application::irc, {responder("MZ"), initiator(std::string_view{"\0\0\0\2", 4}), responder("xy")}, {}, context) ==
        "begin responder name=my file.exe size=4\nend responder bytes=4 data=MZxy\n");
  // What is more than was told is not passed over.
  CHECK(told(Application::irc, {responder("MZ"), responder("xyab"), end(Side::responder)}, {}, context) ==
        "begin responder name=my file.exe size=4\nend responder bytes=4 data=MZxy\nparser: gave up\n");
  context.hint = {FlowHint::Kind::chat, {}, std::nullopt, 0, std::nullopt};
  CHECK(told(Application::irc, {initiator("hi\n"), responder("there\r\n")}, {}, context) ==
        "chat initiator text=hi\nchat responder text=there\n");
}

TEST_CASE("irc: long lines and lost bytes cost no more than themselves; STARTTLS is handed over") {
  CHECK(told(Application::irc, {initiator("PRIVMSG #c :" + std::string(20'000, 'x') + "\r\nPRIVMSG #c :y\r\n")}) ==
        "irc.skipped: line too long\nchat initiator to=#c text=y\n");
  CHECK(told(Application::irc, {initiator("PRIVMSG #c :a"), gap(Side::initiator, 4), initiator("b\r\nPRIVMSG #c :y\r\n")}) ==
        "chat initiator to=#c text=y\n");
  CHECK(told(Application::irc, {initiator("STARTTLS\r\n"), responder(":s 670 joe :go\r\n"), initiator("\x16\x03")}) ==
        "hand over to tls starttls at 10 15\n");
}

}  // namespace p2pxbone::gateway::script
