// What pipelines hand to the writer of their files. Bounded by the memory that the chunks come from, and by the number of
// files that may be open.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "core/millis.h"
#include "gateway/audit/file_store.h"
#include "os/draft_memory.h"

namespace p2pxbone {

// The next bytes of a file, and with any kind but `data` its last.
struct Handed {
  enum class Kind : uint8_t { data, complete, incomplete, crowded };
  gateway::StoreId id = gateway::kNotStored;
  uint32_t owner = 0;
  Kind kind = Kind::data;
  DraftMemory::Chunk chunk;
  // Of the whole file, if that is known.
  std::optional<gateway::Sha256> digest;
};

class HandedQueue {
 public:
  // The consumer is woken when so many wait, or so long after the first: a wake-up for each would cost the pipelines more
  // than to hand it over.
  HandedQueue(size_t many, Millis lingerMax) : many_(many), lingerMax_(lingerMax) {}

  // Any thread. False if the queue is closed; then it is the caller's as before.
  [[nodiscard]] bool push(Handed& handed) {
    size_t waiting = 0;
    {
      const std::lock_guard lock{mutex_};
      if (closed_) return false;
      waiting_.push_back(std::move(handed));
      waiting = waiting_.size();
    }
    if (waiting == 1 || waiting == many_) changed_.notify_one();
    return true;
  }
  // Any thread. What has been pushed can still be taken.
  void close() {
    {
      const std::lock_guard lock{mutex_};
      closed_ = true;
    }
    changed_.notify_one();
  }
  [[nodiscard]] bool closed() const {
    const std::lock_guard lock{mutex_};
    return closed_;
  }
  // Consumer. All there is, in place of what `taken` had; nothing if nothing has come for so long.
  void take(std::vector<Handed>& taken, Millis wait) {
    taken.clear();
    std::unique_lock lock{mutex_};
    const auto hasAny = [&] { return closed_ || !waiting_.empty(); };
    const auto hasMany = [&] { return closed_ || waiting_.size() >= many_; };
    if (changed_.wait_for(lock, std::chrono::milliseconds{wait}, hasAny))
      changed_.wait_for(lock, std::chrono::milliseconds{lingerMax_}, hasMany);
    taken.swap(waiting_);
  }

 private:
  const size_t many_;
  const Millis lingerMax_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::vector<Handed> waiting_;
  bool closed_ = false;
};

}  // namespace p2pxbone
