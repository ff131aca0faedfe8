// Bytes by their place in a stream, within a stretch that moves forward. Only pages that were written to take memory, so
// that stretches may lie far apart; which bytes of a page mean something is for its user to know.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gateway/page_pool.h"

namespace p2pxbone::gateway {

class ByteWindow {
 public:
  // At most so many pages, which also is how far it reaches. The pool is borrowed.
  ByteWindow(PagePool& pool, uint32_t pagesMax) : pool_(&pool), pagesMax_(pagesMax) {}
  ~ByteWindow() { clear(); }
  ByteWindow(const ByteWindow&) = delete;
  ByteWindow& operator=(const ByteWindow&) = delete;

  // False if there is no room; then nothing has changed. `at` is not before what was dropped.
  [[nodiscard]] bool write(uint64_t at, std::span<const uint8_t> bytes);
  // The bytes from `at` up to `end` that lie together; not more than a page's. They were written.
  [[nodiscard]] std::span<const uint8_t> read(uint64_t at, uint64_t end) const;
  // Frees the pages wholly before `at`.
  void dropBefore(uint64_t at);
  void clear();

  [[nodiscard]] uint32_t pages() const { return taken_; }

 private:
  [[nodiscard]] static uint64_t pageOf(uint64_t at) { return at / PagePool::kPageBytes; }
  [[nodiscard]] uint32_t& slot(uint64_t page) { return table_[page & (table_.size() - 1)]; }
  [[nodiscard]] uint32_t slot(uint64_t page) const { return table_[page & (table_.size() - 1)]; }
  void reach(uint64_t lastPage);

  PagePool* pool_;
  uint32_t pagesMax_;
  uint32_t taken_ = 0;
  uint64_t firstPage_ = 0;
  std::vector<uint32_t> table_;  // a power of two long; page p at p modulo its length
};

}  // namespace p2pxbone::gateway
