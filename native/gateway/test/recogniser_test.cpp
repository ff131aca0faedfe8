#include <doctest/doctest.h>

#include "gateway/test/flow_script.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

Bytes edonkeyMessage(uint8_t protocol, uint8_t opcode, const Bytes& body) {
  return Bytes{protocol} + le32(static_cast<uint32_t>(body.size() + 1)) + Bytes{opcode} + body;
}

// Hash, id, port, and one tag: the nickname.
const Bytes kIntroduction =
    Bytes(16, 0x5a) + le32(1) + le16(4662) + le32(1) + Bytes{2} + le16(1) + Bytes{1} + le16(3) + bytesOf("ann");

const Bytes kDnsQuestion = hex("4d150100000100000000000003777777046e746f70036f72670000010001");
const Bytes kDnsAnswer =
    hex("4d158180000100010000000003777777046e746f70036f72670000010001c00c00010001000000e90004b23ec582");

Bytes stunMessage(uint16_t type, uint32_t cookie, const Bytes& attributes) {
  return be16(type) + be16(static_cast<uint32_t>(attributes.size())) + be32(cookie) + Bytes(12, 3) + attributes;
}

}  // namespace

TEST_CASE("eDonkey over TCP") {
  const Bytes hello = edonkeyMessage(0xe3, 0x01, Bytes{16} + kIntroduction);
  CHECK(isFound(FlowScript::tcp().initiator(hello).ask(recogniseEdonkey), Application::edonkey));
  CHECK(isFound(FlowScript::tcp().initiator(edonkeyMessage(0xe3, 0x01, kIntroduction)).ask(recogniseEdonkey),
                Application::edonkey));
  CHECK(isFound(FlowScript::tcp()
                    .responder(edonkeyMessage(0xe3, 0x40, Bytes(8)))
                    .responder(edonkeyMessage(0xe3, 0x34, Bytes(8)))
                    .ask(recogniseEdonkey),
                Application::edonkey));
  CHECK(isFound(FlowScript::tcp()
                    .initiator(edonkeyMessage(0xc5, 0x81, Bytes(16)))
                    .responder(edonkeyMessage(0xc5, 0x82, Bytes(18)))
                    .ask(recogniseEdonkey),
                Application::edonkey));
  for (size_t cut = 0; cut < 36; ++cut) {
    const Bytes front(hello.begin(), hello.begin() + static_cast<ptrdiff_t>(cut));
    CHECK(isOpen(FlowScript::tcp().initiator(front).ask(recogniseEdonkey)));
  }
  CHECK(isNever(FlowScript::tcp().initiator("GET /").ask(recogniseEdonkey)));
  CHECK(isNever(FlowScript::tcp().initiator(edonkeyMessage(0xe3, 0xf0, Bytes(8))).ask(recogniseEdonkey)));
  CHECK(isNever(FlowScript::tcp().initiator(edonkeyMessage(0xe3, 0x01, Bytes(100))).ask(recogniseEdonkey)));
  CHECK(isNever(
      FlowScript::tcp().initiator(Bytes{0xe3} + le32(0x40000000) + Bytes{1} + kIntroduction).ask(recogniseEdonkey)));
}

TEST_CASE("eDonkey over UDP, and Kademlia") {
  const Bytes wanted = Bytes{0xe4, 0x21, 0x0b} + Bytes(32, 9);
  CHECK(isFound(FlowScript::udp().initiator(wanted).ask(recogniseEdonkeyUdp), Application::edonkey));
  CHECK(isFound(
      FlowScript::udp().initiator(Bytes{0xe4, 0x29} + Bytes(16) + Bytes{2} + Bytes(50)).ask(recogniseEdonkeyUdp),
      Application::edonkey));
  CHECK(isNever(
      FlowScript::udp().initiator(Bytes{0xe4, 0x29} + Bytes(16) + Bytes{3} + Bytes(50)).ask(recogniseEdonkeyUdp)));
  CHECK(isNever(FlowScript::udp().initiator(Bytes{0xe4, 0x21, 0x05} + Bytes(32, 9)).ask(recogniseEdonkeyUdp)));
  const Bytes state = Bytes{0xe3, 0x96} + Bytes(4);
  CHECK(isOpen(FlowScript::udp().initiator(state).ask(recogniseEdonkeyUdp)));
  CHECK(isFound(FlowScript::udp().initiator(state).responder(Bytes{0xe3, 0x97} + Bytes(30)).ask(recogniseEdonkeyUdp),
                Application::edonkey));
  CHECK(isNever(FlowScript::udp().initiator(state).responder("hello").ask(recogniseEdonkeyUdp)));
  CHECK(isNever(FlowScript::udp().initiator(Bytes{0xe3}).ask(recogniseEdonkeyUdp)));
}

TEST_CASE("FastTrack's ping over UDP") {
  const std::string_view ping{"\x27\x00\x00\x00\x29\x80KaZaA\x00", 12};
  CHECK(isFound(FlowScript::udp().initiator(ping).ask(recogniseFasttrackUdp), Application::fasttrack));
  CHECK(isOpen(FlowScript::udp().initiator("\x27KaZaA").ask(recogniseFasttrackUdp)));
}

