// Objects on their way to the scanner's thread, and results on their way back.
#pragma once

#include <deque>
#include <functional>
#include <mutex>

#include "core/millis.h"
#include "gateway/scanning/scan_engine.h"
#include "os/fd.h"
#include "os/scan_object.h"

namespace p2pxbone {

struct QueuedScan {
  QueuedScan(gateway::ScanJob itsJob, ScanMemory& memory) : job(itsJob), object(memory) {}

  const gateway::ScanJob job;
  ScanObject object;  // the packet path's until it is in the queue, then the scanner thread's
  Millis deadline = 0;
  // The scanner thread's: how often it was sent to clamd.
  int attempts = 0;
  // Nobody wants its result.
  std::atomic<bool> withdrawn{false};
};

// The scanner's thread takes from the front and answers; all else is the packet path's. Nobody waits for more than a few
// moves of pointers.
class ScanQueue {
 public:
  // Rung from the scanner's thread when there is a result, and not again until poll() has given null. Must not block. Set
  // before the thread runs.
  void onResult(std::function<void()> doorbell) { doorbell_ = std::move(doorbell); }

  void submit(std::shared_ptr<QueuedScan> scan);
  void withdraw(const std::shared_ptr<QueuedScan>& scan);
  [[nodiscard]] std::optional<gateway::ScanResult> poll();

  // Null if there is none.
  [[nodiscard]] std::shared_ptr<QueuedScan> next();
  // To be tried again, before the others.
  void putBack(std::shared_ptr<QueuedScan> scan);
  // The first one that is overdue; null if none is.
  [[nodiscard]] std::shared_ptr<QueuedScan> nextOverdue(Millis now);
  [[nodiscard]] bool empty() const;
  // Frees the object.
  void answer(QueuedScan& scan, gateway::ScanResult::Kind kind, std::string text);

  // For the thread to poll.
  [[nodiscard]] const Wakeup& wakeup() const { return wakeup_; }

 private:
  const Wakeup wakeup_;
  std::function<void()> doorbell_;
  std::atomic<bool> hasResults_{false};
  mutable std::mutex mutex_;  // guards all below
  std::deque<std::shared_ptr<QueuedScan>> waiting_;
  std::deque<gateway::ScanResult> results_;
  bool rung_ = false;
};

}  // namespace p2pxbone
