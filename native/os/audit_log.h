// The audit trail on disk: a thread writes what the packet path hands over. A full or broken disk holds up nobody:
// records wait in a bounded queue, those that find no room are counted, and the trail says so as soon as it goes on.
// What was written is synced to the disk within AuditLog::Settings::syncEvery, when a file is full, and at the end.
#pragma once

#include <atomic>
#include <thread>

#include "gateway/audit/record.h"
#include "os/batch_queue.h"
#include "os/rotated_file.h"

namespace p2pxbone {

class AuditLog final : public gateway::AuditSink {
 public:
  struct Settings {
    std::string directory;  // see openLockedDirectory()
    std::string name = "eve.json";
    uint64_t rotateBytes = 100'000'000;
    uint32_t keep = 10;
    gateway::AuditEvents events = gateway::AuditEvents::all();
    // Records that wait to be written, bytes; the memory is twice this.
    size_t queueBytes = 8 << 20;
    Millis syncEvery = 1'000;
    // After the disk has refused.
    Millis retryEvery = 1'000;
    // As in AuditRecord, for the log's own records.
    std::string host;
  };
  struct Statistics {
    uint64_t recorded = 0;  // taken from the packet path
    uint64_t lost = 0;      // found no room, or could not be written before the end
    uint64_t written = 0;   // lines, those about losses included
    uint64_t bytes = 0;     // of these
    uint64_t rotations = 0;
    uint64_t errors = 0;    // times that the disk refused
    int lastError = 0;      // errno; 0: none yet, or it goes on
  };

  // Throws std::system_error if the directory cannot be written to, another writer has it, or there is no thread left.
  explicit AuditLog(Settings settings);
  // As stop().
  ~AuditLog() override;
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Any thread.
  [[nodiscard]] bool wants(gateway::AuditEvent event) const override { return settings_.events.has(event); }
  void record(const gateway::AuditRecord& record) override;
  [[nodiscard]] Statistics statistics() const;

  // One thread. Returns when all that was recorded before is on the disk, or the disk has refused once more and the
  // rest is counted as lost. Records that come later are counted as lost, too.
  void stop();

 private:
  void loop();
  void write(std::string_view lines);
  void giveUp(std::string_view rest);
  void announceLosses();
  void failed(int error);
  void sync();

  const Settings settings_;
  RotatedFile file_;  // the thread's, as all of these
  uint64_t announced_ = 0;
  bool unsynced_ = false;
  Millis syncedAt_ = 0;

  BatchQueue queue_;
  std::atomic<uint64_t> recorded_{0};
  std::atomic<uint64_t> lost_{0};
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> rotations_{0};
  std::atomic<uint64_t> errors_{0};
  std::atomic<int> lastError_{0};
  std::thread thread_;
};

}  // namespace p2pxbone
