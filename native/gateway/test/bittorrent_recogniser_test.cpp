#include <doctest/doctest.h>

#include "gateway/recognisers/bencode.h"
#include "gateway/recognisers/bittorrent_peers.h"
#include "gateway/recognisers/randomness.h"
#include "gateway/test/flow_script.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

const Bytes kHandshake = bytesOf("\x13" "BitTorrent protocol") + Bytes(8) + Bytes(40, 'x');

bool learnt(const Discoveries& discoveries, const Address& address, uint16_t port) {
  return std::any_of(discoveries.peers.begin(), discoveries.peers.end(), [&](const LearntPeer& peer) {
    return peer.address == address && peer.port == port && peer.application == Application::bittorrent;
  });
}

Bytes utpPacket(uint8_t type, uint16_t connection, uint16_t sequence, uint16_t acknowledged,
                const Bytes& payload = {}) {
  return Bytes{static_cast<uint8_t>(type << 4 | 1), 0} + be16(connection) + Bytes(12) + be16(sequence) +
         be16(acknowledged) + payload;
}

std::vector<std::pair<Address, uint16_t>> peersIn(std::string_view text) {
  std::vector<std::pair<Address, uint16_t>> peers;
  peersInBencoded(bytesOf(text), [&](const Address& address, uint16_t port) { peers.emplace_back(address, port); });
  return peers;
}

}  // namespace

