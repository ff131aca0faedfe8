#include "gateway/checks.h"

#include <doctest/doctest.h>

#include "gateway/rewrite.h"
#include "gateway/test/gateway_packets.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

DropReason check(Bytes bytes, const Offload& offload = {}) {
  Packet packet;
  const DropReason reason = parsePacket(bytes, offload, 0, packet);
  return reason == DropReason::none ? checkTransport(packet) : reason;
}

Bytes withFlags(uint8_t flags) { return tcpPacket({.flags = flags, .data = bytesOf("data")}); }

Segment segment6() { return {.from = kClient6, .to = kServer6, .data = bytesOf("over six")}; }

}  // namespace

TEST_CASE("TCP headers are read, in both families") {
  for (const bool six : {false, true}) {
    Segment segment = six ? segment6() : Segment{};
    segment.sequence = 0x01020304;
    segment.acknowledgement = 0x05060708;
    segment.flags = kTcpAck | kTcpPsh;
    segment.window = 4321;
    segment.options = {1, 1, 1, 0};
    segment.data = bytesOf("payload");
    Bytes bytes = tcpPacket(segment);
    bytes.push_back(0);  // padding of the link layer
    Packet packet = parsed(bytes);
    REQUIRE(checkTransport(packet) == DropReason::none);
    CHECK(packet.tcp.sequence == 0x01020304);
    CHECK(packet.tcp.acknowledgement == 0x05060708);
    CHECK(packet.tcp.flags == (kTcpAck | kTcpPsh));
    CHECK(packet.tcp.window == 4321);
    CHECK(packet.tcp.headerBytes == 24);
    CHECK(textOf(packet.payload()) == "payload");
  }
}

TEST_CASE("a wrong bit anywhere behind the IP header is found, unless the checksum is left to the kernel") {
  const Bytes good[] = {tcpPacket({.data = bytesOf("some data")}), tcpPacket(segment6()),
                        udpPacket(kClient, kServer, bytesOf("odd")), udpPacket(kClient6, kServer6, bytesOf("even"))};
  for (const Bytes& packet : good) {
    REQUIRE(check(packet) == DropReason::none);
    const size_t header = packet[0] >> 4 == 6 ? 40 : 20;
    for (size_t at = header; at < packet.size(); ++at) {
      Bytes bad = packet;
      bad[at] ^= 0x04;
      CHECK(check(bad) != DropReason::none);
    }
    Bytes unfinished = packet;
    unfinished.back() ^= 1;
    CHECK(check(unfinished) == DropReason::gatewayChecksum);
    CHECK(check(unfinished, {.needsChecksum = true}) == DropReason::none);
  }
}

TEST_CASE("UDP without a checksum passes over IPv4 only") {
  Bytes four = udpPacket(kClient, kServer, bytesOf("abc"));
  put16(four, 26, 0);
  CHECK(check(four) == DropReason::none);
  Bytes six = udpPacket(kClient6, kServer6, bytesOf("abc"));
  put16(six, 46, 0);
  CHECK(check(six) == DropReason::gatewayChecksum);
}

TEST_CASE("what lies behind the end of a UDP datagram is not its payload") {
  Bytes transport(8, 0);
  put16(transport, 0, 1);
  put16(transport, 2, 53);
  put16(transport, 4, 10);
  transport.insert(transport.end(), {'h', 'i'});
  put16(transport, 6, transportChecksum(kClient.address, kServer.address, kProtocolUdp, transport));
  transport.insert(transport.end(), {'b', 'a', 'd'});
  Bytes bytes = wrap(kClient, kServer, kProtocolUdp, transport);
  Packet packet = parsed(bytes);
  REQUIRE(checkTransport(packet) == DropReason::none);
  CHECK(textOf(packet.payload()) == "hi");
  CHECK(overwritePayload(packet, 0, bytesOf("HI")));
  finishRewrite(packet);
  Packet again = parsed(bytes);
  CHECK(checkTransport(again) == DropReason::none);
}

