// When it is safe to free what workers may be reading: each says when it begins and ends a batch, and whatever has been
// unlinked is freed once every worker has passed such a boundary. Readers neither lock nor wait.
//
// Both the reader's announcement and its loads of published pointers, and both the writer's unlinking store and its look
// at the announcements, must be sequentially consistent: then either the writer sees the reader, or the reader sees the
// new pointer.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace p2pxbone {

class EpochDomain {
 public:
  class Worker {
   public:
    void enter() { seen_.store(domain_.epoch_.load()); }
    void leave() { seen_.store(kIdle); }

   private:
    friend class EpochDomain;
    explicit Worker(EpochDomain& domain) : domain_(domain) {}
    EpochDomain& domain_;
    alignas(64) std::atomic<uint64_t> seen_{kIdle};
  };

  // The control side's: JavaScript's thread and the control thread. A lock keeps them apart, which no worker ever takes.
  [[nodiscard]] Worker& addWorker();
  // The worker's thread has ended.
  void removeWorker(Worker& worker);
  // The object is unlinked already; freed now or at a later call.
  void retire(std::shared_ptr<const void> object);
  void reclaim();
  // Returns when no worker is inside a batch that began before the call. Batches are short and never block.
  void synchronize();

 private:
  static constexpr uint64_t kIdle = 0;
  struct Retired {
    uint64_t epoch;
    std::shared_ptr<const void> object;
  };
  // With the lock held.
  [[nodiscard]] bool passed(uint64_t epoch) const;
  void reclaimLocked(std::vector<Retired>& freed);

  std::atomic<uint64_t> epoch_{1};
  std::mutex mutex_;  // guards all below
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Retired> retired_;
};

class EpochBatch {
 public:
  explicit EpochBatch(EpochDomain::Worker& worker) : worker_(worker) { worker_.enter(); }
  ~EpochBatch() { worker_.leave(); }
  EpochBatch(const EpochBatch&) = delete;
  EpochBatch& operator=(const EpochBatch&) = delete;

 private:
  EpochDomain::Worker& worker_;
};

}  // namespace p2pxbone
