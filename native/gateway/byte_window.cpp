#include "gateway/byte_window.h"

#include <algorithm>
#include <bit>

namespace p2pxbone::gateway {

void ByteWindow::reach(uint64_t lastPage) {
  const uint64_t length = lastPage - firstPage_ + 1;
  if (length <= table_.size()) return;
  std::vector<uint32_t> larger(std::bit_ceil(std::max<uint64_t>(length, 4)), PagePool::kNone);
  for (uint64_t page = firstPage_; page < firstPage_ + table_.size(); ++page) {
    larger[page & (larger.size() - 1)] = slot(page);
  }
  table_ = std::move(larger);
}

bool ByteWindow::write(uint64_t at, std::span<const uint8_t> bytes) {
  if (bytes.empty()) return true;
  const uint64_t last = pageOf(at + bytes.size() - 1);
  if (last - firstPage_ >= pagesMax_) return false;
  uint32_t missing = 0;
  for (uint64_t page = pageOf(at); page <= last; ++page) {
    if (page - firstPage_ >= table_.size() || slot(page) == PagePool::kNone) ++missing;
  }
  if (missing > pool_->available()) return false;
  reach(last);
  while (!bytes.empty()) {
    uint32_t& page = slot(pageOf(at));
    if (page == PagePool::kNone) {
      page = pool_->take();
      ++taken_;
    }
    const size_t within = at % PagePool::kPageBytes;
    const auto piece = bytes.first(std::min(bytes.size(), PagePool::kPageBytes - within));
    std::copy(piece.begin(), piece.end(), pool_->at(page) + within);
    at += piece.size();
    bytes = bytes.subspan(piece.size());
  }
  return true;
}

std::span<const uint8_t> ByteWindow::read(uint64_t at, uint64_t end) const {
  const size_t within = at % PagePool::kPageBytes;
  const size_t length = std::min<uint64_t>(end - at, PagePool::kPageBytes - within);
  return {pool_->at(slot(pageOf(at))) + within, length};
}

void ByteWindow::dropBefore(uint64_t at) {
  const uint64_t target = pageOf(at);
  const uint64_t known = std::min(target, firstPage_ + table_.size());
  for (; firstPage_ < known; ++firstPage_) {
    uint32_t& page = slot(firstPage_);
    if (page == PagePool::kNone) continue;
    pool_->give(page);
    page = PagePool::kNone;
    --taken_;
  }
  firstPage_ = std::max(firstPage_, target);
}

void ByteWindow::clear() {
  for (uint32_t& page : table_) {
    if (page != PagePool::kNone) pool_->give(page);
    page = PagePool::kNone;
  }
  taken_ = 0;
}

}  // namespace p2pxbone::gateway
