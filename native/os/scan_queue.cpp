#include "os/scan_queue.h"

#include <algorithm>

namespace p2pxbone {

void ScanQueue::submit(std::shared_ptr<QueuedScan> scan) {
  {
    const std::lock_guard lock{mutex_};
    waiting_.push_back(std::move(scan));
  }
  if (!wakeup_.signalled()) wakeup_.signal();
}

void ScanQueue::withdraw(const std::shared_ptr<QueuedScan>& scan) {
  scan->withdrawn.store(true, std::memory_order_relaxed);
  const std::lock_guard lock{mutex_};
  std::erase(waiting_, scan);
}

std::optional<gateway::ScanResult> ScanQueue::poll() {
  if (!hasResults_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock{mutex_};
  if (results_.empty()) {
    rung_ = false;
    hasResults_.store(false, std::memory_order_relaxed);
    return std::nullopt;
  }
  gateway::ScanResult result = std::move(results_.front());
  results_.pop_front();
  return result;
}

std::shared_ptr<QueuedScan> ScanQueue::next() {
  const std::lock_guard lock{mutex_};
  if (waiting_.empty()) return nullptr;
  std::shared_ptr<QueuedScan> scan = std::move(waiting_.front());
  waiting_.pop_front();
  return scan;
}

void ScanQueue::putBack(std::shared_ptr<QueuedScan> scan) {
  const std::lock_guard lock{mutex_};
  waiting_.push_front(std::move(scan));
}

// They stand in the order in which they were finished, so the first one's time comes first.
std::shared_ptr<QueuedScan> ScanQueue::nextOverdue(Millis now) {
  const std::lock_guard lock{mutex_};
  if (waiting_.empty() || waiting_.front()->deadline > now) return nullptr;
  std::shared_ptr<QueuedScan> scan = std::move(waiting_.front());
  waiting_.pop_front();
  return scan;
}

bool ScanQueue::empty() const {
  const std::lock_guard lock{mutex_};
  return waiting_.empty();
}

void ScanQueue::answer(QueuedScan& scan, gateway::ScanResult::Kind kind, std::string text) {
  scan.object.clear();
  if (scan.withdrawn.load(std::memory_order_relaxed)) return;
  bool rings = false;
  {
    const std::lock_guard lock{mutex_};
    results_.push_back({scan.job, kind, std::move(text)});
    hasResults_.store(true, std::memory_order_release);
    rings = !std::exchange(rung_, true);
  }
  if (rings && doorbell_) doorbell_();
}

}  // namespace p2pxbone
