#include "os/clamd_scanner.h"

#include "os/thread.h"

namespace p2pxbone {

using gateway::ScanJob;
using gateway::ScanResult;
using gateway::ScanRoom;

std::unique_ptr<ClamdScanner> ClamdScanner::make(const ClamdSettings& settings, std::string& error) {
  const auto address = ClamdAddress::parse(settings.address);
  if (!address) {
    error = "give clamd's socket as a path, or as address:port, instead of \"" + settings.address + "\"";
    return nullptr;
  }
  if (settings.memoryMax < 4 * ScanObject::kBlockBytes || settings.timeout <= 0) {
    error = "give the scanner at least 128 KB of memory, and a timeout of more than 0";
    return nullptr;
  }
  if (settings.connections == 0 || settings.connections > kConnectionsMax) {
    error = "give clamd between 1 and " + std::to_string(kConnectionsMax) + " connections";
    return nullptr;
  }
  return std::unique_ptr<ClamdScanner>(new ClamdScanner(settings, *address));
}

ClamdScanner::ClamdScanner(const ClamdSettings& settings, const ClamdAddress& address)
    : timeout_(settings.timeout), memory_(settings.memoryMax), loop_(settings, address, queue_) {}

// Its thread and queue may still have objects, which count in the memory.
ClamdScanner::~ClamdScanner() { stop(); }

ScanRoom ClamdScanner::room() const {
  const size_t used = memory_.used();
  if (memory_.max() - used < ScanObject::kBlockBytes) return ScanRoom::none;
  return used >= memory_.max() / 4 * 3 ? ScanRoom::scarce : ScanRoom::plenty;
}

std::optional<ScanJob> ClamdScanner::begin() {
  if (filling_.size() + submitted_.size() >= kJobsMax || room() == ScanRoom::none) {
    refused_.add();
    return std::nullopt;
  }
  const ScanJob job{++last_};
  filling_.emplace(job.id, std::make_shared<QueuedScan>(job, memory_));
  return job;
}

ScanRoom ClamdScanner::data(ScanJob job, std::span<const uint8_t> bytes) {
  const auto found = filling_.find(job.id);
  if (found == filling_.end() || !found->second->object.append(bytes)) {
    refused_.add();
    return ScanRoom::none;
  }
  return room() == ScanRoom::plenty ? ScanRoom::plenty : ScanRoom::scarce;
}

void ClamdScanner::finish(ScanJob job) {
  auto filled = filling_.extract(job.id);
  if (filled.empty()) return;
  const std::shared_ptr<QueuedScan>& scan = filled.mapped();
  scan->deadline = monotonicNow() + timeout_;
  queue_.submit(scan);
  submitted_.insert(std::move(filled));
}

// The tail is copied before the thread can be done with the object.
std::optional<ScanJob> ClamdScanner::proceed(ScanJob job, size_t tailBytes) {
  const auto found = filling_.find(job.id);
  if (found == filling_.end()) return std::nullopt;
  const ScanObject& object = found->second->object;
  std::optional<ScanJob> next = begin();
  if (next && !filling_.at(next->id)->object.appendTail(object, tailBytes)) {
    refused_.add();
    filling_.erase(next->id);
    next.reset();
  }
  finish(job);
  return next;
}

void ClamdScanner::abandon(ScanJob job) {
  filling_.erase(job.id);
  const auto found = submitted_.find(job.id);
  if (found == submitted_.end()) return;
  queue_.withdraw(found->second);
  submitted_.erase(found);
}

std::optional<ScanResult> ClamdScanner::poll() {
  while (std::optional<ScanResult> result = queue_.poll()) {
    if (submitted_.erase(result->job.id) != 0) return result;
  }
  return std::nullopt;
}

ClamdScanner::Statistics ClamdScanner::statistics() const {
  return {loop_.status(), filling_.size() + submitted_.size(), memory_.used(), memory_.max(), refused_.get()};
}

}  // namespace p2pxbone
