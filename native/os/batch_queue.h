// A bounded queue of bytes from any threads to one, which takes all there is at once. Pushing copies under a short lock
// and never waits for what the consumer does with a batch.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "core/millis.h"

namespace p2pxbone {

class BatchQueue {
 public:
  // A batch is at most so many bytes; with the one that is being consumed, twice as much memory, taken as it is used.
  // The consumer is woken when half of it is there, or so long after the first bytes: a wake-up for each would cost the
  // producers more than the copy.
  BatchQueue(size_t bytesMax, Millis lingerMax);

  // Any thread. The pieces stay together, one after another. False if there would be less than `spare` bytes of room
  // left behind them, or the queue is closed.
  [[nodiscard]] bool push(std::span<const std::span<const uint8_t>> pieces, size_t spare = 0);
  // Any thread. What has been pushed can still be taken.
  void close();
  [[nodiscard]] bool closed() const;

  // Consumer. All there is, valid until the next take(); empty if nothing has come for so long, or the queue is closed
  // and there will be no more.
  [[nodiscard]] std::span<const uint8_t> take(Millis wait);
  // Consumer. Returns after so long, or when the queue is closed.
  void sleep(Millis wait);

 private:
  const size_t bytesMax_;
  const Millis lingerMax_;
  std::vector<uint8_t> taken_;  // the consumer's
  mutable std::mutex mutex_;    // guards all below
  std::condition_variable changed_;
  std::vector<uint8_t> filling_;
  bool closed_ = false;
};

}  // namespace p2pxbone
