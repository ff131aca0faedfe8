#include "os/draft_memory.h"

#include <new>

namespace p2pxbone {

DraftMemory::Chunk DraftMemory::take() {
  const std::lock_guard lock{mutex_};
  if (left_ == 0) return {};
  std::unique_ptr<uint8_t[]> memory;
  if (spare_.empty()) {
    memory.reset(new (std::nothrow) uint8_t[kChunkBytes]);
    if (memory == nullptr) return {};
  } else {
    memory = std::move(spare_.back());
    spare_.pop_back();
  }
  --left_;
  return Chunk{std::move(memory)};
}

void DraftMemory::giveBack(std::span<Chunk> chunks) {
  const std::lock_guard lock{mutex_};
  for (Chunk& chunk : chunks) {
    if (!chunk) continue;
    spare_.push_back(std::move(chunk.memory_));
    chunk.size_ = 0;
    ++left_;
  }
}

void DraftMemory::release() {
  std::vector<std::unique_ptr<uint8_t[]>> unused;
  const std::lock_guard lock{mutex_};
  unused.swap(spare_);
}

}  // namespace p2pxbone