TEST_CASE("of IPv6, a packet with more headers than are looked through is refused, and one whose chain is cut short") {
  const Bytes plain = tcpPacket(segment6());
  const auto withOptions = [&](size_t headers) {
    Bytes bytes(plain.begin(), plain.begin() + 40);
    for (size_t i = 0; i < headers; ++i) {
      const auto next = static_cast<uint8_t>(i + 1 < headers ? 60 : kProtocolTcp);
      bytes.insert(bytes.end(), {next, 0, 1, 4, 0, 0, 0, 0});
    }
    bytes.insert(bytes.end(), plain.begin() + 40, plain.end());
    if (headers > 0) bytes[6] = 60;
    bytes[4] = static_cast<uint8_t>((bytes.size() - 40) >> 8);
    bytes[5] = static_cast<uint8_t>(bytes.size() - 40);
    return bytes;
  };
  CHECK(check(withOptions(0)) == DropReason::none);
  CHECK(check(withOptions(8)) == DropReason::none);
  CHECK(check(withOptions(9)) == DropReason::gatewayHeader);
  Bytes cut = withOptions(1);
  cut[41] = 200;
  CHECK(check(cut) == DropReason::gatewayHeader);
}

TEST_CASE("headers that contradict themselves are refused") {
  Bytes longHeader = tcpPacket({});
  longHeader[32] = 0xf0;
  CHECK(check(longHeader) == DropReason::gatewayHeader);
  Bytes shortHeader = tcpPacket({});
  shortHeader[32] = 0x40;
  CHECK(check(shortHeader) == DropReason::gatewayHeader);
  CHECK(check(wrap(kClient, kServer, kProtocolTcp, Bytes(19, 0))) == DropReason::gatewayHeader);
  CHECK(check(wrap(kClient, kServer, kProtocolUdp, Bytes(7, 0))) == DropReason::gatewayHeader);
  Bytes longUdp = udpPacket(kClient, kServer, bytesOf("abc"));
  put16(longUdp, 24, 100);
  CHECK(check(longUdp) == DropReason::gatewayHeader);
}

TEST_CASE("combinations of flags that no TCP sends are refused") {
  const std::vector<int> possible{kTcpSyn, kTcpRst,           kTcpAck,          kTcpSyn | kTcpAck, kTcpFin | kTcpAck,
                                  kTcpRst | kTcpAck, kTcpAck | kTcpPsh};
  for (const int flags : possible) CHECK(check(withFlags(static_cast<uint8_t>(flags))) == DropReason::none);
  const std::vector<int> impossible{0,
                                    kTcpFin,
                                    kTcpPsh,
                                    kTcpSyn | kTcpFin,
                                    kTcpSyn | kTcpRst,
                                    kTcpRst | kTcpFin,
                                    kTcpSyn | kTcpFin | kTcpAck,
                                    kTcpFin | kTcpPsh | kTcpUrg};
  for (const int flags : impossible) {
    CHECK(check(withFlags(static_cast<uint8_t>(flags))) == DropReason::gatewayHeader);
  }
}

TEST_CASE("rewriting leaves a packet that a receiver accepts") {
  for (const bool six : {false, true}) {
    Segment segment = six ? segment6() : Segment{};
    segment.flags = kTcpAck | kTcpUrg;
    segment.urgent = 3;
    segment.data = bytesOf("0123456789");
    Bytes bytes = tcpPacket(segment);
    Packet packet = parsed(bytes);
    REQUIRE(checkTransport(packet) == DropReason::none);
    CHECK(!overwritePayload(packet, 2, bytesOf("23")));
    finishRewrite(packet);
    CHECK(bytes == tcpPacket(segment));
    CHECK(overwritePayload(packet, 2, bytesOf("XY")));
    clearUrgent(packet);
    trimPayload(packet, 5);
    finishRewrite(packet);
    segment.flags = kTcpAck;
    segment.urgent = 0;
    segment.data = bytesOf("01XY4");
    CHECK(Bytes(packet.bytes.begin(), packet.bytes.end()) == tcpPacket(segment));
  }
}

TEST_CASE("of a packet whose checksum is left to the kernel, rewriting keeps the sum of the pseudo-header right") {
  Segment segment{.flags = kTcpSyn, .data = bytesOf("early data")};
  Bytes bytes = tcpPacket(segment);
  Packet packet;
  REQUIRE(parsePacket(bytes, {.needsChecksum = true, .checksumStart = 34, .checksumOffset = 16}, 0, packet) ==
          DropReason::none);
  REQUIRE(checkTransport(packet) == DropReason::none);
  trimPayload(packet, 0);
  finishRewrite(packet);
  completeChecksum(packet.offload, packet.ip, packet.bytes);
  segment.data.clear();
  CHECK(Bytes(packet.bytes.begin(), packet.bytes.end()) == tcpPacket(segment));
}
