#include "gateway/timer_wheel.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

using namespace p2pxbone;
using namespace p2pxbone::gateway;

TEST_CASE("timers fire once, not before their time and at most a tick after it") {
  TimerWheel wheel(10, 16);
  std::vector<uint32_t> fired;
  const auto due = [&](uint32_t item) { fired.push_back(item); };
  wheel.schedule(3, 25);
  wheel.schedule(4, 31);
  wheel.advance(24, 100, due);
  CHECK(fired.empty());
  wheel.advance(35, 100, due);
  CHECK(fired == std::vector<uint32_t>{3});
  wheel.advance(40, 100, due);
  CHECK(fired == std::vector<uint32_t>{3, 4});
  wheel.advance(1000, 100, due);
  CHECK(fired.size() == 2);
  CHECK(wheel.scheduled() == 0);
}

TEST_CASE("timers far away fire early, for their owner to set them again") {
  TimerWheel wheel(10, 16);
  std::vector<Millis> fired;
  wheel.schedule(1, 1000);
  for (Millis now = 0; now <= 1200; now += 10) {
    wheel.advance(now, 100, [&](uint32_t item) {
      fired.push_back(now);
      if (now < 1000) wheel.schedule(item, 1000);
    });
  }
  CHECK(fired.size() == 7);
  CHECK(fired.back() == 1000);
}

TEST_CASE("one call does no more than it may, and the next one goes on") {
  TimerWheel wheel(10, 16);
  for (uint32_t item = 0; item < 1000; ++item) wheel.schedule(item, 20 + item % 3 * 10);
  uint32_t fired = 0;
  for (int call = 1; call <= 10; ++call) {
    wheel.advance(500, 100, [&](uint32_t) { ++fired; });
    CHECK(fired == 100U * static_cast<uint32_t>(call));
  }
  CHECK(wheel.scheduled() == 0);
}

TEST_CASE("the wheel agrees with a plain map of deadlines") {
  std::mt19937 random(9);
  TimerWheel wheel(16, 64);
  std::map<uint32_t, Millis> twin;
  Millis now = 0;
  for (int step = 0; step < 20000; ++step) {
    const auto item = static_cast<uint32_t>(random() % 200);
    switch (random() % 4) {
      case 0:
        wheel.cancel(item);
        twin.erase(item);
        break;
      case 1: {
        now += random() % (random() % 50 == 0 ? 3000 : 20);
        wheel.advance(now, 1000000, [&](uint32_t due) {
          const Millis at = twin.at(due);
          if (at > now) {
            wheel.schedule(due, at);
          } else {
            twin.erase(due);
          }
        });
        for (const auto& [_, at] : twin) REQUIRE(at + 32 > now);
        break;
      }
      default: {
        const Millis at = now + 1 + static_cast<Millis>(random() % 4000);
        wheel.schedule(item, at);
        twin[item] = at;
      }
    }
    REQUIRE(wheel.scheduled() == twin.size());
  }
}
