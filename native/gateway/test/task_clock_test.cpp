#include "gateway/task_clock.h"

#include <doctest/doctest.h>

using namespace p2pxbone::gateway;

namespace {

uint64_t now = 0;
uint64_t readNow() { return now; }

// A file is asked about twice while it is parsed.
void parse(TaskClock& clock) {
  const TaskClock::Turn parsing{clock, Task::parsers};
  now += 100;
  for (int i = 0; i < 2; ++i) {
    const TaskClock::Turn file{clock, Task::files};
    now += 30;
    {
      const TaskClock::Turn policy{clock, Task::policy};
      now += 7;
    }
    now += 3;
  }
  now += 5;
}

}  // namespace

TEST_CASE("task clock: a task is charged for its own time only, in one call of 64") {
  TaskClock clock{readNow};
  for (int call = 0; call < 128; ++call) {
    clock.begin();
    now += 1'000;  // of the stage itself
    parse(clock);
    now += 1'000;
  }
  const auto is = [&](Task task, uint64_t calls, uint64_t samples, uint64_t nanoseconds) {
    const StageStatistics& of = clock.of(task);
    CHECK(of.packets.get() == calls);
    CHECK(of.samples.get() == samples);
    CHECK(of.nanoseconds.get() == nanoseconds);
  };
  is(Task::parsers, 128, 2, 2 * 105);
  is(Task::files, 256, 4, 4 * 33);
  is(Task::policy, 256, 4, 4 * 7);
  is(Task::audit, 0, 0, 0);
}

TEST_CASE("task clock: without a source calls are counted and time is not read") {
  TaskClock clock{nullptr};
  for (int call = 0; call < 200; ++call) {
    clock.begin();
    parse(clock);
  }
  CHECK(clock.of(Task::parsers).packets.get() == 200);
  CHECK(clock.of(Task::parsers).samples.get() == 0);
}
