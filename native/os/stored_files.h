// Files that pass through the gateway, kept on disk under their SHA-256. A thread writes them: it is handed memory that the
// pipelines have filled, of which there is so much for all. What finds no room there, or on the disk, is given up and counted. Files are not synced: after a
// power failure, a file whose bytes do not have the SHA-256 of its name is one that had not reached the disk.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "gateway/audit/file_store.h"
#include "os/draft_memory.h"
#include "os/file_shelf.h"
#include "os/handed_queue.h"

namespace p2pxbone {

class StoredFiles {
 public:
  // A sixteenth of the machine's, at most 256 MB.
  [[nodiscard]] static size_t defaultMemoryMax();

  struct Settings {
    std::string directory;  // see openLockedDirectory()
    // Of all files together; the oldest go.
    uint64_t bytesMax = 10'000'000'000;
    uint32_t filesMax = 100'000;
    // A larger one is given up.
    uint64_t fileBytesMax = 1'000'000'000;
    // Files of one pipeline that are open, or whose results it has not fetched. Those of connections that were reset stay
    // open until their flow is given up.
    uint32_t openMax = 4096;
    // For what comes in or waits to be written; at least 128 KB.
    size_t queueBytes = 16 << 20;
    // Beside it, for files that are small, until they are whole. All is given back to the system when nothing has come for
    // ten seconds.
    size_t memoryMax = defaultMemoryMax();
    // Those that did not come to their end are kept as well.
    bool keepPartial = false;
  };
  struct Statistics {
    uint64_t stored = 0;
    uint64_t known = 0;    // the same bytes were there already
    uint64_t partial = 0;  // did not come to their end
    uint64_t refused = 0;  // too many were open
    uint64_t crowded = 0;  // given up because there was no memory left
    uint64_t tooBig = 0;   // given up because one file may not be that large, or all together
    uint64_t failed = 0;   // given up because the disk has refused
    uint64_t removed = 0;  // to make room
    uint64_t files = 0;    // there now
    uint64_t bytes = 0;    // of these
    int lastError = 0;     // errno of the last that failed; 0: none yet
  };

  // Throws std::system_error if the directory cannot be written to, another writer has it, or there is no thread left.
  explicit StoredFiles(Settings settings);
  // As stop().
  ~StoredFiles();
  StoredFiles(const StoredFiles&) = delete;
  StoredFiles& operator=(const StoredFiles&) = delete;

  // The way in for one pipeline, used by one thread at a time; this outlives it. Files that it leaves open are
  // incomplete.
  [[nodiscard]] std::unique_ptr<gateway::FileStore> open();
  // Any thread.
  [[nodiscard]] Statistics statistics() const;
  // One thread. Returns when everything that was handed over is on its place; what is still open is incomplete. Results
  // can be fetched afterwards, until the ways in are gone.
  void stop();

 private:
  class Inlet;
  class Desk;
  struct Incoming;
  struct Totals {
    std::atomic<uint64_t> stored{0};
    std::atomic<uint64_t> known{0};
    std::atomic<uint64_t> partial{0};
    std::atomic<uint64_t> refused{0};
    std::atomic<uint64_t> crowded{0};
    std::atomic<uint64_t> tooBig{0};
    std::atomic<uint64_t> failed{0};
    std::atomic<uint64_t> removed{0};
    std::atomic<uint64_t> files{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<int> lastError{0};
  };

  void closeInlet(uint32_t owner);
  void loop();
  void take(std::span<Handed> batch);
  void write(gateway::StoreId id, Incoming& file);
  void endAll();
  void giveUp(Incoming& file, std::atomic<uint64_t>& counter, int error = 0);
  void conclude(gateway::StoreId id, bool complete, const std::optional<gateway::Sha256>& digest);
  void finishDraft(Incoming& file, bool complete, const std::optional<gateway::Sha256>& known,
                   gateway::StoredFile& result);
  void tell();
  void publish(uint32_t owner, const gateway::StoredFile& result);
  [[nodiscard]] std::shared_ptr<Desk> deskOf(uint32_t owner);

  const Settings settings_;
  DraftMemory memory_;
  FileShelf shelf_;  // the thread's, as the next two
  std::unordered_map<gateway::StoreId, Incoming> incoming_;
  std::vector<gateway::StoreId> touched_;

  HandedQueue queue_;
  Totals totals_;
  std::atomic<gateway::StoreId> nextId_{1};
  std::mutex mutex_;  // guards the next two
  std::unordered_map<uint32_t, std::shared_ptr<Desk>> desks_;
  uint32_t nextOwner_ = 0;
  std::thread thread_;
};

}  // namespace p2pxbone
