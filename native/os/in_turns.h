// Does what takes long piece by piece under a lock, so that whoever moves packets under it waits for one piece at most.
#pragma once

#include <chrono>
#include <mutex>
#include <thread>

namespace p2pxbone {

// Between two pieces: long enough for those who wait to wake. A mutex alone would go back to the thread that has just had it.
inline constexpr std::chrono::microseconds kTurn{50};

// `piece` says whether there is more to do.
template <typename Piece>
void inTurns(std::mutex& mutex, Piece piece) {
  for (;;) {
    {
      const std::lock_guard lock{mutex};
      if (!piece()) return;
    }
    std::this_thread::sleep_for(kTurn);
  }
}

}  // namespace p2pxbone