TEST_CASE("Skype between nodes, by the refusal that tells the sender's address") {
  const Bytes request = Bytes{0x12, 0x34, 0x02} + Bytes(20, 0x77);
  const Bytes refusal = Bytes{0x12, 0x34, 0x77, 10, 0, 0, 1, 1, 2, 3, 4};
  const Bytes other = Bytes{0x12, 0x34, 0x77, 99, 0, 0, 1, 1, 2, 3, 4};
  CHECK(isFound(FlowScript::udp().initiator(request).responder(refusal).ask(recogniseSkype), Application::skype));
  CHECK(isOpen(FlowScript::udp().initiator(request).responder(other).ask(recogniseSkype)));
  const Bytes again = Bytes{0x12, 0x34, 0x03} + Bytes(20, 0x66);
  const Finding behaviour = FlowScript::udp().initiator(request).responder(other).initiator(again).ask(recogniseSkype);
  CHECK(isFound(behaviour, Application::skype));
  CHECK(behaviour.confidence == kBehaviour);
  CHECK(isNever(FlowScript::udp()
                    .initiator(request)
                    .responder(Bytes{0x12, 0x35, 0x77, 10, 0, 0, 1, 1, 2, 3, 4})
                    .ask(recogniseSkype)));
  CHECK(isNever(FlowScript::udp().initiator("hi").ask(recogniseSkype)));
}

TEST_CASE("DNS by whole messages; its port only tells its variants apart") {
  CHECK(isFound(FlowScript::udp().ports(5000, 53).initiator(kDnsQuestion).ask(recogniseDns), Application::dns));
  CHECK(isFound(FlowScript::udp().ports(5353, 5353).initiator(kDnsQuestion).ask(recogniseDns), Application::mdns));
  CHECK(isFound(FlowScript::udp().ports(137, 137).initiator(kDnsQuestion).ask(recogniseDns), Application::netbios));
  CHECK(isOpen(FlowScript::udp().initiator(kDnsQuestion).ask(recogniseDns)));
  CHECK(isFound(FlowScript::udp().initiator(kDnsQuestion).responder(kDnsAnswer).ask(recogniseDns), Application::dns));
  CHECK(isNever(FlowScript::udp().ports(5000, 53).initiator("not dns at all, by far").ask(recogniseDns)));
  CHECK(isNever(FlowScript::udp().ports(5000, 53).initiator(kDnsQuestion + Bytes{0}).ask(recogniseDns)));
  for (size_t cut = 0; cut < kDnsAnswer.size(); ++cut) {
    const Bytes front(kDnsAnswer.begin(), kDnsAnswer.begin() + static_cast<ptrdiff_t>(cut));
    if (cut > 0) CHECK(isNever(FlowScript::udp().ports(5000, 53).responder(front).ask(recogniseDns)));
  }
}

TEST_CASE("DNS over TCP") {
  const Bytes framed = be16(static_cast<uint32_t>(kDnsQuestion.size())) + kDnsQuestion;
  CHECK(isFound(FlowScript::tcp().initiator(framed).ask(recogniseDnsOverTcp), Application::dns));
  CHECK(isOpen(FlowScript::tcp().initiator(Bytes(framed.begin(), framed.begin() + 12)).ask(recogniseDnsOverTcp)));
  CHECK(isNever(FlowScript::tcp().initiator("GET / HTTP/1.1").ask(recogniseDnsOverTcp)));
}

TEST_CASE("STUN with and without its cookie") {
  constexpr uint32_t cookie = 0x2112a442;
  const Bytes software = be16(0x8022) + be16(3) + bytesOf("abc") + Bytes(1);
  CHECK(isFound(FlowScript::udp().initiator(stunMessage(1, cookie, software)).ask(recogniseStun), Application::stun));
  CHECK(isNever(FlowScript::udp().initiator(stunMessage(1, cookie, be16(1) + be16(9))).ask(recogniseStun)));
  CHECK(isNever(FlowScript::udp().initiator(stunMessage(1, cookie, software) + Bytes(4)).ask(recogniseStun)));
  CHECK(isOpen(FlowScript::udp().initiator(stunMessage(1, 7, {})).ask(recogniseStun)));
  CHECK(isFound(
      FlowScript::udp().initiator(stunMessage(1, 7, {})).responder(stunMessage(0x101, 7, {})).ask(recogniseStun),
      Application::stun));
  CHECK(isFound(FlowScript::tcp().initiator(stunMessage(1, cookie, software)).ask(recogniseStunOverTcp),
                Application::stun));
  CHECK(isNever(FlowScript::tcp().initiator(stunMessage(1, 7, software)).ask(recogniseStunOverTcp)));
}

TEST_CASE("DTLS by a hello in epoch 0") {
  const Bytes message = Bytes{1} + be24(40) + be16(0) + be24(0) + be24(40) + Bytes(40);
  const Bytes record =
      Bytes{22} + be16(0xfefd) + be16(0) + Bytes(6) + be16(static_cast<uint32_t>(message.size())) + message;
  CHECK(isFound(FlowScript::udp().initiator(record).ask(recogniseDtls), Application::dtls));
  Bytes other = record;
  other[1] = 3;
  CHECK(isNever(FlowScript::udp().initiator(other).ask(recogniseDtls)));
}

TEST_CASE("no recogniser of datagrams takes random bytes for its own") {
  std::mt19937 random{21};
  for (int round = 0; round < 20'000; ++round) {
    const auto flow = FlowScript::udp()
                          .initiator(randomBytes(random, 1 + random() % 200))
                          .responder(randomBytes(random, 1 + random() % 200));
    for (const auto recognise :
         {recogniseUtp, recogniseDht, recogniseUdpTracker, recogniseEdonkeyUdp, recogniseFasttrackUdp, recogniseSkype,
          recogniseQuic, recogniseDns, recogniseStun, recogniseDtls}) {
      CHECK(flow.ask(recognise).kind != Finding::Kind::found);
    }
  }
}
