#include "os/parting_line.h"

#include <doctest/doctest.h>

#include <deque>
#include <random>

#include "core/bytes.h"
#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

Bytes packetOf(uint32_t number, size_t bytes) {
  Bytes packet(bytes, static_cast<uint8_t>(number));
  packet[0] = number % 2 == 0 ? 0x45 : 0x60;
  storeBe32(&packet[1], number);
  return packet;
}

void checkIs(const TrafficGate::Parting& parting, uint32_t number, size_t bytes) {
  REQUIRE(parting.packet.size() == kEncapsulationBytes + bytes);
  const Bytes inner{parting.packet.begin() + kEncapsulationBytes, parting.packet.end()};
  CHECK(inner == packetOf(number, bytes));
  CHECK(loadBe16(&parting.packet[kVxlanBytes + 12]) == (number % 2 == 0 ? kEtherTypeIpv4 : kEtherTypeIpv6));
  CHECK(parting.arrival == number);
}

}  // namespace

TEST_CASE("parting line: order and contents survive any sizes and turns, and what was taken stays until it is settled") {
  std::mt19937 random{7};
  PartingLine line;
  struct Known {
    uint32_t number;
    size_t bytes;
  };
  std::deque<Known> waiting;
  struct Taken {
    TrafficGate::Parting parting;
    Known known;
  };
  std::vector<Taken> taken;
  uint32_t number = 0;
  uint32_t refused = 0;
  for (int step = 0; step < 60'000; ++step) {
    switch (random() % 12) {
      case 0: {
        for (const TrafficGate::Parting& parting : line.take()) {
          REQUIRE(!waiting.empty());
          taken.push_back({parting, waiting.front()});
          waiting.pop_front();
        }
        break;
      }
      case 1: {
        if (random() % 100 != 0) break;
        for (const Taken& each : taken) checkIs(each.parting, each.known.number, each.known.bytes);
        taken.clear();
        line.settle();
        break;
      }
      default: {
        const size_t bytes = random() % 8 == 0 ? 60'000 + random() % 5000 : 20 + random() % 1400;
        ++number;
        if (line.push(packetOf(number, bytes), {.packet = {}, .offload = {}, .arrival = number})) {
          waiting.push_back({number, bytes});
        } else {
          ++refused;
        }
      }
    }
    REQUIRE(line.count() == waiting.size());
  }
  CHECK(refused > 0);
  CHECK(number > refused * 2);
}

TEST_CASE("parting line: full is full, by packets and by bytes, until what was taken is settled") {
  PartingLine line;
  size_t pushed = 0;
  while (line.push(packetOf(2, 40), {})) ++pushed;
  CHECK(pushed == PartingLine::kPacketsMax);
  CHECK(line.take().size() == pushed);
  CHECK(!line.ready());
  CHECK(!line.push(packetOf(2, 40), {}));
  line.settle();
  pushed = 0;
  while (line.push(packetOf(2, 65'000), {})) ++pushed;
  CHECK(pushed >= PartingLine::kBytesMax / 66'000 - 1);
  CHECK(pushed * 65'000 <= PartingLine::kBytesMax);
}
