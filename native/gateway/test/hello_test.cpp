// TLS and QUIC clients: what their first message says, in any cut.
#include <doctest/doctest.h>
#include <openssl/evp.h>

#include "gateway/ja4.h"
#include "gateway/quic_crypto_stream.h"
#include "gateway/quic_initial.h"
#include "gateway/recognisers/hello_summary.h"
#include "gateway/test/flow_script.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

struct HelloShape {
  std::vector<uint16_t> ciphers{0x0a0a, 0x002f, 0x0035, 0x009c, 0x009d, 0x1301, 0x1302, 0x1303, 0xc013,
                                0xc014, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9};
  std::vector<uint16_t> extensions{0x1a1a, 0xff01, 0x4469, 0x0000, 0x0033, 0x002d, 0x002b, 0x0023, 0x001b,
                                   0x0017, 0x0015, 0x0012, 0x0010, 0x000d, 0x000b, 0x000a, 0x0005};
  std::string_view serverName = "www.example.org";
  std::string_view protocol = "h2";
};

Bytes sized16(const Bytes& bytes) { return be16(static_cast<uint32_t>(bytes.size())) + bytes; }
Bytes sized8(const Bytes& bytes) { return Bytes{static_cast<uint8_t>(bytes.size())} + bytes; }

Bytes extensionBody(uint16_t type, const HelloShape& shape) {
  switch (type) {
    case 0x0000: return sized16(Bytes{0} + sized16(bytesOf(shape.serverName)));
    case 0x0010: return sized16(sized8(bytesOf(shape.protocol)) + sized8(bytesOf("http/1.1")));
    case 0x002b: return sized8(be16(0x2a2a) + be16(0x0304) + be16(0x0303));
    case 0x000d: {
      Bytes list;
      for (const uint32_t number : {0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601})
        list = list + be16(number);
      return sized16(list);
    }
    case 0xfe0d: return Bytes{0, 1, 2, 3};
    default: return {};
  }
}

Bytes clientHello(const HelloShape& shape = {}) {
  Bytes ciphers;
  for (const uint16_t cipher : shape.ciphers) ciphers = ciphers + be16(cipher);
  Bytes extensions;
  for (const uint16_t type : shape.extensions)
    extensions = extensions + be16(type) + sized16(extensionBody(type, shape));
  const Bytes body =
      be16(0x0303) + Bytes(32, 7) + sized8(Bytes(32, 8)) + sized16(ciphers) + sized8({0}) + sized16(extensions);
  return Bytes{1} + be24(static_cast<uint32_t>(body.size())) + body;
}

// In records of at most so many bytes.
Bytes tlsRecords(const Bytes& handshake, size_t bytesMax) {
  Bytes stream;
  for (size_t at = 0; at < handshake.size(); at += bytesMax) {
    const size_t count = std::min(bytesMax, handshake.size() - at);
    stream =
        stream + Bytes{22, 3, 1} + be16(static_cast<uint32_t>(count)) +
        Bytes(handshake.begin() + static_cast<ptrdiff_t>(at), handshake.begin() + static_cast<ptrdiff_t>(at + count));
  }
  return stream;
}

Bytes quicInteger(size_t value) { return be16(static_cast<uint32_t>(0x4000 | value)); }

Bytes cryptoFrame(const Bytes& handshake, size_t offset, size_t count) {
  const auto from = handshake.begin() + static_cast<ptrdiff_t>(offset);
  return Bytes{6} + quicInteger(offset) + quicInteger(count) + Bytes(from, from + static_cast<ptrdiff_t>(count));
}

struct EvpContext {
  EVP_CIPHER_CTX* handle = EVP_CIPHER_CTX_new();
  EvpContext() = default;
  EvpContext(const EvpContext&) = delete;
  EvpContext& operator=(const EvpContext&) = delete;
  ~EvpContext() { EVP_CIPHER_CTX_free(handle); }
};

