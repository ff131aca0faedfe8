// Where the scans of one pipeline and the engine meet: results find their scan, scans that wait are reminded, and the
// stage hears what became of them.
#pragma once

#include <array>
#include <deque>
#include <set>
#include <unordered_map>

#include "gateway/condition.h"
#include "gateway/scanning/scan_engine.h"
#include "gateway/scanning/scan_settings.h"

namespace p2pxbone::gateway {

class FileScan;

class ScanDesk {
 public:
  struct Counters {
    Counter files;
    Counter clean;
    Counter infected;
    Counter unavailable;  // by Condition::scanUnavailable
    Counter tooBig;       // by Condition::scanTooBig
    Counter objects;      // given to the engine: files, or buffers of them
    Counter bytes;        // of files
    Counter cutShort;     // buffers that were finished early, for want of room or because the sender paused
    Counter waits;        // for room in the engine
  };

  // The engine is borrowed. Scans must be gone before this is.
  ScanDesk(ScanEngine& engine, const ScanSettings& settings, const ConditionPolicy& conditions)
      : engine_(engine), settings_(settings), conditions_(conditions) {}
  ScanDesk(const ScanDesk&) = delete;
  ScanDesk& operator=(const ScanDesk&) = delete;

  // A scan whose answer has changed since it was given: mostly `hold` or `keepBack` to `goOn`, or anything to `deny`. To be
  // called until it gives null, whenever the engine has results, and by the time of nextDue().
  [[nodiscard]] FileScan* poll(Millis now);
  // When the first one that waits is to be reminded. nullopt if none is.
  [[nodiscard]] std::optional<Millis> nextDue() const;

  // For scans that begin now.
  void setSettings(const ScanSettings& settings) { settings_ = settings; }
  void setConditions(const ConditionPolicy& conditions) { conditions_ = conditions; }
  [[nodiscard]] const ScanSettings& settings() const { return settings_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const ConditionCounters& conditionCounters() const { return conditionCounters_; }

 private:
  friend class FileScan;

  [[nodiscard]] ScanEngine& engine() { return engine_; }
  [[nodiscard]] ConditionAction meet(Condition condition);
  void finished(ScanJob job, FileScan& scan);
  void forget(ScanJob job) { jobs_.erase(job.id); }
  // Until then, or until there is room.
  void remind(FileScan& scan, Millis due, bool forRoom);
  void remindNoMore(FileScan& scan);
  void tell(FileScan& scan);
  void tellNoMore(FileScan& scan);

  ScanEngine& engine_;
  ScanSettings settings_;
  ConditionPolicy conditions_;
  std::unordered_map<uint64_t, FileScan*> jobs_;  // that are finished and have no result
  using Reminders = std::set<std::pair<Millis, FileScan*>>;
  Reminders reminders_;
  Reminders forRoom_;
  std::deque<FileScan*> news_;
  Counters counters_;
  ConditionCounters conditionCounters_;
};

}  // namespace p2pxbone::gateway
