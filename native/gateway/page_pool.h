// Pages of one size in one piece of memory. One pipeline's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace p2pxbone::gateway {

class PagePool {
 public:
  static constexpr size_t kPageBytes = 2048;
  static constexpr uint32_t kNone = 0xffffffff;

  // Pages that were never taken are never touched.
  explicit PagePool(uint32_t pages)
      : memory_(std::make_unique_for_overwrite<uint8_t[]>(size_t{pages} * kPageBytes)), pages_(pages) {}

  // kNone if all are taken.
  [[nodiscard]] uint32_t take() {
    if (free_.empty()) return unused_ < pages_ ? unused_++ : kNone;
    const uint32_t page = free_.back();
    free_.pop_back();
    return page;
  }
  void give(uint32_t page) { free_.push_back(page); }

  [[nodiscard]] uint8_t* at(uint32_t page) const { return memory_.get() + size_t{page} * kPageBytes; }
  [[nodiscard]] uint32_t used() const { return unused_ - static_cast<uint32_t>(free_.size()); }
  [[nodiscard]] uint32_t available() const { return pages_ - used(); }

 private:
  std::unique_ptr<uint8_t[]> memory_;
  uint32_t pages_;
  uint32_t unused_ = 0;
  std::vector<uint32_t> free_;
};

}  // namespace p2pxbone::gateway
