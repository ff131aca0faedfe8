#include "core/segment.h"

#include <doctest/doctest.h>

#include "core/checksum.h"
#include "test/flow_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

FlowPacket randomSuper(std::mt19937& random, size_t dataBytes) {
  FlowPacket super;
  super.v6 = random() % 2 == 0;
  super.tcp = random() % 2 == 0;
  super.trafficClass = static_cast<uint8_t>(random());
  super.dontFragment = random() % 2 == 0;
  super.identification = static_cast<uint16_t>(random());
  super.sequence = static_cast<uint32_t>(random());
  super.acknowledgement = static_cast<uint32_t>(random());
  super.flags = static_cast<uint8_t>(random());
  super.window = static_cast<uint16_t>(random());
  super.urgent = static_cast<uint16_t>(random());
  super.options = randomBytes(random, random() % 11 * 4);
  super.data = randomBytes(random, dataBytes);
  return super;
}

std::optional<Division> divideBytes(const Offload& offload, const Bytes& ip, InnerPacket& parsed) {
  if (parseInner(ip, parsed) != DropReason::none) return std::nullopt;
  return divide(offload, parsed, ip);
}

}  // namespace

TEST_CASE("checksum: any length and place, with and without copying, agrees with the slow one") {
  std::mt19937 random{1};
  const Bytes memory = randomBytes(random, 3000);
  for (int round = 0; round < 3000; ++round) {
    const size_t from = random() % 70;
    const size_t length = round < 600 ? static_cast<size_t>(round) : random() % (memory.size() - from);
    const Bytes bytes{memory.begin() + static_cast<ptrdiff_t>(from), memory.begin() + static_cast<ptrdiff_t>(from + length)};
    REQUIRE(checksumOf(std::span{memory}.subspan(from, length)) == slowChecksum(bytes));
    Bytes copy(length + 1, 0xee);
    REQUIRE(checksumFinish(checksumCopy(copy.data(), std::span{memory}.subspan(from, length), 0)) == slowChecksum(bytes));
    REQUIRE(std::equal(bytes.begin(), bytes.end(), copy.begin()));
    REQUIRE(copy[length] == 0xee);
  }
  CHECK(checksumOf(Bytes(65'536, 0xff)) == slowChecksum(Bytes(65'536, 0xff)));
}

TEST_CASE("segment: random super-packets come out as the slow twin's packets") {
  std::mt19937 random{2};
  std::array<uint8_t, kEncapsulationBytes> encapsulation;
  encapsulation.fill(0xab);
  for (int round = 0; round < 400; ++round) {
    const FlowPacket super = randomSuper(random, 1 + random() % (round < 20 ? 60'000 : 6000));
    const size_t segmentBytes = 48 + random() % 1500;
    const Bytes ip = buildUnfinished(super);
    InnerPacket parsed;
    const auto division = divideBytes(offloadOf(super, segmentBytes), ip, parsed);
    REQUIRE(division);
    const auto expected = cutUp(super, segmentBytes);
    REQUIRE(division->count == expected.size());
    Bytes room(segmentedBytes(*division) + 1, 0xcd);
    const DatagramRun run = segment(encapsulation, ip, parsed, *division, room.data());
    CHECK(run.bytes.size() == room.size() - 1);
    CHECK(room.back() == 0xcd);
    REQUIRE(run.count() == expected.size());
    size_t index = 0;
    run.forEach([&](std::span<const uint8_t> packet) {
      REQUIRE(std::all_of(packet.begin(), packet.begin() + kEncapsulationBytes, [](uint8_t byte) { return byte == 0xab; }));
      REQUIRE(tail({packet.begin(), packet.end()}, kEncapsulationBytes) == build(expected[index]));
      ++index;
    });
  }
}

TEST_CASE("segment: a checksum that the kernel left is completed, whatever it covers") {
  std::mt19937 random{3};
  for (int round = 0; round < 300; ++round) {
    const FlowPacket packet = randomSuper(random, random() % 1400);
    Bytes ip = buildUnfinished(packet);
    InnerPacket parsed;
    const Offload offload = offloadOf(packet, 0);
    REQUIRE(divideBytes(offload, ip, parsed));
    completeChecksum(offload, parsed, ip);
    REQUIRE(ip == build(packet));
  }
}

TEST_CASE("offload: what contradicts the packet is refused") {
  FlowPacket super;
  super.data = Bytes(5000, 1);
  const Bytes ip = buildUnfinished(super);
  const Offload good = offloadOf(super, 1000);
  InnerPacket parsed;
  REQUIRE(divideBytes(good, ip, parsed));
  const auto refused = [&](auto&& change) {
    Offload offload = good;
    change(offload);
    return !divideBytes(offload, ip, parsed);
  };
  CHECK(refused([](Offload& offload) { offload.segmentBytes = 0; }));
  CHECK(refused([](Offload& offload) { offload.segmentBytes = 3; }));  // too many packets
  CHECK(refused([](Offload& offload) { offload.kind = Offload::Kind::tcp6; }));
  CHECK(refused([](Offload& offload) { offload.kind = Offload::Kind::udp; }));
  CHECK(refused([](Offload& offload) { offload.needsChecksum = false; }));
  CHECK(refused([](Offload& offload) { offload.checksumStart = 36; }));
  CHECK(refused([](Offload& offload) { offload.checksumStart = 0xffff; }));
  CHECK(refused([](Offload& offload) { offload.checksumOffset = 6; }));
  const auto refusedPlain = [&](uint16_t start, uint16_t offset) {
    Offload offload;
    offload.needsChecksum = true;
    offload.checksumStart = start;
    offload.checksumOffset = offset;
    return !divideBytes(offload, ip, parsed);
  };
  CHECK(!refusedPlain(34, 16));
  CHECK(refusedPlain(20, 16));
  CHECK(refusedPlain(34, 0xfff0));
  CHECK(refusedPlain(static_cast<uint16_t>(14 + ip.size() - 2), 2));
  CHECK(!refusedPlain(static_cast<uint16_t>(14 + ip.size() - 2), 0));

  Bytes shortHeader = ip;
  shortHeader[20 + 12] = 0x40;
  CHECK(!divideBytes(good, shortHeader, parsed));
  Bytes longHeader = build({.data = {}});
  longHeader[20 + 12] = 0xf0;
  CHECK(!divideBytes(good, longHeader, parsed));
  // Nothing to divide.
  CHECK(!divideBytes(good, build({.data = {}}), parsed));
}

TEST_CASE("offload: the device's header, there and back") {
  FlowPacket packet{.v6 = true, .tcp = false};
  for (const size_t segmentBytes : {size_t{0}, size_t{1200}}) {
    const Offload offload = offloadOf(packet, segmentBytes);
    CHECK(decodeVnetHeader(encodeVnetHeader(offload)) == offload);
  }
  CHECK(decodeVnetHeader(std::array<uint8_t, kVnetHeaderBytes>{}) == Offload{});
  std::array<uint8_t, kVnetHeaderBytes> header = encodeVnetHeader(offloadOf({}, 1000));
  header[1] |= 0x80;  // with ECN
  CHECK(decodeVnetHeader(header) == offloadOf({}, 1000));
  for (const uint8_t kind : std::initializer_list<uint8_t>{2, 3, 6, 0x7f}) {
    header[1] = kind;
    CHECK(!decodeVnetHeader(header));
  }
}