// A client's initial packet, sealed as RFC 9001 §5 says, with the keys of `original`.
Bytes quicInitial(uint32_t version, const Bytes& original, const Bytes& destination, uint8_t number, Bytes frames) {
  const auto keys = clientInitialKeys(version, original);
  REQUIRE(keys.has_value());
  frames.resize(std::max<size_t>(frames.size(), 1100));
  const uint8_t first = version == 0x6b3343cf ? 0xd0 : 0xc0;
  const Bytes header = Bytes{first} + be32(version) + sized8(destination) + sized8({5, 6, 7}) + Bytes{0} +
                       quicInteger(frames.size() + 1 + 16) + Bytes{number};
  std::array<uint8_t, 12> nonce = keys->iv;
  nonce[11] ^= number;
  Bytes sealed(frames.size() + 16);
  int written = 0;
  const EvpContext gcm;
  REQUIRE(EVP_EncryptInit_ex(gcm.handle, EVP_aes_128_gcm(), nullptr, keys->key.data(), nonce.data()) == 1);
  REQUIRE(EVP_EncryptUpdate(gcm.handle, nullptr, &written, header.data(), static_cast<int>(header.size())) == 1);
  REQUIRE(EVP_EncryptUpdate(gcm.handle, sealed.data(), &written, frames.data(), static_cast<int>(frames.size())) == 1);
  REQUIRE(EVP_EncryptFinal_ex(gcm.handle, sealed.data() + written, &written) == 1);
  REQUIRE(EVP_CIPHER_CTX_ctrl(gcm.handle, EVP_CTRL_AEAD_GET_TAG, 16, &sealed[frames.size()]) == 1);
  std::array<uint8_t, 32> mask{};
  const EvpContext ecb;
  REQUIRE(EVP_EncryptInit_ex(ecb.handle, EVP_aes_128_ecb(), nullptr, keys->headerProtection.data(), nullptr) == 1);
  REQUIRE(EVP_EncryptUpdate(ecb.handle, mask.data(), &written, &sealed[3], 16) == 1);
  Bytes packet = header + sealed;
  packet[0] = static_cast<uint8_t>(packet[0] ^ (mask[0] & 0x0f));
  packet[header.size() - 1] ^= mask[1];
  return packet;
}

const Bytes kDestination = hex("8394c8f03e515708");

template <size_t N>
Bytes asBytes(const std::array<uint8_t, N>& array) {
  return {array.begin(), array.end()};
}

}  // namespace

TEST_CASE("a hello is read, and fingerprinted as JA4's authors do") {
  ClientHello hello;
  const Bytes message = clientHello();
  REQUIRE(parseClientHello(message, hello) == HelloParse::whole);
  CHECK(hello.serverName == "www.example.org");
  CHECK(hello.applicationProtocols.size() == 2);
  CHECK(highestVersion(hello) == 0x0304);
  CHECK_FALSE(hello.encryptedHello);
  // The example of the published description.
  CHECK(ja4Of(hello, HelloTransport::tcp) == "t13d1516h2_8daaf6152771_e5627efa2ab1");
  CHECK(ja4Of(hello, HelloTransport::quic).starts_with("q13d"));
  for (size_t cut = 0; cut < message.size(); ++cut)
    CHECK(parseClientHello(std::span(message).first(cut), hello) == HelloParse::cut);
}

TEST_CASE("an encrypted inner hello is noticed") {
  HelloShape shape;
  shape.extensions.push_back(0xfe0d);
  ClientHello hello;
  const Bytes message = clientHello(shape);
  REQUIRE(parseClientHello(message, hello) == HelloParse::whole);
  CHECK(hello.encryptedHello);
}

TEST_CASE("hellos with nothing in them, and with what no host name holds") {
  HelloShape shape;
  shape.extensions = {0};
  shape.serverName = "evil\n\"name";
  ClientHello hello;
  Bytes message = clientHello(shape);
  REQUIRE(parseClientHello(message, hello) == HelloParse::whole);
  CHECK(hello.serverName.empty());
  CHECK(ja4Of(hello, HelloTransport::tcp).starts_with("t12d150100_8daaf6152771_000000000000"));
  message[4] = 9;
  CHECK(parseClientHello(message, hello) == HelloParse::malformed);
}

