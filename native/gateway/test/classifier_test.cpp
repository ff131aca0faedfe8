#include "gateway/classifier.h"

#include <doctest/doctest.h>

#include "gateway/test/flow_script.h"
#include "gateway/test/own_signatures.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

const std::shared_ptr<const SignatureSet>& ownSet() {
  static const std::shared_ptr<const SignatureSet> set = ownSignatureSet();
  return set;
}

struct World {
  explicit World(std::shared_ptr<const SignatureSet> signatures = ownSet(), ClassifierLimits limits = {})
      : classifier(peers, limits) {
    REQUIRE(classifier.useSignatures(std::move(signatures)));
  }

  // Feeds until the result is final; what is left of the script is not looked at. Checks on the way what holds for any
  // flow.
  Classified feed(const FlowScript& script, size_t bytesMax = SIZE_MAX, bool conclude = true) {
    Classified result;
    FlowClassification flow;
    Bytes fed;
    chunks = 0;
    script.forEachChunk(bytesMax, [&](const Chunk& chunk) {
      if (result.final) return;
      ++chunks;
      result = classifier.feed(flow, script.ends, chunk, now);
      if (!result.final) fed.insert(fed.end(), chunk.bytes.begin(), chunk.bytes.end());
    });
    bytes = flow.bytes();
    if (!result.final && conclude) result = classifier.conclude(flow, script.ends, now);
    // The parser gets all that came before the chunk that decided, in order and at its place.
    Bytes handed;
    std::array<uint64_t, 2> next{};
    flow.collected().forEachChunk([&](const Chunk& chunk) {
      CHECK(chunk.offset == next[indexOf(chunk.side)]);
      next[indexOf(chunk.side)] += chunk.bytes.size();
      handed.insert(handed.end(), chunk.bytes.begin(), chunk.bytes.end());
    });
    CHECK(handed == fed);
    if (flow.hello() != nullptr) serverName = flow.hello()->serverName;
    return result;
  }

  Application applicationOf(const FlowScript& script, size_t bytesMax = SIZE_MAX) {
    return feed(script, bytesMax).application;
  }

  PeerCache peers{5};
  Classifier classifier;
  Millis now = 1000;
  size_t chunks = 0;  // of the last flow, up to its result
  size_t bytes = 0;
  std::string serverName;
};

struct Example {
  Application application;
  FlowScript script;
};

