#include "core/path_measurement.h"

#include "test/association_fixture.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

constexpr size_t kPayload = 1472;

// Runs a measurement whose answers come back after `rttMicros`, packets of a train `gapMicros` apart. `lost` of
// each train's packets do not come back.
PathMeasurement measured(bool capacity, int64_t rttMicros, int64_t gapMicros, size_t lost = 0) {
  PathMeasurement measurement(capacity, kPayload, 1000);
  uint64_t number = 7;
  for (Millis now = 1000; now < 3000 && !measurement.done(now); now++) {
    const auto due = measurement.due(now);
    for (size_t i = 0; i < due.requests; i++) {
      measurement.asked(++number, now);
      if (due.requests > 1 && i >= due.requests - lost) continue;
      measurement.answered(number, now * 1000 + rttMicros + static_cast<int64_t>(i) * gapMicros);
    }
  }
  return measurement;
}

}  // namespace

TEST_CASE("path measurement: the least round-trip time, and no capacity unless asked for") {
  const auto measurement = measured(false, 40'000, 0);
  CHECK(measurement.rttMs() == doctest::Approx(40));
  CHECK(measurement.bitsPerSecond() < 0);
}

TEST_CASE("path measurement: the spread of trains gives the capacity") {
  // 1472 bytes each 117.76 us are 100 Mbit/s.
  CHECK(measured(true, 40'000, 118).bitsPerSecond() == doctest::Approx(100e6).epsilon(0.01));
  CHECK(measured(true, 40'000, 118, 5).bitsPerSecond() == doctest::Approx(100e6).epsilon(0.01));
  // All but a few of each train were lost.
  CHECK(measured(true, 40'000, 118, 12).bitsPerSecond() < 0);
  CHECK(measured(true, 40'000, 0).bitsPerSecond() == doctest::Approx(PathMeasurement::kBitsPerSecondMax));
}

TEST_CASE("path measurement: it ends without answers, and what it sends is bounded") {
  PathMeasurement measurement(true, kPayload, 0);
  size_t requests = 0;
  Millis now = 0;
  for (; !measurement.done(now); now++) {
    REQUIRE(now < 3000);
    const auto due = measurement.due(now);
    for (size_t i = 0; i < due.requests; i++) measurement.asked(++requests, now);
    if (due.requests == 0) CHECK(measurement.deadline() > now);
  }
  CHECK(requests == PathMeasurement::kSingles + PathMeasurement::kTrains * PathMeasurement::kTrainPackets);
  CHECK(measurement.rttMs() < 0);
  measurement.answered(999'999, 5);
  CHECK(measurement.rttMs() < 0);
}

TEST_CASE("path measurement: an association tells of it once, and has one at a time") {
  LinkSettings link;
  link.delayMin = link.delayMax = 20;
  World world = pair(5, link);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  CHECK_FALSE(world.machine(a).measure(1, false, world.now));
  world.run(1000);
  const AssociationId association = idOf(world, a);
  REQUIRE(world.machine(a).measure(association, true, world.now));
  CHECK_FALSE(world.machine(a).measure(association, false, world.now));
  world.run(3000);
  const auto events = world.node(a).of(Kind::measured);
  REQUIRE(events.size() == 1);
  CHECK(events[0].rttMs == doctest::Approx(40));
  CHECK(events[0].bitsPerSecond > 0);
  CHECK(world.node(b).of(Kind::measured).empty());
  CHECK(world.machine(a).measure(association, false, world.now));
}
