#include "gateway/scanning/memory_scan_engine.h"

#include <algorithm>

namespace p2pxbone::gateway {

ScanRoom MemoryScanEngine::room() const {
  if (bytes_ >= settings_.bytesMax) return ScanRoom::none;
  return bytes_ >= settings_.bytesScarce ? ScanRoom::scarce : ScanRoom::plenty;
}

std::optional<ScanJob> MemoryScanEngine::begin() {
  if (room() == ScanRoom::none) return std::nullopt;
  filling_.emplace(++last_, std::string{});
  return ScanJob{last_};
}

ScanRoom MemoryScanEngine::data(ScanJob job, std::span<const uint8_t> bytes) {
  if (bytes.size() > settings_.bytesMax - bytes_) return ScanRoom::none;
  filling_.at(job.id).append(bytes.begin(), bytes.end());
  bytes_ += bytes.size();
  return room() == ScanRoom::plenty ? ScanRoom::plenty : ScanRoom::scarce;
}

void MemoryScanEngine::finish(ScanJob job) { waiting_.emplace_back(job, std::move(filling_.extract(job.id).mapped())); }

std::optional<ScanJob> MemoryScanEngine::proceed(ScanJob job, size_t tailBytes) {
  finish(job);
  const std::string& object = waiting_.back().second;
  const size_t tail = std::min(tailBytes, object.size());
  if (tail > settings_.bytesMax - bytes_) return std::nullopt;
  filling_.emplace(++last_, object.substr(object.size() - tail));
  bytes_ += tail;
  return ScanJob{last_};
}

void MemoryScanEngine::abandon(ScanJob job) {
  if (const auto filling = filling_.find(job.id); filling != filling_.end()) {
    bytes_ -= filling->second.size();
    filling_.erase(filling);
  }
  const auto of = [&](const auto& each) { return each.first == job; };
  if (const auto waiting = std::find_if(waiting_.begin(), waiting_.end(), of); waiting != waiting_.end()) {
    bytes_ -= waiting->second.size();
    waiting_.erase(waiting);
  }
  std::erase_if(results_, [&](const ScanResult& result) { return result.job == job; });
}

bool MemoryScanEngine::scanOne() {
  if (waiting_.empty()) return false;
  auto [job, object] = std::move(waiting_.front());
  waiting_.pop_front();
  bytes_ -= object.size();
  ScanResult result{job, ScanResult::Kind::clean, {}};
  if (!broken_.empty()) {
    result = {job, ScanResult::Kind::failed, broken_};
  } else if (object.size() > settings_.objectMax) {
    result = {job, ScanResult::Kind::tooBig, "the object is larger than the engine scans"};
  } else {
    const auto within = [&text = object](const std::string& signature) { return text.find(signature) != std::string::npos; };
    const auto found = std::find_if(signatures_.begin(), signatures_.end(), within);
    if (found != signatures_.end()) result = {job, ScanResult::Kind::infected, *found};
  }
  results_.push_back(std::move(result));
  scanned_.push_back(std::move(object));
  return true;
}

std::optional<ScanResult> MemoryScanEngine::poll() {
  if (results_.empty()) return std::nullopt;
  ScanResult result = std::move(results_.front());
  results_.pop_front();
  return result;
}

}  // namespace p2pxbone::gateway
