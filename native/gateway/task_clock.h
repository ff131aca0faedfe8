// What the tasks inside of one stage cost: calls always, time in one call of the stage in 64. A task that calls another one
// is not charged for it.
#pragma once

#include <array>
#include <string_view>

#include "gateway/stage_statistics.h"

namespace p2pxbone::gateway {

enum class Task : uint8_t { classification, parsers, policy, files, audit };
inline constexpr size_t kTaskCount = 5;
// In the order of the enumeration.
inline constexpr std::array<std::string_view, kTaskCount> kTaskNames{"classification", "parsers", "policy", "files", "audit"};

class TaskClock {
 public:
  // Without a source nothing is sampled.
  explicit TaskClock(StageClock::Source source) : source_(source) {}

  // The stage is called. What is done until the next call belongs to this one.
  void begin() { sampling_ = source_ != nullptr && ++calls_ % kEvery == 0; }

  // Does the task as long as it lives.
  class Turn {
   public:
    Turn(TaskClock& clock, Task task) : clock_(clock), before_(clock.change(&clock.statistics_[static_cast<size_t>(task)])) {
      clock_.now_->packets.add();
      if (clock_.sampling_) clock_.now_->samples.add();
    }
    ~Turn() { clock_.change(before_); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    TaskClock& clock_;
    StageStatistics* before_;
  };

  [[nodiscard]] const StageStatistics& of(Task task) const { return statistics_[static_cast<size_t>(task)]; }

 private:
  static constexpr uint32_t kEvery = 64;

  StageStatistics* change(StageStatistics* to) {
    if (sampling_) {
      const uint64_t now = source_();
      if (now_ != nullptr) now_->nanoseconds.add(now - last_);
      last_ = now;
    }
    StageStatistics* const before = now_;
    now_ = to;
    return before;
  }

  StageClock::Source source_;
  uint32_t calls_ = 0;
  bool sampling_ = false;
  uint64_t last_ = 0;
  // Whose turn it is; none between calls.
  StageStatistics* now_ = nullptr;
  std::array<StageStatistics, kTaskCount> statistics_;
};

}  // namespace p2pxbone::gateway
