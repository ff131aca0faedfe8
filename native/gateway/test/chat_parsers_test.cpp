// MSN Messenger and XMPP.
#include "gateway/parsers/little_endian.h"
#include "gateway/parsers/text.h"
#include "gateway/test/parser_checks.h"

namespace p2pxbone::gateway::script {
namespace {

std::string le(uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) bits = bits << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) text += i + k > bytes.size() ? '=' : kLetters[bits >> (18 - 6 * k) & 63];
  }
  return text;
}

std::string msg(std::string_view head, std::string_view payload) {
  return "MSG " + std::string{head} + " " + std::to_string(payload.size()) + "\r\n" + std::string{payload};
}

std::string plain(std::string_view text) {
  return "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n" + std::string{text};
}

std::string p2p(uint32_t session, uint32_t id, uint64_t offset, uint64_t total, uint32_t flags, std::string_view body) {
  return le(session, 4) + le(id, 4) + le(offset, 8) + le(total, 8) + le(body.size(), 4) + le(flags, 4) +
         std::string(16, '\0') + std::string{body};
}

std::string p2pMessage(const std::string& bytes) {
  return "MIME-Version: 1.0\r\nContent-Type: application/x-msnmsgrp2p\r\nP2P-Dest: ben@e.org\r\n\r\n" + bytes +
         std::string(4, '\0');
}

std::string fileInvitation(uint32_t session) {
  std::string context = le(574, 4) + le(3, 4) + le(6, 8) + le(1, 4);
  for (const char c : std::string_view{"pl\xe4n.exe"}) context += {c, '\0'};
  context += std::string(574 - context.size(), '\0');
  return "INVITE MSNMSGR:ben@e.org MSNSLP/1.0\r\nContent-Type: application/x-msnmsgr-sessionreqbody\r\n\r\nEUF-GUID: "
         "{5D3E02AB-6190-11D3-BBBB-00C04F795683}\r\nSessionID: " +
         std::to_string(session) + "\r\nAppID: 2\r\nContext: " + base64(context) + "\r\n\r\n" + std::string(1, '\0');
}

const Script kSwitchboard{initiator("USR 1 ann@e.org cookie\r\n"), responder("USR 1 OK ann@e.org ann\r\n"),
                          initiator("CAL 2 ben@e.org\r\n"), responder("CAL 2 RINGING 1\r\nJOI ben@e.org ben\r\n")};

Script with(Script script, std::initializer_list<Step> more) {
  script.insert(script.end(), more);
  return script;
}

std::string msn(const Script& script, const ParserContext& context = {}) {
  return told(Application::msn, script, "msn.", context);
}

std::string xmpp(const Script& script) { return told(Application::xmpp, script, "xmpp."); }

}  // namespace

TEST_CASE("msn: chat in a switchboard, by whom and to whom") {
  CHECK(msn(with(kSwitchboard, {initiator(msg("3 A", plain("hello ben"))), responder("ACK 3\r\n"),
                                responder(msg("ben@e.org ben", plain("h\xc3\xa9 \xff"))),
                                responder(msg("ben@e.org ben", "Content-Type: text/x-msmsgscontrol\r\n\r\n\r\n")),
                                responder("JOI eve@e.org eve\r\n"), initiator(msg("4 N", plain("all of you")))})) ==
        "chat initiator from=ann@e.org to=ben@e.org text=hello ben\n"
        "chat responder from=ben@e.org to=ann@e.org text=h\xc3\xa9 \xef\xbf\xbd\n"
        "chat initiator from=ann@e.org to=ben@e.org,eve@e.org text=all of you\n");
}

TEST_CASE("msn: a word cut by the chunks of a long message is whole again") {
  CHECK(msn(with(kSwitchboard,
                 {initiator(msg("3 N", "Content-Type: text/plain\r\nMessage-ID: {A}\r\nChunks: 2\r\n\r\nconfi")),
                  initiator(msg("4 N", "Message-ID: {A}\r\nChunk: 1\r\n\r\ndential"))})) ==
        "chat initiator from=ann@e.org to=ben@e.org text=confidential\n");
}

