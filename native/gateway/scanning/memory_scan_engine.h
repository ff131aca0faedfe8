// The twin of a virus scanner: it looks for texts in objects, and answers when it is told to.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "gateway/scanning/scan_engine.h"

namespace p2pxbone::gateway {

class MemoryScanEngine final : public ScanEngine {
 public:
  struct Settings {
    // Bytes of all jobs that have no result yet, and from how many on room is scarce.
    size_t bytesMax = SIZE_MAX;
    size_t bytesScarce = SIZE_MAX;
    // Objects with more are too big for it.
    size_t objectMax = SIZE_MAX;
  };

  explicit MemoryScanEngine(std::vector<std::string> signatures) : MemoryScanEngine(std::move(signatures), Settings{}) {}
  MemoryScanEngine(std::vector<std::string> signatures, const Settings& settings)
      : signatures_(std::move(signatures)), settings_(settings) {}

  [[nodiscard]] std::optional<ScanJob> begin() override;
  [[nodiscard]] ScanRoom data(ScanJob job, std::span<const uint8_t> bytes) override;
  void finish(ScanJob job) override;
  [[nodiscard]] std::optional<ScanJob> proceed(ScanJob job, size_t tailBytes) override;
  void abandon(ScanJob job) override;
  [[nodiscard]] std::optional<ScanResult> poll() override;
  [[nodiscard]] ScanRoom room() const override;

  // Of the jobs that are finished: the oldest gets its result, which poll() then gives. False if there is none.
  bool scanOne();
  void scanAll() {
    while (scanOne()) {
    }
  }
  // From now on every job that is finished fails, with this as reason; empty ends that.
  void breakDown(std::string why) { broken_ = std::move(why); }

  // Every object that has got a result, in that order.
  [[nodiscard]] const std::vector<std::string>& scanned() const { return scanned_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  // Of jobs, with those that nobody has asked for the result of.
  [[nodiscard]] size_t jobs() const { return filling_.size() + waiting_.size() + results_.size(); }

 private:
  const std::vector<std::string> signatures_;
  const Settings settings_;
  std::map<uint64_t, std::string> filling_;
  std::deque<std::pair<ScanJob, std::string>> waiting_;
  std::deque<ScanResult> results_;
  std::vector<std::string> scanned_;
  std::string broken_;
  size_t bytes_ = 0;
  uint64_t last_ = 0;
};

}  // namespace p2pxbone::gateway
