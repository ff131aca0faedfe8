// Memory for files that come in, in chunks of one size: filled by who sees the bytes, handed on as they are, and used again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace p2pxbone {

class DraftMemory {
 public:
  static constexpr size_t kChunkBytes = 16 * 1024;

  class Chunk {
   public:
    Chunk() = default;
    explicit Chunk(std::unique_ptr<uint8_t[]> memory) : memory_(std::move(memory)) {}

    [[nodiscard]] explicit operator bool() const { return memory_ != nullptr; }
    [[nodiscard]] bool full() const { return size_ == kChunkBytes; }
    [[nodiscard]] std::span<const uint8_t> bytes() const { return {memory_.get(), size_}; }
    // Copies what there is room for, and gives the rest.
    [[nodiscard]] std::span<const uint8_t> add(std::span<const uint8_t> bytes) {
      const size_t count = std::min(bytes.size(), kChunkBytes - size_);
      std::memcpy(memory_.get() + size_, bytes.data(), count);
      size_ += count;
      return bytes.subspan(count);
    }

   private:
    friend class DraftMemory;
    std::unique_ptr<uint8_t[]> memory_;
    size_t size_ = 0;
  };

  explicit DraftMemory(size_t bytesMax) : left_(bytesMax / kChunkBytes) {}

  // Any thread, as all below. None where there is none left.
  [[nodiscard]] Chunk take();
  void giveBack(std::span<Chunk> chunks);
  // Nothing has come for a while: what is not used goes back to the system.
  void release();

 private:
  std::mutex mutex_;  // guards all below
  size_t left_;
  // Kept for the next: fresh memory costs more than what is written to it.
  std::vector<std::unique_ptr<uint8_t[]>> spare_;
};

}  // namespace p2pxbone
