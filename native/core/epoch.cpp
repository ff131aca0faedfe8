#include "core/epoch.h"

#include <algorithm>
#include <iterator>
#include <thread>

namespace p2pxbone {

EpochDomain::Worker& EpochDomain::addWorker() {
  const std::lock_guard lock{mutex_};
  workers_.push_back(std::unique_ptr<Worker>{new Worker{*this}});
  return *workers_.back();
}

void EpochDomain::removeWorker(Worker& worker) {
  const std::lock_guard lock{mutex_};
  std::erase_if(workers_, [&](const auto& entry) { return entry.get() == &worker; });
}

bool EpochDomain::passed(uint64_t epoch) const {
  return std::all_of(workers_.begin(), workers_.end(), [&](const auto& worker) {
    const uint64_t seen = worker->seen_.load();
    return seen == kIdle || seen >= epoch;
  });
}

void EpochDomain::retire(std::shared_ptr<const void> object) {
  std::vector<Retired> freed;
  const std::lock_guard lock{mutex_};
  retired_.push_back({epoch_.fetch_add(1) + 1, std::move(object)});
  reclaimLocked(freed);
}

void EpochDomain::reclaim() {
  std::vector<Retired> freed;
  const std::lock_guard lock{mutex_};
  reclaimLocked(freed);
}

// Oldest first: what a worker still holds, it also holds of everything newer. They are destroyed once the lock is gone.
void EpochDomain::reclaimLocked(std::vector<Retired>& freed) {
  const auto held = std::find_if(retired_.begin(), retired_.end(), [this](const Retired& each) { return !passed(each.epoch); });
  freed.assign(std::make_move_iterator(retired_.begin()), std::make_move_iterator(held));
  retired_.erase(retired_.begin(), held);
}

void EpochDomain::synchronize() {
  const uint64_t epoch = epoch_.fetch_add(1) + 1;
  const auto allPassed = [&] {
    const std::lock_guard lock{mutex_};
    return passed(epoch);
  };
  while (!allPassed()) std::this_thread::yield();
  reclaim();
}

}  // namespace p2pxbone