TEST_CASE("TLS is recognised in any cut of records and segments") {
  for (const size_t record : {1, 7, 100, 5000}) {
    const Bytes stream = tlsRecords(clientHello(), record);
    Discoveries discoveries;
    CHECK(isFound(FlowScript::tcp().initiator(stream).ask(recogniseTls, discoveries), Application::tls));
    REQUIRE(discoveries.hello.has_value());
    CHECK(discoveries.hello->serverName == "www.example.org");
    CHECK(discoveries.hello->applicationProtocol == "h2");
    for (size_t cut = 1; cut < stream.size(); cut += 13) {
      const Bytes front(stream.begin(), stream.begin() + static_cast<ptrdiff_t>(cut));
      CHECK(isOpen(FlowScript::tcp().initiator(front).ask(recogniseTls)));
    }
  }
}

TEST_CASE("TLS by the server alone; and what only begins like it") {
  const Bytes serverHello = Bytes{2} + be24(70) + be16(0x0303) + Bytes(32, 9) + sized8(Bytes(32)) + Bytes(3);
  CHECK(isFound(FlowScript::tcp().initiator("??").responder(tlsRecords(serverHello, 9000)).ask(recogniseTls),
                Application::tls));
  CHECK(isFound(FlowScript::tcp().initiator("?").responder(tlsRecords(clientHello(), 9000)).ask(recogniseTls),
                Application::tls));
  CHECK(isNever(FlowScript::tcp().initiator(Bytes{22, 3, 1, 0, 5, 9, 9, 9, 9, 9}).responder("x").ask(recogniseTls)));
  CHECK(isNever(FlowScript::tcp().initiator(Bytes{22, 9, 1, 0, 5}).responder("x").ask(recogniseTls)));
}

TEST_CASE("servers that belong to one application name it") {
  HelloShape shape;
  shape.serverName = "Edge.Skype.com";
  CHECK(
      isFound(FlowScript::tcp().initiator(tlsRecords(clientHello(shape), 9000)).ask(recogniseTls), Application::skype));
  shape.serverName = "notskype.com";
  CHECK(isFound(FlowScript::tcp().initiator(tlsRecords(clientHello(shape), 9000)).ask(recogniseTls), Application::tls));
}

TEST_CASE("initial keys are those of RFC 9001 and RFC 9369") {
  const auto first = clientInitialKeys(1, kDestination);
  REQUIRE(first.has_value());
  CHECK(asBytes(first->key) == hex("1f369613dd76d5467730efcbe3b1a22d"));
  CHECK(asBytes(first->iv) == hex("fa044b2f42a3fd3b46fb255c"));
  CHECK(asBytes(first->headerProtection) == hex("9f50449e04a0e810283a1e9933adedd2"));
  const auto second = clientInitialKeys(0x6b3343cf, kDestination);
  REQUIRE(second.has_value());
  CHECK(asBytes(second->key) == hex("8b1a0bc121284290a29e0971b5cd045d"));
  CHECK(asBytes(second->iv) == hex("91f73e2351d8fa91660e909f"));
  CHECK(asBytes(second->headerProtection) == hex("45b95e15235d6f45a6b19cbcb0294ba9"));
  CHECK_FALSE(clientInitialKeys(0x1a2a3a4a, kDestination));
}

TEST_CASE("QUIC of each version, with its hello in one packet") {
  const Bytes hello = clientHello();
  for (const uint32_t version : {0x00000001U, 0x6b3343cfU, 0xff00001dU}) {
    Discoveries discoveries;
    const Bytes packet = quicInitial(version, kDestination, kDestination, 0, cryptoFrame(hello, 0, hello.size()));
    CHECK(isFound(FlowScript::udp().initiator(packet).ask(recogniseQuic, discoveries), Application::quic));
    REQUIRE(discoveries.hello.has_value());
    CHECK(discoveries.hello->serverName == "www.example.org");
    CHECK(discoveries.hello->ja4.starts_with("q13d1516h2_"));
    Bytes damaged = packet;
    damaged[damaged.size() - 1] ^= 1;
    CHECK(isOpen(FlowScript::udp().initiator(damaged).ask(recogniseQuic)));
  }
}

