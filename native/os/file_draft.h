// A file that comes in. As long as it is small and there is room it is in memory: most are known already when they are
// whole, or given up, and do not touch the disk. What is larger goes to disk in large parts.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "gateway/sha256.h"
#include "os/draft_memory.h"
#include "os/fd.h"

namespace p2pxbone {

// Of all drafts of one writer: memory that they may hold, and descriptors of those on disk. One thread. Outlives them.
class DraftRoom {
 public:
  // The memory is borrowed, and others may have of it too.
  DraftRoom(DraftMemory& memory, size_t bytesMax, size_t filesMax)
      : memory_(memory), left_(bytesMax / DraftMemory::kChunkBytes), filesLeft_(filesMax) {}

  // Whether one more chunk may be held.
  [[nodiscard]] bool hold();
  // So many of them were held.
  void giveBack(std::vector<DraftMemory::Chunk>& chunks, size_t held);
  // Whether one more may be on disk; giveBackFile() when it is no more.
  [[nodiscard]] bool takeFile();
  void giveBackFile() { ++filesLeft_; }

 private:
  DraftMemory& memory_;
  size_t left_;
  size_t filesLeft_;
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

  // The next bytes. 0 or an errno, after which it can only be destroyed.
  [[nodiscard]] int append(DraftMemory::Chunk chunk);
  // Of all of it. 0 or an errno.
  [[nodiscard]] int hash(gateway::Sha256& digest);
  // All of it goes to disk, to this path in the directory in place of what is there. 0 or an errno.
  [[nodiscard]] int keep(const std::string& path);

 private:
  [[nodiscard]] int flush();
  [[nodiscard]] int write();
  [[nodiscard]] int open();
  void close();

  const int directory_;
  std::string path_;
  DraftRoom& room_;
  UniqueFd file_;
  std::vector<DraftMemory::Chunk> chunks_;  // behind what is on disk
  size_t chunkBytes_ = 0;
  size_t held_ = 0;
};

}  // namespace p2pxbone
