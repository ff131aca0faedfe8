#include <doctest/doctest.h>

#include <random>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/demux.h"
#include "core/fragment.h"
#include "core/packet.h"
#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

InnerPacket parsed(const Bytes& bytes) {
  InnerPacket packet;
  REQUIRE(parseInner(bytes, packet) == DropReason::none);
  return packet;
}

DropReason reasonOf(const Bytes& bytes) {
  InnerPacket packet;
  return parseInner(bytes, packet);
}

}  // namespace

TEST_CASE("checksum agrees with a word-by-word sum for every length") {
  std::mt19937 random{1};
  for (size_t length = 0; length < 70; ++length) {
    Bytes bytes(length);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    CHECK(checksumOf(bytes) == slowChecksum(bytes));
  }
}

TEST_CASE("incremental checksum update equals a fresh sum") {
  std::mt19937 random{2};
  for (int i = 0; i < 2000; ++i) {
    Bytes header = ipPacket({v4(10, 0, 0, 1), v4(10, 0, static_cast<uint8_t>(random()), static_cast<uint8_t>(random()))});
    header.resize(20);
    header[8] = static_cast<uint8_t>(random());
    put16(header, 10, 0);
    const uint16_t before = checksumOf(header);
    const uint16_t word = loadBe16(&header[8]);
    --header[8];
    CHECK(checksumUpdate(before, word, loadBe16(&header[8])) == checksumOf(header));
  }
}

TEST_CASE("datagrams are told apart by their first byte") {
  for (int first = 0; first < 256; ++first) {
    const Bytes datagram{static_cast<uint8_t>(first)};
    DatagramKind expected = DatagramKind::unknown;
    if (first <= 3) expected = DatagramKind::stun;
    if (first == 8) expected = DatagramKind::vxlan;
    if (first >= 20 && first <= 63) expected = DatagramKind::dtls;
    CHECK(classifyDatagram(datagram) == expected);
  }
  CHECK(classifyDatagram({}) == DatagramKind::unknown);
}

TEST_CASE("VXLAN header round trip, truncation and missing flag") {
  std::array<uint8_t, 8> header{};
  encodeVxlan(header.data(), 0xabcdef);
  CHECK(decodeVxlan(header) == 0xabcdef);
  CHECK(!decodeVxlan(std::span{header}.first(7)));
  header[0] = 0;
  CHECK(!decodeVxlan(header));
}

TEST_CASE("IPv4: header, ports and flags are found") {
  const InnerPacket packet =
      parsed(ipPacket({.source = v4(10, 0, 0, 1), .destination = v4(10, 0, 0, 2), .hopLimit = 9, .dontFragment = true,
                       .options = Bytes(8, 1), .payload = udpPayload(1000, 53, 4)}));
  CHECK(!packet.v6);
  CHECK(packet.headerBytes == 28);
  CHECK(packet.totalBytes == 40);
  CHECK(packet.hopLimit == 9);
  CHECK(packet.dontFragment);
  CHECK(packet.portsKnown);
  CHECK(packet.sourcePort == 1000);
  CHECK(packet.destinationPort == 53);
  CHECK(packet.destination == v4(10, 0, 0, 2));
}

TEST_CASE("IPv4: padding behind the packet is not part of it") {
  Bytes bytes = ipPacket({.source = v4(10, 0, 0, 1), .destination = v4(10, 0, 0, 2)});
  const size_t length = bytes.size();
  bytes.resize(length + 20, 0);
  CHECK(parsed(bytes).totalBytes == length);
}

TEST_CASE("IPv4: contradictions are refused") {
  const Bytes good = ipPacket({.source = v4(10, 0, 0, 1), .destination = v4(10, 0, 0, 2)});
  for (size_t length = 0; length < good.size(); ++length) {
    CHECK(reasonOf({good.begin(), good.begin() + static_cast<ptrdiff_t>(length)}) == DropReason::packetMalformed);
  }
  Bytes shortHeader = good;
  shortHeader[0] = 0x44;
  CHECK(reasonOf(shortHeader) == DropReason::packetMalformed);
  Bytes longHeader = good;
  longHeader[0] = 0x4f;
  CHECK(reasonOf(longHeader) == DropReason::packetMalformed);
  Bytes shortTotal = good;
  put16(shortTotal, 2, 19);
  CHECK(reasonOf(shortTotal) == DropReason::packetMalformed);
  Bytes damaged = good;
  damaged[15] ^= 1;
  CHECK(reasonOf(damaged) == DropReason::checksumBad);
  Bytes version = good;
  version[0] = 0x55;
  CHECK(reasonOf(version) == DropReason::packetMalformed);
}

TEST_CASE("fragments: only the first one shows its ports") {
  PacketSpec spec{.source = v4(10, 0, 0, 1), .destination = v4(10, 0, 0, 2), .moreFragments = true,
                  .payload = udpPayload(7, 8, 16)};
  InnerPacket packet = parsed(ipPacket(spec));
  CHECK(packet.fragment);
  CHECK(packet.firstFragment);
  CHECK(packet.portsKnown);
  spec.fragmentOffset = 3;
  packet = parsed(ipPacket(spec));
  CHECK(packet.fragment);
  CHECK(!packet.firstFragment);
  CHECK(!packet.portsKnown);
}