TEST_CASE("QUIC hellos in pieces: shuffled, repeated, between pings, over packets, under the server's name") {
  const Bytes hello = clientHello();
  std::mt19937 random{31};
  for (int round = 0; round < 100; ++round) {
    std::vector<Bytes> frames;
    for (size_t at = 0; at < hello.size();) {
      const size_t count = std::min<size_t>(1 + random() % 90, hello.size() - at);
      frames.push_back(cryptoFrame(hello, at, count));
      if (random() % 3 == 0) frames.push_back({1});
      if (random() % 4 == 0) frames.push_back(frames.front());
      at += count;
    }
    std::shuffle(frames.begin(), frames.end(), random);
    std::array<Bytes, 2> contents;
    for (const Bytes& frame : frames) {
      Bytes& content = contents[random() % 2];
      content = content + frame;
    }
    const bool renamed = random() % 2 == 0;
    const Bytes second = renamed ? Bytes{1, 2, 3, 4} : kDestination;
    const bool retried = renamed && random() % 2 == 0;
    auto flow = FlowScript::udp().initiator(quicInitial(1, kDestination, kDestination, 0, contents[0]));
    if (!contents[1].empty()) flow.initiator(quicInitial(1, retried ? second : kDestination, second, 1, contents[1]));
    Discoveries discoveries;
    CHECK(isFound(flow.ask(recogniseQuic, discoveries), Application::quic));
    REQUIRE(discoveries.hello.has_value());
    CHECK(discoveries.hello->serverName == "www.example.org");
  }
}

TEST_CASE("QUIC without its whole hello stays an opinion, and after some packets is one for good") {
  const Bytes hello = clientHello();
  const Bytes packet = quicInitial(1, kDestination, kDestination, 0, cryptoFrame(hello, 0, 40));
  auto flow = FlowScript::udp().initiator(packet);
  Finding finding = flow.ask(recogniseQuic);
  CHECK(isOpen(finding));
  CHECK(finding.application == Application::quic);
  flow.initiator(packet).initiator(packet).initiator(packet);
  CHECK(isFound(flow.ask(recogniseQuic), Application::quic));
}

TEST_CASE("QUIC in the midst of its handshake, by ids that mirror each other") {
  const auto handshakePacket = [](const Bytes& destination, const Bytes& source) {
    return Bytes{0xe0} + be32(1) + sized8(destination) + sized8(source) + Bytes(40, 3);
  };
  const auto flow =
      FlowScript::udp().responder(handshakePacket({1, 2}, {3, 4})).initiator(handshakePacket({3, 4}, {1, 2}));
  CHECK(isFound(flow.ask(recogniseQuic), Application::quic));
  CHECK(isOpen(FlowScript::udp()
                   .responder(handshakePacket({1, 2}, {3, 4}))
                   .initiator(handshakePacket({9}, {8}))
                   .ask(recogniseQuic)));
  CHECK(isNever(FlowScript::udp().initiator(Bytes(40, 0xc0)).ask(recogniseQuic)));
}

TEST_CASE("a crypto stream takes the first of what overlaps, and holds no more than it may") {
  QuicCryptoStream stream;
  CHECK(stream.addFrames(cryptoFrame(bytesOf("abcdef"), 2, 2)));
  CHECK(stream.prefix().empty());
  CHECK(stream.addFrames(cryptoFrame(bytesOf("ABCDEF"), 0, 6)));
  CHECK(std::ranges::equal(stream.prefix(), bytesOf("ABcdEF")));
  CHECK(stream.addFrames({}));
  const Bytes far = Bytes{6, 0xc0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 'x'};
  CHECK(stream.addFrames(far));
  CHECK(stream.prefix().size() == 6);
  CHECK_FALSE(stream.addFrames(Bytes{0x30}));
  CHECK_FALSE(stream.addFrames(Bytes{6, 0, 9, 'x'}));
}
