// The bytes of one object that is to be scanned, in blocks that count towards a bound.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace p2pxbone {

// Shared by all objects. Any thread.
class ScanMemory {
 public:
  explicit ScanMemory(size_t bytesMax) : bytesMax_(bytesMax) {}

  [[nodiscard]] bool take(size_t bytes) {
    size_t used = used_.load(std::memory_order_relaxed);
    do {
      if (bytes > bytesMax_ - used) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  void give(size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] size_t used() const { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] size_t max() const { return bytesMax_; }

 private:
  const size_t bytesMax_;
  std::atomic<size_t> used_{0};
};

class ScanObject {
 public:
  static constexpr size_t kBlockBytes = size_t{32} * 1024;

  // The memory is borrowed.
  explicit ScanObject(ScanMemory& memory) : memory_(memory) {}
  ~ScanObject() { clear(); }
  ScanObject(const ScanObject&) = delete;
  ScanObject& operator=(const ScanObject&) = delete;

  // False, and nothing has changed, if there is no room.
  [[nodiscard]] bool append(std::span<const uint8_t> bytes) {
    const size_t blocks = (size_ + bytes.size() + kBlockBytes - 1) / kBlockBytes;
    if (!memory_.take((blocks - blocks_.size()) * kBlockBytes)) return false;
    while (blocks_.size() < blocks) blocks_.push_back(std::make_unique_for_overwrite<uint8_t[]>(kBlockBytes));
    while (!bytes.empty()) {
      const size_t at = size_ % kBlockBytes;
      const size_t part = std::min(bytes.size(), kBlockBytes - at);
      std::memcpy(blocks_[size_ / kBlockBytes].get() + at, bytes.data(), part);
      size_ += part;
      bytes = bytes.subspan(part);
    }
    return true;
  }
  // The last `bytes` of another one, or all of it. False if there is no room; then it has a part of them.
  [[nodiscard]] bool appendTail(const ScanObject& other, size_t bytes) {
    const size_t first = other.size_ - std::min(bytes, other.size_);
    for (size_t block = first / kBlockBytes; block < other.blocks(); ++block) {
      const size_t skip = block == first / kBlockBytes ? first % kBlockBytes : 0;
      if (!append(other.block(block).subspan(skip))) return false;
    }
    return true;
  }

  void clear() {
    memory_.give(blocks_.size() * kBlockBytes);
    blocks_.clear();
    blocks_.shrink_to_fit();
    size_ = 0;
  }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] size_t blocks() const { return (size_ + kBlockBytes - 1) / kBlockBytes; }
  [[nodiscard]] std::span<const uint8_t> block(size_t index) const {
    return {blocks_[index].get(), std::min(kBlockBytes, size_ - index * kBlockBytes)};
  }

 private:
  ScanMemory& memory_;
  std::vector<std::unique_ptr<uint8_t[]>> blocks_;
  size_t size_ = 0;
};

}  // namespace p2pxbone