TEST_CASE("msn: old invitations, and the transfer that follows on another flow") {
  CHECK(msn(with(kSwitchboard,
                 {initiator(msg("3 N", "Content-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\nInvitation-Command: "
                                       "INVITE\r\nInvitation-Cookie: 7\r\nApplication-File: secret.xls\r\n"
                                       "Application-FileSize: 6\r\n\r\n")),
                  initiator(msg("4 N", "Content-Type: text/x-msmsgsinvite\r\n\r\nInvitation-Command: ACCEPT\r\n"
                                       "Invitation-Cookie: 7\r\nIP-Address: 10.0.0.1\r\nPort: 6891\r\n"))})) ==
        "offer initiator name=secret.xls size=6\n"
        "peer 10.0.0.1:6891 msn kind=file name=secret.xls size=6\n");
  ParserContext context;
  context.hint = {FlowHint::Kind::file, "secret.xls", 6, 0, std::nullopt};
  const Script transfer{initiator("VER MSNFTP\r\n"), responder("VER MSNFTP\r\n"), initiator("USR ben@e.org 99\r\n"),
                        responder("FIL 6\r\n"), initiator("TFR\r\n")};
  CHECK(msn(with(transfer, {responder(std::string{"\0\4\0abcd\0\2\0ef\1\0\0", 15}), initiator("BYE 16777989\r\n")}),
            context) ==
        "begin responder name=secret.xls size=6\nend responder bytes=6 data=abcdef\n");
  CHECK(msn(with(transfer, {responder(std::string{"\0\4\0abcd\0\4\0efgh", 14})}), context) ==
        "begin responder name=secret.xls size=6\nend responder bytes=6 data=abcdef\n");
  CHECK(msn(with(transfer, {responder(std::string{"\0\4\0abcd\1\0\0", 10})}), context) ==
        "begin responder name=secret.xls size=6\ncut responder bytes=4 data=abcd\n");
}

TEST_CASE("msn: peer-to-peer messages in a switchboard") {
  const std::string invitation = fileInvitation(77);
  const std::string first = invitation.substr(0, 500);
  const std::string second = invitation.substr(500);
  const auto data = [](uint64_t offset, std::string_view bytes) {
    return initiator(msg("9 D", p2pMessage(p2p(77, 5, offset, 6, 0x01000030, bytes))));
  };
  CHECK(msn(with(kSwitchboard,
                 {initiator(msg("3 D", p2pMessage(p2p(0, 4, 0, invitation.size(), 0, first)))),
                  initiator(msg("4 D", p2pMessage(p2p(0, 4, first.size(), invitation.size(), 0, second)))),
                  initiator(msg("5 D", p2pMessage(p2p(77, 9, 0, 4, 0, std::string(4, '\0'))))), data(0, "abcd"),
                  data(4, "ef")})) ==
        "offer initiator name=pl\xc3\xa4n.exe size=6\n"
        "begin initiator name=pl\xc3\xa4n.exe size=6\n"
        "end initiator bytes=6 data=abcdef\n");
  CHECK(msn(with(kSwitchboard, {initiator(msg("3 D", p2pMessage(p2p(0, 4, 0, invitation.size(), 0, invitation)))),
                                data(0, "abcd"), data(5, "f")})) ==
        "offer initiator name=pl\xc3\xa4n.exe size=6\n"
        "begin initiator name=pl\xc3\xa4n.exe size=6\n"
        "cut initiator bytes=4 data=abcd\n");
}

TEST_CASE("msn: a direct connection carries the same messages") {
  const auto framed = [](const std::string& message) { return le(message.size(), 4) + message; };
  ParserContext context;
  context.hint = {FlowHint::Kind::file, "a.exe", 4, 0, std::nullopt};
  CHECK(msn({initiator(framed(std::string{"foo\0", 4})), initiator(framed(p2p(0, 1, 0, 0, 0x100, ""))),
             initiator(framed(p2p(5, 2, 0, 4, 0x01000030, "MZ"))), initiator(framed(p2p(5, 2, 2, 4, 0x01000030, "xy")))},
            context) == "begin initiator name=a.exe size=4\nend initiator bytes=4 data=MZxy\n");
  CHECK(msn({initiator(framed(std::string{"foo\0", 4})), initiator("\xff\xff\xff\xff")}) == "parser: gave up\n");
}

