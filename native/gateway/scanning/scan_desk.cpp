#include "gateway/scanning/scan_desk.h"

#include <algorithm>
#include <utility>

#include "gateway/scanning/file_scan.h"

namespace p2pxbone::gateway {

FileScan* ScanDesk::poll(Millis now) {
  while (const std::optional<ScanResult> result = engine_.poll()) {
    const auto found = jobs_.find(result->job.id);
    if (found == jobs_.end()) continue;
    FileScan& scan = *found->second;
    jobs_.erase(found);
    scan.take(*result, now);
  }
  // Whoever has waited longest goes first. Each gives more to the engine only when its next packet comes.
  while (!forRoom_.empty() && engine_.room() == ScanRoom::plenty) {
    FileScan& scan = *forRoom_.begin()->second;
    remindNoMore(scan);
    scan.hasRoom(now);
  }
  for (Reminders* reminders : {&reminders_, &forRoom_}) {
    while (!reminders->empty() && reminders->begin()->first <= now) {
      FileScan& scan = *reminders->begin()->second;
      remindNoMore(scan);
      scan.isDue(now);
    }
  }
  if (news_.empty()) return nullptr;
  FileScan* const scan = news_.front();
  news_.pop_front();
  scan->told_ = false;
  return scan;
}

std::optional<Millis> ScanDesk::nextDue() const {
  std::optional<Millis> due;
  for (const Reminders* reminders : {&reminders_, &forRoom_}) {
    if (!reminders->empty()) due = std::min(due.value_or(reminders->begin()->first), reminders->begin()->first);
  }
  return due;
}

ConditionAction ScanDesk::meet(Condition condition) {
  conditionCounters_.add(condition);
  (condition == Condition::scanTooBig ? counters_.tooBig : counters_.unavailable).add();
  return conditions_[condition];
}

void ScanDesk::finished(ScanJob job, FileScan& scan) {
  counters_.objects.add();
  jobs_.emplace(job.id, &scan);
}

void ScanDesk::remind(FileScan& scan, Millis due, bool forRoom) {
  remindNoMore(scan);
  scan.due_ = due;
  (forRoom ? forRoom_ : reminders_).emplace(due, &scan);
}

void ScanDesk::remindNoMore(FileScan& scan) {
  if (!scan.due_) return;
  const std::pair<Millis, FileScan*> entry{*scan.due_, &scan};
  if (reminders_.erase(entry) == 0) forRoom_.erase(entry);
  scan.due_.reset();
}

void ScanDesk::tell(FileScan& scan) {
  if (std::exchange(scan.told_, true)) return;
  news_.push_back(&scan);
}

void ScanDesk::tellNoMore(FileScan& scan) {
  if (std::exchange(scan.told_, false)) std::erase(news_, &scan);
}

}  // namespace p2pxbone::gateway