TEST_CASE("IPv6: extension headers are walked, cut ones leave the transport unknown") {
  Bytes payload{kProtocolTcp, 0, 1, 4, 0, 0, 0, 0};  // hop-by-hop, padded
  const Bytes tcp = tcpPayload(5, 6, kTcpSyn);
  payload.insert(payload.end(), tcp.begin(), tcp.end());
  InnerPacket packet = parsed(ipPacket({.source = v6(1), .destination = v6(2), .protocol = 0, .payload = payload}));
  CHECK(packet.protocol == kProtocolTcp);
  CHECK(packet.transportOffset == 48);
  CHECK(packet.tcpFlags == kTcpSyn);

  Bytes cut = payload;
  cut[1] = 200;
  packet = parsed(ipPacket({.source = v6(1), .destination = v6(2), .protocol = 0, .payload = cut}));
  CHECK(packet.transportBytes == 0);
  CHECK(!packet.portsKnown);

  Bytes later{kProtocolTcp, 0, 0, 0x08, 0, 0, 0, 1};  // fragment at offset 8
  later.insert(later.end(), tcp.begin(), tcp.end());
  packet = parsed(ipPacket({.source = v6(1), .destination = v6(2), .protocol = 44, .payload = later}));
  CHECK(packet.fragment);
  CHECK(!packet.firstFragment);
  CHECK(!packet.portsKnown);
}

TEST_CASE("IPv6: truncation and mapped addresses are refused") {
  const Bytes good = ipPacket({.source = v6(1), .destination = v6(2)});
  for (size_t length = 0; length < good.size(); ++length) {
    CHECK(reasonOf({good.begin(), good.begin() + static_cast<ptrdiff_t>(length)}) == DropReason::packetMalformed);
  }
  Bytes mapped = good;
  const Address address = v4(10, 0, 0, 1);
  std::copy(address.begin(), address.end(), mapped.begin() + 24);
  CHECK(reasonOf(mapped) == DropReason::addressMartian);
}

TEST_CASE("addresses that are not forwarded") {
  const auto check = [](const Address& source, const Address& destination) {
    return checkAddresses(parsed(ipPacket({.source = source, .destination = destination})));
  };
  CHECK(check(v4(10, 0, 0, 1), v4(10, 0, 0, 2)) == DropReason::none);
  CHECK(check(v4(10, 0, 0, 1), v4(224, 0, 0, 1)) == DropReason::multicastUnsupported);
  CHECK(check(v4(10, 0, 0, 1), v4(255, 255, 255, 255)) == DropReason::multicastUnsupported);
  CHECK(check(v4(0, 0, 0, 0), v4(10, 0, 0, 2)) == DropReason::addressMartian);
  CHECK(check(v4(10, 0, 0, 1), v4(127, 0, 0, 1)) == DropReason::addressMartian);
  CHECK(check(v6(1), v6(2)) == DropReason::none);
  Address special{};
  CHECK(check(v6(1), special) == DropReason::addressMartian);
  special[15] = 1;
  CHECK(check(special, v6(1)) == DropReason::addressMartian);
  special[15] = 2;
  CHECK(check(v6(1), special) == DropReason::none);
  special[0] = 0xff;
  CHECK(check(v6(1), special) == DropReason::multicastUnsupported);
  special[0] = 0xfe;
  special[1] = 0x80;
  CHECK(check(special, v6(1)) == DropReason::addressMartian);
}

TEST_CASE("IPv4 fragmentation: pieces fit, are well formed, and put together again give the packet") {
  std::mt19937 random{3};
  for (int round = 0; round < 200; ++round) {
    PacketSpec spec{.source = v4(10, 0, 0, 1), .destination = v4(10, 0, 0, 2)};
    spec.payload.resize(500 + random() % 8000);
    for (uint8_t& byte : spec.payload) byte = static_cast<uint8_t>(random());
    // A copied option, one that is not, and the end of the list.
    if (round % 2 == 0) spec.options = {0x83, 3, 4, 0x07, 3, 4, 1, 0};
    const bool alreadyFragment = round % 3 == 0;
    if (alreadyFragment) {
      spec.moreFragments = true;
      spec.fragmentOffset = 10;
      spec.payload.resize(spec.payload.size() / 8 * 8);
    }
    const size_t mtu = 68 + random() % 1400;
    const Bytes whole = ipPacket(spec);
    const InnerPacket packet = parsed(whole);
    if (packet.totalBytes <= mtu) continue;
    Bytes joined;
    bool more = true;
    fragmentIpv4(whole, packet, mtu, [&](std::span<const uint8_t> header, std::span<const uint8_t> payload) {
      Bytes piece{header.begin(), header.end()};
      piece.insert(piece.end(), payload.begin(), payload.end());
      REQUIRE(piece.size() <= mtu);
      const InnerPacket info = parsed(piece);
      CHECK(info.totalBytes == piece.size());
      CHECK(info.source == packet.source);
      CHECK((loadBe16(&piece[6]) & 0x1fffU) == spec.fragmentOffset + joined.size() / 8);
      if (!joined.empty() && round % 2 == 0) {
        CHECK(info.headerBytes == 24);
        CHECK(piece[20] == 0x83);
      }
      joined.insert(joined.end(), payload.begin(), payload.end());
      more = (piece[6] & 0x20) != 0;
      // Offsets count in units of 8 bytes, so only the end of a packet may be odd.
      if (more) CHECK(payload.size() % 8 == 0);
    });
    CHECK(joined == spec.payload);
    CHECK(more == alreadyFragment);
  }
}