TEST_CASE("msn: payloads that are too long or lost cost no more than themselves") {
  CHECK(msn(with(kSwitchboard, {initiator("MSG 3 N 70000\r\n"), initiator(std::string(70'000, 'x')),
                                initiator(msg("4 N", plain("next")))})) ==
        "chat initiator from=ann@e.org to=ben@e.org text=next\n");
  CHECK(msn(with(kSwitchboard, {initiator("MSG 3 N 100\r\nContent"), gap(Side::initiator, 53),
                                initiator(std::string(40, 'x') + msg("4 N", plain("next")))})) ==
        "chat initiator from=ann@e.org to=ben@e.org text=next\n");
  CHECK(msn(with(kSwitchboard, {initiator("MS"), gap(Side::initiator, 1), initiator("3 N")})) == "parser: gave up\n");
  CHECK(told(Application::msn, {initiator("VER 1 MSNP9 CVR0\r\n"), responder("VER 1 MSNP9\r\n"),
                                responder("XFR 3 NS 10.0.0.9:1863 0\r\n"),
                                initiator("QRY 5 prod 32\r\n0123456789abcdef0123456789abcdef"), responder("QRY 5\r\n"),
                                responder("UBX a@e.org 5\r\n<a/>\nRNG 1 10.0.0.8:1864 CKI 1 a@e.org a\r\n")}) ==
        "msn.version: MSNP9\npeer 10.0.0.9:1863 msn\npeer 10.0.0.8:1864 msn\n");
}

TEST_CASE("xmpp: chat, with entities and sections, after a second stream") {
  CHECK(xmpp({initiator("<?xml version='1.0'?><stream:stream to='e.org' xmlns='jabber:client'>"),
              responder("<stream:stream from='e.org'><stream:features/>"),
              initiator("<auth mechanism='PLAIN'>c2VjcmV0</auth>"), responder("<success/>"),
              initiator("<stream:stream to=\"e.org\">"),
              responder("<stream:stream><iq type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>ann@e.org/x"
                        "</jid></bind></iq>"),
              initiator("<message to='ben@e.org' type='chat'><subject>t &gt;</subject><body>a &lt;b&gt; &#x20ac;&#33; "
                        "&unknown; <![CDATA[<raw> &amp;]]><!-- no > text --> end</body><active/></message>"),
              responder("<message from='ben@e.org' to='ann@e.org'><x><body>no</body></x><body a=\"q>'\">hi</body>"
                        "<html><body>no</body></html></message><message type='error'><body>e</body></message>")}) ==
        "topic initiator from=ann@e.org/x to=ben@e.org text=t >\n"
        "chat initiator from=ann@e.org/x to=ben@e.org text=a <b> €! &unknown; <raw> &amp; end\n"
        "chat responder from=ben@e.org to=ann@e.org text=hi\n");
}

TEST_CASE("xmpp: files are offered and sent in band") {
  CHECK(xmpp({initiator("<stream:stream><iq type='set' to='b@e.org'><si id='s1' xmlns='http://jabber.org/protocol/si'>"
                        "<file name='a&amp;b.exe' size='6' xmlns='x'/></si></iq>"
                        "<iq type='set'><open sid='s1' block-size='4096' xmlns='http://jabber.org/protocol/ibb'/></iq>"
                        "<iq type='set'><data seq='0' sid='s1' xmlns='http://jabber.org/protocol/ibb'>YWJj\nZA==</data></iq>"
                        "<message><data seq='1' sid='s1' xmlns='http://jabber.org/protocol/ibb'>ZWY=</data></message>"
                        "<iq type='set'><close sid='s1' xmlns='http://jabber.org/protocol/ibb'/></iq>"),
              responder("<stream:stream><iq type='set'><jingle action='session-initiate'><content><description>"
                        "<file><name>c.zip</name><size>9</size><hash algo='sha-1'>QQ==</hash></file></description>"
                        "<transport sid='t' xmlns='urn:xmpp:jingle:transports:ibb:1'/></content></jingle></iq>"
                        "<iq type='get'><request filename='d.iso' size='10' xmlns='urn:xmpp:http:upload:0'/></iq>")}) ==
        "offer initiator name=a&b.exe size=6\n"
        "begin initiator name=a&b.exe size=6\n"
        "end initiator bytes=6 data=abcdef\n"
        "offer responder name=c.zip size=9 hash=sha-1:QQ==\n"
        "offer responder name=d.iso size=10\n");
}

TEST_CASE("xmpp: STARTTLS is handed over, and what no program sends is given up") {
  CHECK(xmpp({initiator("<stream:stream><starttls/>"), responder("<stream:stream><proceed xmlns='tls'/>\x16\x03"),
              initiator("\x16")}) == "hand over to tls starttls at 26 37\n");
  const auto gaveUp = [](std::string_view bytes) {
    return xmpp({initiator("<stream:stream>"), initiator(bytes)}).find("parser: gave up") != std::string::npos;
  };
  CHECK(gaveUp("<!DOCTYPE x [<!ENTITY a 'b'>]>"));
  CHECK(gaveUp("<a b='" + std::string(20'000, 'x') + "'>"));
  CHECK_FALSE(gaveUp("<a b='" + std::string(15'000, '>') + "'/>"));
  CHECK(gaveUp("<><a>"));
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<a>";
  CHECK(gaveUp(deep));
  CHECK(gaveUp("<![CDATA[" + std::string(70'000, 'x') + "]]>"));
  CHECK_FALSE(gaveUp("<!--" + std::string(70'000, '-') + " --><message><body>x</body></message>"));
  const std::string text = told(Application::xmpp, {initiator("<stream:stream><message><body>" + std::string(70'000, 'x') +
                                                              "</body></message>")});
  CHECK(text.find("xmpp.skipped: text too long") != std::string::npos);
}

}  // namespace p2pxbone::gateway::script
