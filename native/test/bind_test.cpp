// Binding a data plane: all of it, or nothing.
#include <doctest/doctest.h>
#include <pthread.h>

#include <thread>

#include "os/data_plane.h"
#include "os/memory_platform.h"
#include "os/thread.h"
#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

// While it lives, the system has no room for another thread.
class NoThreads {
 public:
  NoThreads() { setStack(kFarTooLarge); }
  ~NoThreads() { setStack(kUsual); }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  static constexpr size_t kUsual = size_t{8} << 20;
  static constexpr size_t kFarTooLarge = size_t{1} << 50;
  static void setStack(size_t bytes) {
    pthread_attr_t attributes;
    REQUIRE(::pthread_getattr_default_np(&attributes) == 0);
    REQUIRE(::pthread_attr_setstacksize(&attributes, bytes) == 0);
    REQUIRE(::pthread_setattr_default_np(&attributes) == 0);
    ::pthread_attr_destroy(&attributes);
  }
};

uint64_t dropped(DataPlane& plane, DropReason reason) { return plane.counters().drops[static_cast<size_t>(reason)]; }

}  // namespace

TEST_CASE("bind: one that fails for want of a thread changes nothing, and the next one works") {
  MemoryNetwork network;
  MemoryPlatform platform{network};
  DataPlane plane{platform, {}};
  const Endpoint local = endpointOf(1, 4000);
  for (int i = 0; i < 3; ++i) {
    const NoThreads noThreads;
    const auto failed = plane.bind(local);
    REQUIRE(std::holds_alternative<Failure>(failed));
    CHECK(std::get<Failure>(failed).error == PlaneError::system);
    CHECK(std::get<Failure>(failed).systemError == EAGAIN);
    CHECK(std::get<Failure>(plane.associate(endpointOf(2, 4000), "vi")).error == PlaneError::notBound);
  }
  const auto bound = plane.bind(local);
  REQUIRE(std::holds_alternative<Endpoint>(bound));
  CHECK(std::get<Endpoint>(bound) == local);
  UnderlayOutcome outcome = platform.openUnderlay(endpointOf(66, 0), 1);
  UnderlaySocket& stranger = *std::get<std::unique_ptr<UnderlaySocket>>(outcome);
  REQUIRE(sendOne(stranger, local, Bytes{0, 1, 2}) == 0);
  const Millis end = monotonicNow() + 5000;
  while (dropped(plane, DropReason::stunUnsupported) == 0 && monotonicNow() < end) std::this_thread::yield();
  CHECK(dropped(plane, DropReason::stunUnsupported) == 1);
  CHECK(std::get<Failure>(plane.bind(local)).error == PlaneError::alreadyBound);
}