std::vector<Example> textExamples() {
  using enum Application;
  const auto tcp = [] { return FlowScript::tcp(); };
  const auto udp = [] { return FlowScript::udp(); };
  return {
      {http, tcp()
                 .initiator("GET /index.html HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test\r\n\r\n")
                 .responder("HTTP/1.1 200 OK\r\n\r\n")},
      {http, tcp().initiator("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
      {http, tcp().initiator("POST /upload?x=1 HTTP/1.0\n").responder("HTTP/1.0 200 OK\r\n")},
      {bittorrent, tcp().initiator("GET /announce?peer_id=a&info_hash=%01%02 HTTP/1.0\r\n\r\n")},
      {bittorrent, tcp().initiator("GET /scrape?info_hash=%01%02 HTTP/1.0\r\n\r\n")},
      {bittorrent,
       udp().initiator("BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: 00\r\n\r\n")},
      {gnutella,
       tcp().initiator("GNUTELLA CONNECT/0.6\r\nUser-Agent: x\r\n\r\n").responder("GNUTELLA/0.6 200 OK\r\n\r\n")},
      {gnutella,
       tcp().initiator("GET /uri-res/N2R?urn:sha1:PLSTHIPQGSSZTS5FJUPAKUZWUGYQYPFB HTTP/1.1\r\nHost: a\r\n\r\n")},
      {gnutella, tcp().initiator("GET /file HTTP/1.1\r\nHost: a\r\nX-Gnutella-Content-URN: urn:sha1:A\r\n\r\n")},
      {gnutella, tcp().initiator("GIV 34:0123456789ABCDEF0123456789ABCDEF/file.mp3\n\n")},
      {fasttrack, tcp().initiator("GET /.hash=0123456789abcdef0123456789abcdef01234567 HTTP/1.1\r\n\r\n")},
      {fasttrack, tcp().initiator("GET /1234/song.mp3 HTTP/1.1\r\nHost: 10.0.0.1:1214\r\nX-Kazaa-Username: "
                                  "me\r\nX-Kazaa-Network: KaZaA\r\n\r\n")},
      {fasttrack, tcp().initiator("GIVE 123456789\r\n")},
      {opennap, tcp().initiator(le16(35) + le16(2) + bytesOf("alice secret 6699 \"nap v0.8\" 7"))},
      {opennap, tcp().responder("1").initiator("GET").initiator("bob \"C:\\mp3\\a song.mp3\" 0")},
      {msn, tcp().initiator("VER 1 MSNP12 MSNP11 CVR0\r\n").responder("VER 1 MSNP12\r\n")},
      {msn, tcp().initiator("ANS 1 ben@example.org 96ed1ac761 bff7bd1c-1daa\r\n")},
      {irc, tcp().initiator("NICK me\r\nUSER me 0 * :Me\r\n")},
      {irc, tcp().responder(":irc.example.org NOTICE * :*** Looking up your hostname...\r\n")},
      {irc, tcp().initiator("CAP LS 302\r\n")},
      {xmpp, tcp().initiator("<?xml version='1.0'?><stream:stream to='example.org' xmlns='jabber:client' "
                             "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>")},
      {ftp, tcp().responder("220 (vsFTPd 3.0.3)\r\n").initiator("USER anonymous\r\n")},
      {ftp, tcp().responder("220 Welcome\r\n").initiator("AUTH TLS\r\n")},
      {smtp, tcp().responder("220 Welcome\r\n").initiator("EHLO me.example.org\r\n")},
      {smtp, tcp().responder("220 mx.example.org ESMTP Postfix\r\n")},
      {pop3, tcp().responder("+OK ready\r\n").initiator("USER me\r\n")},
      {imap, tcp().responder("* OK ready\r\n").initiator("a1 CAPABILITY\r\n")},
      {ssh, tcp().responder("SSH-2.0-OpenSSH_9.2\r\n")},
      {sip, udp().initiator("INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n")},
      {sip, udp().responder("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\n\r\n")},
      {rtsp, tcp().initiator("DESCRIBE rtsp://example.org/a RTSP/1.0\r\n\r\n")},
      {ssdp, udp().initiator("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n")},
      {directConnect, tcp().responder("$Lock EXTENDEDPROTOCOLABCABCABC Pk=DCPLUSPLUS0.7|")},
      {vnc, tcp().responder("RFB 003.008\n")},
      {rsync, tcp().responder("@RSYNCD: 31.0\n")},
      {git, tcp().initiator("0033git-upload-pack /project.git\0host=example.org\0")},
  };
}

Signature operatorsOwn(std::string_view text) {
  auto read = readSignature("own.pat", text);
  REQUIRE(std::holds_alternative<Signature>(read));
  return std::get<Signature>(read);
}

std::shared_ptr<const SignatureSet> withOwn(std::string_view text) {
  std::vector<Signature> signatures{operatorsOwn(text)};
  for (Signature& signature : ownSignatures()) signatures.push_back(std::move(signature));
  return SignatureSet::build(std::move(signatures)).set;
}

}  // namespace

TEST_CASE("every one of our signatures compiles and finds what it is for") {
  World world;
  CHECK(ownSet()->size() == 24);
  for (const Example& example : textExamples()) {
    CAPTURE(example.script.steps.front().bytes.data());
    CHECK(world.applicationOf(example.script) == example.application);
  }
}

TEST_CASE("tiny segments change nothing") {
  for (const Example& example : textExamples()) {
    if (example.script.datagrams()) continue;
    CAPTURE(applicationName(example.application));
    for (const size_t cut : {1, 2, 3, 7, 20}) {
      World world;
      CHECK(world.applicationOf(example.script, cut) == example.application);
    }
  }
}

TEST_CASE("a first packet that says it all is decided at once, and not copied") {
  World world;
  const Classified result =
      world.feed(FlowScript::tcp().initiator("\x13"
                                             "BitTorrent protocol" +
                                             std::string(48, 'x')));
  CHECK(result.application == Application::bittorrent);
  CHECK(result.confidence == kCertain);
  CHECK(world.chunks == 1);
  CHECK(world.bytes == sizeof(FlowClassification));
}

TEST_CASE("an HTTP request waits for its head, because something special may follow") {
  World world;
  const auto begun = FlowScript::tcp().initiator("GET /1/a.mp3 HTTP/1.1\r\nHost: a\r\n");
  const Classified opinion = world.feed(begun, SIZE_MAX, false);
  CHECK(opinion.application == Application::http);
  CHECK_FALSE(opinion.final);
  auto finished = begun;
  CHECK(world.applicationOf(finished.initiator("X-Kazaa-Username: me\r\n\r\n")) == Application::fasttrack);
  finished = begun;
  const Classified result = world.feed(finished.initiator("Accept: */*\r\n\r\n"));
  CHECK(result.application == Application::http);
  CHECK(world.chunks == 2);
}

TEST_CASE("one side cannot hide the other by speaking first") {
  World world;
  CHECK(world.applicationOf(FlowScript::tcp().responder("?").initiator("SSH-2.0-x\r\n")) == Application::ssh);
  CHECK(world.applicationOf(FlowScript::tcp()
                                .initiator("\x13"
                                           "BitTorr")
                                .responder("zzz")
                                .initiator("ent protocol")) == Application::bittorrent);
  CHECK(world.applicationOf(FlowScript::tcp().initiator("NICK").responder("\n").initiator(
            " me\r\nUSER m 0 * :m\r\n")) == Application::irc);
}

TEST_CASE("empty lines before a request hide nothing, however many, nor does a version of HTTP without any") {
  World world;
  auto lines = FlowScript::tcp();
  for (int i = 0; i < 40; ++i) lines.initiator("\r\n\n\r\n");
  auto request = lines;
  CHECK(world.applicationOf(request.initiator("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")) == Application::http);
  CHECK(world.applicationOf(FlowScript::tcp().initiator(std::string(13'000, '\n'))) == Application::http);
  CHECK(world.applicationOf(FlowScript::tcp().initiator("GET  /song.mp3\r\n").responder("ID3")) == Application::http);
  CHECK(world.applicationOf(FlowScript::tcp().initiator("get key\r\n").responder("END\r\n")) == Application::unknown);
}

TEST_CASE("a long client hello names its server however small its segments are") {
  const std::string_view server = "example.org";
  const auto size = static_cast<uint32_t>(server.size());
  const Bytes name = be16(0) + be16(size + 5) + be16(size + 3) + Bytes{0} + be16(size) + bytesOf(server);
  const Bytes padding = be16(21) + be16(1700) + Bytes(1700, 0);
  const Bytes extensions = padding + name;
  const Bytes body = Bytes{3, 3} + Bytes(32, 7) + Bytes{0} + be16(2) + be16(0x1301) + Bytes{1, 0} +
                     be16(static_cast<uint32_t>(extensions.size())) + extensions;
  const Bytes message = Bytes{1} + be24(static_cast<uint32_t>(body.size())) + body;
  const Bytes record = Bytes{22, 3, 1} + be16(static_cast<uint32_t>(message.size())) + message;
  for (const size_t cut : {1, 150, 1460}) {
    World world;
    CHECK(world.applicationOf(FlowScript::tcp().initiator(record), cut) == Application::tls);
    CHECK(world.serverName == server);
  }
}

TEST_CASE("random and plain nonsense stays unknown, after a bounded number of packets") {
  std::mt19937 random{41};
  World world;
  for (int round = 0; round < 300; ++round) {
    auto tcp = FlowScript::tcp();
    auto udp = FlowScript::udp();
    for (int i = 0; i < 12; ++i) {
      const Bytes bytes = randomBytes(random, 700 + random() % 700);
      (random() % 2 == 0 ? tcp.initiator(bytes) : tcp.responder(bytes));
      (random() % 2 == 0 ? udp.initiator(bytes) : udp.responder(bytes));
    }
    for (const FlowScript& script : {tcp, udp}) {
      CHECK(world.applicationOf(script) == Application::unknown);
      CHECK(world.chunks <= 8);
    }
  }
  CHECK(world.applicationOf(FlowScript::tcp().initiator("hello there").responder("general kenobi")) ==
        Application::unknown);
  CHECK(world.peers.evicted() == 0);
}

TEST_CASE("what is kept is bounded, in bytes and in packets of any size") {
  World world;
  (void)world.feed(FlowScript::tcp().initiator(Bytes(70'000, 'a')));
  CHECK(world.bytes == sizeof(FlowClassification));
  (void)world.feed(FlowScript::tcp().initiator(Bytes(11'000, 'a')).initiator(Bytes(70'000, 'a')));
  CHECK(world.bytes < 30'000);
  (void)world.feed(FlowScript::tcp().initiator(Bytes(5000, 'a')), 1);
  CHECK(world.chunks == 8 * kPacketBytesFull);
  auto alternating = FlowScript::tcp();
  for (int i = 0; i < 3000; ++i) alternating.initiator("a").responder("b");
  (void)world.feed(alternating);
  CHECK(world.chunks == 8 * kPacketBytesFull);
  CHECK(world.bytes < 12'000);
  auto datagrams = FlowScript::udp();
  for (int i = 0; i < 3000; ++i) datagrams.initiator("a");
  (void)world.feed(datagrams);
  CHECK(world.chunks == 8 * kPacketBytesFull / kDatagramBytesLeast);
}

TEST_CASE("small datagrams in front do not use up the packets that are looked at") {
  World world;
  auto script = FlowScript::udp();
  for (int i = 0; i < 9; ++i) script.initiator("\r\n\r\n");
  CHECK(world.applicationOf(script.responder("REGISTER sip:example.org SIP/2.0\r\n\r\n")) == Application::sip);
}

TEST_CASE("an encrypted peer that a tracker named is found by its first packet; by behaviour it takes three") {
  std::mt19937 random{42};
  const auto script = FlowScript::tcp()
                          .initiator(randomBytes(random, 300))
                          .responder(randomBytes(random, 200))
                          .initiator(randomBytes(random, 400));
  World world;
  Classified result = world.feed(script);
  CHECK(result.application == Application::bittorrent);
  CHECK(result.confidence == kBehaviour);
  CHECK(world.chunks == 3);
  world.peers.learn(v4(2), 50'000, Application::bittorrent, world.now);
  result = world.feed(script);
  CHECK(result.application == Application::bittorrent);
  CHECK(result.confidence > kBehaviour);
  CHECK(world.chunks == 1);
}

TEST_CASE("a known peer proves nothing against other evidence, nor after its expiry, nor by the caller's port") {
  std::mt19937 random{43};
  World world;
  world.peers.learn(v4(2), 50'000, Application::bittorrent, world.now);
  CHECK(world.applicationOf(FlowScript::tcp().responder("SSH-2.0-x\r\n")) == Application::ssh);
  const auto noise = FlowScript::tcp().initiator(randomBytes(random, 700));
  CHECK(world.applicationOf(noise) == Application::bittorrent);
  world.now += PeerCache::kExpiryDefault;
  CHECK(world.applicationOf(noise) == Application::unknown);
  world.peers.learn(v4(1), 40'000, Application::bittorrent, world.now);
  CHECK(world.applicationOf(noise) == Application::unknown);
}

TEST_CASE("over UDP a known peer counts where a connection of its transport is opened, not for anything else at once") {
  const Bytes syn = Bytes{0x41, 0} + be16(7) + Bytes(12) + be16(1) + be16(0);
  World world;
  CHECK(world.feed(FlowScript::udp().initiator(syn)).confidence == kLikely);
  world.peers.learn(v4(2), 50'000, Application::bittorrent, world.now);
  Classified result = world.feed(FlowScript::udp().initiator(syn), SIZE_MAX, false);
  CHECK((result.final && result.application == Application::bittorrent && result.confidence > kLikely));
  const Bytes wireguard = Bytes{1, 0, 0, 0} + Bytes(144, 0xa5);
  CHECK_FALSE(world.feed(FlowScript::udp().initiator(wireguard), SIZE_MAX, false).final);
  CHECK(world.applicationOf(FlowScript::udp().initiator("INVITE sip:a SIP/2.0\r\n")) == Application::sip);
}

TEST_CASE("a handshake in the clear and the DHT teach where peers are") {
  std::mt19937 random{44};
  World world;
  (void)world.feed(FlowScript::tcp().responder("\x13" "BitTorrent protocol" + std::string(48, 'x')));
  CHECK(world.applicationOf(FlowScript::tcp().initiator(randomBytes(random, 700))) == Application::bittorrent);
  const std::string_view answer{
      "d1:rd2:id20:abcdefghij01234567896:valuesl6:\x0a\x00\x00\x09\x1a\xe1"
      "ee1:t2:aa1:y1:re",
      65};
  CHECK(world.applicationOf(FlowScript::udp().ports(1, 2).responder(answer)) == Application::bittorrent);
  CHECK(world.peers.find(v4(9), 6881, v4(8), world.now) == Application::bittorrent);
}

TEST_CASE("an announced FTP transfer is one, whatever it holds") {
  World world;
  world.peers.learn(v4(2), 50'000, Application::ftpData, world.now);
  CHECK(world.applicationOf(FlowScript::tcp().initiator("GET / HTTP/1.1\r\n\r\n")) == Application::ftpData);
  CHECK(world.applicationOf(FlowScript::tcp().responder(Bytes(10, 0))) == Application::ftpData);
  // What one announces to another says nothing of third parties.
  World other;
  other.peers.learn(v4(2), 50'000, Application::ftpData, other.now, 1000, v4(7));
  CHECK(other.applicationOf(FlowScript::tcp().initiator("GET / HTTP/1.1\r\n\r\n")) == Application::http);
}

TEST_CASE("an operator's own name comes before what carries it, another rank behind") {
  const auto hello = FlowScript::tcp().initiator("SSH-2.0-OurBackup_1.0\r\n");
  World plain;
  CHECK(plain.applicationOf(hello) == Application::ssh);
  World own(withOwn("backup\n^ssh-2\\.0-ourbackup\n"));
  CHECK(own.classifier.signatures()->nameOf(own.applicationOf(hello)) == "backup");
  World tracker(withOwn("intranet\n^get /announce\n"));
  const auto announce = FlowScript::tcp().initiator("GET /announce?info_hash=1 HTTP/1.1\r\n\r\n");
  CHECK(tracker.classifier.signatures()->nameOf(tracker.applicationOf(announce)) == "intranet");
  World sloppy(withOwn("# Pattern attributes: overmatch\nanything\n.\n"));
  CHECK(sloppy.applicationOf(hello) == Application::ssh);
  CHECK(sloppy.classifier.signatures()->nameOf(sloppy.applicationOf(FlowScript::tcp().initiator("what is this"))) ==
        "anything");
}

TEST_CASE("a reload in the midst of a flow takes effect on it") {
  World world(SignatureSet::build({}).set);
  FlowClassification flow;
  const auto script = FlowScript::tcp().initiator("SSH-2.").initiator("0-x\r\n");
  Classified result;
  script.forEachChunk(SIZE_MAX, [&](const Chunk& chunk) {
    result = world.classifier.feed(flow, script.ends, chunk, 0);
    CHECK((chunk.offset != 0 || !result.final));
    REQUIRE(world.classifier.useSignatures(ownSet()));
  });
  CHECK(result.application == Application::ssh);
}

TEST_CASE("without signatures the recognisers still work") {
  PeerCache peers(1);
  Classifier classifier(peers);
  FlowClassification flow;
  const Bytes connect = be32(0x417) + be32(0x27101980) + be32(0) + be32(7);
  const Classified result = classifier.feed(flow, FlowScript::udp().ends, Chunk{Side::initiator, 0, connect, true}, 0);
  CHECK(result.application == Application::bittorrent);
}

TEST_CASE("a flow without data is unknown, unless its peer is known") {
  World world;
  FlowClassification flow;
  const FlowEnds ends = FlowScript::tcp().ends;
  Classified result = world.classifier.conclude(flow, ends, world.now);
  CHECK((result.final && result.application == Application::unknown && result.confidence == 0));
  world.peers.learn(v4(2), 50'000, Application::bittorrent, world.now);
  FlowClassification another;
  result = world.classifier.conclude(another, ends, world.now);
  CHECK((result.final && result.application == Application::bittorrent && result.confidence == kLikely));
}
