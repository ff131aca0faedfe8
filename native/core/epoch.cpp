#include "core/epoch.h"

#include <algorithm>
#include <thread>

namespace p2pxbone {

EpochDomain::Worker& EpochDomain::addWorker() {
  workers_.push_back(std::unique_ptr<Worker>{new Worker{*this}});
  return *workers_.back();
}

void EpochDomain::removeWorker(Worker& worker) {
  std::erase_if(workers_, [&](const auto& entry) { return entry.get() == &worker; });
}

bool EpochDomain::passed(uint64_t epoch) const {
  return std::all_of(workers_.begin(), workers_.end(), [&](const auto& worker) {
    const uint64_t seen = worker->seen_.load();
    return seen == kIdle || seen >= epoch;
  });
}

void EpochDomain::retire(std::shared_ptr<const void> object) {
  retired_.push_back({epoch_.fetch_add(1) + 1, std::move(object)});
  reclaim();
}

void EpochDomain::reclaim() {
  // Oldest first: what a worker still holds, it also holds of everything newer.
  while (!retired_.empty() && passed(retired_.front().epoch)) retired_.erase(retired_.begin());
}

void EpochDomain::synchronize() {
  const uint64_t epoch = epoch_.fetch_add(1) + 1;
  while (!passed(epoch)) std::this_thread::yield();
  reclaim();
}

}  // namespace p2pxbone