TEST_CASE("the plain BitTorrent handshake, from either side and in pieces") {
  Discoveries discoveries;
  CHECK(isFound(FlowScript::tcp().initiator(kHandshake).ask(recogniseBittorrentHandshake, discoveries),
                Application::bittorrent));
  // The caller's words say nothing of the one that is called.
  CHECK(discoveries.peers.empty());
  const auto answered = FlowScript::tcp().initiator("junk").responder(kHandshake);
  CHECK(isFound(answered.ask(recogniseBittorrentHandshake, discoveries), Application::bittorrent));
  CHECK(learnt(discoveries, v4(2), 50'000));
  for (size_t length = 1; length < 20; ++length) {
    const Bytes front(kHandshake.begin(), kHandshake.begin() + static_cast<ptrdiff_t>(length));
    CHECK(isOpen(FlowScript::tcp().initiator(front).ask(recogniseBittorrentHandshake)));
  }
  CHECK(isNever(FlowScript::tcp()
                    .initiator("\x13"
                               "BitTorrent protocal")
                    .responder("x")
                    .ask(recogniseBittorrentHandshake)));
}

TEST_CASE("an announcement to a tracker tells where the peer listens") {
  Discoveries discoveries;
  const auto announce =
      FlowScript::tcp().initiator("GET /announce?info_hash=%c1%d6&peer_id=-LT&port=52001 HTTP/1.1\r\nHost: t\r\n\r\n");
  CHECK(isFound(announce.ask(recogniseBittorrentTracker, discoveries), Application::bittorrent));
  CHECK(learnt(discoveries, v4(1), 52'001));
  CHECK(isOpen(FlowScript::tcp().initiator("GET /announce?info_hash=%c1%d6&po").ask(recogniseBittorrentTracker)));
  CHECK(isNever(FlowScript::tcp().initiator("GET /search?q=info_hash= HTTP/1.1\r\n").ask(recogniseBittorrentTracker)));
  CHECK(isNever(FlowScript::tcp().initiator("GET /a.exe?info_hash=%c1&port=1 HTTP/1.1\r\n").ask(recogniseBittorrentTracker)));
  CHECK(isNever(FlowScript::tcp().initiator("POST /").ask(recogniseBittorrentTracker)));
}

TEST_CASE("encrypted BitTorrent by its rhythm") {
  std::mt19937 random{11};
  for (int round = 0; round < 200; ++round) {
    const auto flow = FlowScript::tcp()
                          .initiator(randomBytes(random, 96 + random() % 513))
                          .responder(randomBytes(random, 96 + random() % 513))
                          .initiator(randomBytes(random, 56 + random() % 600));
    CHECK(isFound(flow.ask(recogniseBittorrentEncrypted), Application::bittorrent));
  }
  const Bytes key = randomBytes(random, 200);
  CHECK(isOpen(FlowScript::tcp().initiator(key).ask(recogniseBittorrentEncrypted)));
  CHECK(isOpen(FlowScript::tcp()
                   .initiator(key)
                   .responder(key)
                   .initiator(randomBytes(random, 55))
                   .ask(recogniseBittorrentEncrypted)));
  // Too long, too short, plain, or in another order.
  CHECK(isNever(FlowScript::tcp().initiator(randomBytes(random, 609)).ask(recogniseBittorrentEncrypted)));
  CHECK(isNever(FlowScript::tcp().initiator(randomBytes(random, 95)).responder(key).ask(recogniseBittorrentEncrypted)));
  CHECK(isNever(FlowScript::tcp()
                    .initiator(key)
                    .responder(randomBytes(random, 20))
                    .initiator(key)
                    .ask(recogniseBittorrentEncrypted)));
  CHECK(isNever(FlowScript::tcp().responder(key).ask(recogniseBittorrentEncrypted)));
  CHECK(isNever(FlowScript::tcp().initiator(Bytes(200, 'a')).ask(recogniseBittorrentEncrypted)));
  CHECK(isNever(FlowScript::tcp().initiator(key).responder(Bytes(200, 0)).ask(recogniseBittorrentEncrypted)));
}

TEST_CASE("random bytes look random; text, counters and padding do not") {
  std::mt19937 random{12};
  size_t missed = 0;
  for (int round = 0; round < 5000; ++round)
    missed += looksRandom(randomBytes(random, kRandomnessBytesMin + random() % 1000)) ? 0 : 1;
  CHECK(missed < 5);
  CHECK_FALSE(looksRandom(randomBytes(random, kRandomnessBytesMin - 1)));
  CHECK_FALSE(looksRandom(Bytes(400, 7)));
  CHECK_FALSE(looksRandom(
      bytesOf("GET /a/path/that/is/long/enough HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nCookie: a=b\r\n\r\n")));
  Bytes base64;
  for (int i = 0; i < 200; ++i)
    base64.push_back("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random() % 64]);
  CHECK_FALSE(looksRandom(base64));
}

TEST_CASE("uTP by a handshake, by its SYN and the answer, or in the midst") {
  Discoveries discoveries;
  const auto opened = FlowScript::udp().initiator(utpPacket(4, 700, 1, 0)).responder(utpPacket(2, 700, 99, 1));
  CHECK(isFound(opened.ask(recogniseUtp, discoveries), Application::bittorrent));
  CHECK((learnt(discoveries, v4(1), 40'000) && learnt(discoveries, v4(2), 50'000)));
  CHECK(isOpen(FlowScript::udp().initiator(utpPacket(4, 700, 1, 0)).ask(recogniseUtp)));
  CHECK(isFound(FlowScript::udp().initiator(utpPacket(0, 701, 2, 99, kHandshake)).ask(recogniseUtp),
                Application::bittorrent));
  CHECK(isFound(FlowScript::udp()
                    .initiator(utpPacket(0, 701, 5000, 99, Bytes(90)))
                    .responder(utpPacket(2, 700, 120, 4998))
                    .ask(recogniseUtp),
                Application::bittorrent));
  CHECK(isOpen(
      FlowScript::udp().initiator(utpPacket(4, 700, 1, 0)).responder(utpPacket(2, 702, 99, 1)).ask(recogniseUtp)));
  CHECK(isNever(FlowScript::udp().initiator(utpPacket(5, 700, 1, 0)).ask(recogniseUtp)));
  CHECK(isNever(FlowScript::udp().initiator(Bytes{0x41, 9} + Bytes(30)).ask(recogniseUtp)));
  CHECK(isNever(FlowScript::udp().initiator(Bytes{0x41, 0, 1}).ask(recogniseUtp)));
}

TEST_CASE("the DHT: queries, answers, errors, and the peers in them") {
  Discoveries discoveries;
  const auto query = FlowScript::udp().initiator(
      "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_"
      "peer1:t2:aa1:y1:qe");
  CHECK(isFound(query.ask(recogniseDht, discoveries), Application::bittorrent));
  CHECK((learnt(discoveries, v4(1), 40'000) && learnt(discoveries, v4(1), 6881)));
  discoveries = {};
  const std::string_view answer{
      "d1:rd2:id20:abcdefghij01234567896:valuesl6:\x0a\x00\x00\x09\x1a\xe1"
      "ee1:t2:aa1:y1:re",
      65};
  CHECK(isFound(FlowScript::udp().responder(answer).ask(recogniseDht, discoveries), Application::bittorrent));
  CHECK(learnt(discoveries, v4(9), 6881));
  CHECK(isFound(FlowScript::udp().responder("d1:eli201e5:wronge1:t2:aa1:y1:ee").ask(recogniseDht),
                Application::bittorrent));
  CHECK(isOpen(
      FlowScript::udp().initiator("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qX").ask(recogniseDht)));
  CHECK(isOpen(FlowScript::udp().initiator("d1:ad2:id3:abce1:q4:ping1:t2:aa1:y1:qe").ask(recogniseDht)));
  CHECK(isOpen(FlowScript::udp().initiator("dear all").ask(recogniseDht)));
}

TEST_CASE("a tracker over UDP") {
  const Bytes connect = be32(0x417) + be32(0x27101980) + be32(0) + be32(7);
  CHECK(isFound(FlowScript::udp().initiator(connect).ask(recogniseUdpTracker), Application::bittorrent));
  const Bytes announce = Bytes(8) + be32(1) + be32(7) + Bytes(80) + be16(6881);
  const Bytes answer = be32(1) + be32(7) + be32(1800) + be32(0) + be32(1) + Bytes{10, 0, 0, 9} + be16(6882);
  Discoveries discoveries;
  CHECK(isFound(FlowScript::udp().initiator(announce).responder(answer).ask(recogniseUdpTracker, discoveries),
                Application::bittorrent));
  CHECK((learnt(discoveries, v4(9), 6882) && learnt(discoveries, v4(1), 6881)));
  CHECK(
      isOpen(FlowScript::udp().initiator(announce).responder(be32(1) + be32(8) + Bytes(12)).ask(recogniseUdpTracker)));
}

TEST_CASE("bencoded values: whole, cut, malformed, nested") {
  for (const std::string_view whole :
       {"4:spam", "0:", "i-3e", "i0e", "le", "de", "l4:spami3ee", "d3:cow3:moo4:spaml1:aee"}) {
    CAPTURE(whole);
    const Bytes bytes = bytesOf(whole);
    const auto value = bencodedValue(bytes);
    REQUIRE(value.has_value());
    CHECK(value->size() == whole.size());
    for (size_t cut = 0; cut < whole.size(); ++cut) CHECK_FALSE(bencodedValue(std::span(bytes).first(cut)));
  }
  for (const std::string_view wrong :
       {"ie", "i-e", "e", "x", "d3:cowe", "di3e3:mooe", "99999999999999999999:", "4spam", ":"}) {
    CAPTURE(wrong);
    CHECK_FALSE(bencodedValue(bytesOf(wrong)));
  }
  CHECK(bencodedValue(bytesOf(std::string(kBencodeDepthMax, 'l') + std::string(kBencodeDepthMax, 'e'))));
  CHECK_FALSE(bencodedValue(bytesOf(std::string(kBencodeDepthMax + 1, 'l') + std::string(kBencodeDepthMax + 1, 'e'))));
  CHECK(bencodedInteger(bytesOf("i-42e")) == -42);
  CHECK_FALSE(bencodedInteger(bytesOf("i99999999999999999999e")));
  const Bytes dictionary = bytesOf("d3:cow3:moo4:spami7ee");
  CHECK(bencodedInteger(*bencodedMember(dictionary, "spam")) == 7);
  CHECK_FALSE(bencodedMember(dictionary, "pig"));
}

TEST_CASE("peers in tracker answers of each form") {
  const std::string compact{"d8:intervali30e5:peers12:\x0a\x00\x00\x05\x00\x50\x0a\x00\x00\x06\x00\x51" "e", 38};
  const auto two = peersIn(compact);
  REQUIRE(two.size() == 2);
  CHECK(two[1] == std::pair{v4(6), uint16_t{81}});
  const auto listed =
      peersIn("d5:peersld2:ip8:10.0.0.74:porti6881eed2:ip9:not.an.ip4:porti1eed2:ip8:10.0.0.84:porti70000eeee");
  REQUIRE(listed.size() == 1);
  CHECK(listed[0] == std::pair{v4(7), uint16_t{6881}});
  CHECK(peersIn("d6:peers618:" + std::string(15, '\0') + "\x01\x1a\xe1" "e").size() == 1);
  CHECK(peersIn("d5:peers7:abcdefge").size() == 1);
  CHECK(peersIn("i3e").empty());
  std::string many(6 * (kPeersPerMessageMax + 50), 'a');
  CHECK(peersIn("d5:peers" + std::to_string(many.size()) + ":" + many + "e").size() == kPeersPerMessageMax);
}
