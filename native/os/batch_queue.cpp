#include "os/batch_queue.h"

#include <chrono>

namespace p2pxbone {

BatchQueue::BatchQueue(size_t bytesMax, Millis lingerMax) : bytesMax_(bytesMax), lingerMax_(lingerMax) {
  // Never grown later: pushing must not allocate.
  taken_.reserve(bytesMax);
  filling_.reserve(bytesMax);
}

bool BatchQueue::push(std::span<const std::span<const uint8_t>> pieces, size_t spare) {
  size_t bytes = spare;
  for (const std::span<const uint8_t> piece : pieces) bytes += piece.size();
  bool wake = false;
  {
    const std::lock_guard lock{mutex_};
    const size_t before = filling_.size();
    if (closed_ || bytes > bytesMax_ - before) return false;
    for (const std::span<const uint8_t> piece : pieces) filling_.insert(filling_.end(), piece.begin(), piece.end());
    wake = before == 0 || (before < bytesMax_ / 2 && filling_.size() >= bytesMax_ / 2);
  }
  if (wake) changed_.notify_one();
  return true;
}

void BatchQueue::close() {
  {
    const std::lock_guard lock{mutex_};
    closed_ = true;
  }
  changed_.notify_one();
}

bool BatchQueue::closed() const {
  const std::lock_guard lock{mutex_};
  return closed_;
}

std::span<const uint8_t> BatchQueue::take(Millis wait) {
  taken_.clear();
  {
    std::unique_lock lock{mutex_};
    const auto hasAny = [&] { return closed_ || !filling_.empty(); };
    const auto hasMany = [&] { return closed_ || filling_.size() >= bytesMax_ / 2; };
    if (changed_.wait_for(lock, std::chrono::milliseconds{wait}, hasAny))
      changed_.wait_for(lock, std::chrono::milliseconds{lingerMax_}, hasMany);
    taken_.swap(filling_);
  }
  return taken_;
}

void BatchQueue::sleep(Millis wait) {
  std::unique_lock lock{mutex_};
  changed_.wait_for(lock, std::chrono::milliseconds{wait}, [&] { return closed_; });
}

}  // namespace p2pxbone
