// Who sleeps beside a ring is woken at a batch's end, and before if the batch fills the ring.
#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <thread>

#include "os/fd.h"
#include "os/memory_platform.h"
#include "os/shaper_loop.h"
#include "os/tap_writer.h"
#include "os/thread.h"
#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

constexpr int kPatienceMs = 5000;
const Bytes kFrame(1500, 7);
constexpr size_t kRingFrames = PacketRing::kBytes / 1500;

struct Ignored final : TapWriteReport {
  void written(size_t, int) override {}
};

}  // namespace

TEST_CASE("wake: a batch that is larger than the TAP writer's ring finds the writer at work before its end") {
  MemoryNetwork network;
  MemoryPlatform platform{network};
  TapOutcome outcome = platform.openTap({"m0", 1500, macOf(1)});
  const auto tap = std::move(std::get<std::unique_ptr<TapDevice>>(outcome));
  Ignored report;
  const auto writer = makeQueueTapWriter(*tap, report);
  // It sleeps.
  std::this_thread::sleep_for(std::chrono::milliseconds{50});
  const std::span<const uint8_t> frame = kFrame;
  for (size_t i = 0; i < kRingFrames / 2; ++i) REQUIRE(writer->write({{&frame, 1}, {}, 1}));
  CHECK(platform.host("m0")->receive(kPatienceMs).has_value());
  writer->flush();
  writer->stop();
}

TEST_CASE("wake: a batch that is larger than the shaper's ring finds the shaper at work before its end") {
  const UnderlaySlot underlay{nullptr};
  const Directory nobody{{}};
  const std::atomic<const Directory*> directory{&nobody};
  EpochDomain epochs;
  ShaperLoop shaper{{underlay, directory, epochs, 1}};
  const auto inlet = shaper.openInlet();
  REQUIRE(shaper.start() == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds{50});
  for (size_t i = 0; i < kRingFrames / 2; ++i) REQUIRE(inlet->offer({1, 1, Way::out}, kFrame));
  const auto taken = [&] {
    std::array<uint64_t, kDropReasonCount> totals{};
    shaper.addDropsTo(totals);
    return totals[static_cast<size_t>(DropReason::tunnelGone)];
  };
  const Millis end = monotonicNow() + kPatienceMs;
  while (taken() == 0 && monotonicNow() < end) std::this_thread::yield();
  CHECK(taken() > 0);
  inlet->wake();
  shaper.stop();
}

TEST_CASE("wake: what is signalled while an earlier signal is drained is not slept over") {
  constexpr uint32_t kMade = 300'000;
  const Wakeup wakeup;
  std::atomic<uint32_t> made{0};
  std::atomic<bool> slept{false};
  std::thread consumer{[&] {
    while (made.load() < kMade && !slept.load()) {
      pollfd polled{wakeup.fd(), POLLIN, 0};
      if (::poll(&polled, 1, kPatienceMs) == 0) slept.store(true);
      wakeup.drain();
    }
  }};
  while (made.load() < kMade && !slept.load()) {
    made.fetch_add(1);
    if (!wakeup.signalled()) wakeup.signal();
    // Fewer than the consumer can take, or it would never sleep.
    for (uint32_t waits = made.load() % 64; waits > 0; --waits) (void)slept.load();
  }
  consumer.join();
  CHECK_FALSE(slept.load());
}
