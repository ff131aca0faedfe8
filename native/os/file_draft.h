// A file that comes in. As long as it is small and there is room it is in memory: most are known already when they are
// whole, or given up, and do not touch the disk. What is larger goes to disk in large parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gateway/sha256.h"
#include "os/fd.h"

namespace p2pxbone {

// Of all drafts of one writer: memory, and descriptors of those on disk. One thread. Outlives them.
class DraftRoom {
 public:
  static constexpr size_t kChunkBytes = 16 * 1024;
  using Chunk = std::unique_ptr<uint8_t[]>;

  DraftRoom(size_t bytesMax, size_t filesMax) : left_(bytesMax / kChunkBytes), filesLeft_(filesMax) {}

  // Null where there is none left.
  [[nodiscard]] Chunk take();
  // Kept for the next drafts: fresh memory costs more than what is written to it.
  void giveBack(std::vector<Chunk>& chunks);
  // Whether one more may be on disk; giveBackFile() when it is no more.
  [[nodiscard]] bool takeFile();
  void giveBackFile() { ++filesLeft_; }
  // Nothing has come for a while.
  void release() { std::vector<Chunk>{}.swap(spare_); }

 private:
  size_t left_;
  size_t filesLeft_;
  std::vector<Chunk> spare_;
};

class FileDraft {
 public:
  // `path` in `directory`; a file of that name is made when it goes to disk, and must not be there.
  FileDraft(int directory, std::string path, DraftRoom& room)
      : directory_(directory), path_(std::move(path)), room_(room) {}
  FileDraft(const FileDraft&) = delete;
  FileDraft& operator=(const FileDraft&) = delete;
  // What is on disk is removed, unless it was kept.
  ~FileDraft();

  // Copies. 0 or an errno, after which it can only be destroyed.
  [[nodiscard]] int append(std::span<const std::span<const uint8_t>> pieces);
  // Of all of it. 0 or an errno.
  [[nodiscard]] int hash(gateway::Sha256& digest);
  // All of it goes to disk, to this path in the directory in place of what is there. 0 or an errno.
  [[nodiscard]] int keep(const std::string& path);

 private:
  [[nodiscard]] bool copy(std::span<const std::span<const uint8_t>> pieces);
  [[nodiscard]] int flush();
  [[nodiscard]] int write(std::span<const std::span<const uint8_t>> pieces);
  void close();

  const int directory_;
  std::string path_;
  DraftRoom& room_;
  UniqueFd file_;
  std::vector<DraftRoom::Chunk> chunks_;  // behind what is on disk; all but the last are full
  size_t chunkBytes_ = 0;
};

}  // namespace p2pxbone
