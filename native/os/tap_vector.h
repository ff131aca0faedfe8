// A frame as the pieces that a TAP's file descriptor takes in one vectored write.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstring>

#include "core/coalesce.h"

namespace p2pxbone {

// Refers to the frame's pieces and to itself: both stay in place until it has been written.
class TapVector {
 public:
  // `vnetHeader`: whether the device expects one before each frame.
  void set(const TapFrame& frame, bool vnetHeader) {
    count_ = 0;
    if (vnetHeader) {
      header_ = encodeVnetHeader(frame.offload);
      vectors_[count_++] = {header_.data(), header_.size()};
    }
    for (const std::span<const uint8_t> piece : frame.pieces) {
      // The kernel only reads what it is to write; iovec serves both directions and so cannot say it.
      vectors_[count_++] = {const_cast<uint8_t*>(piece.data()), piece.size()};
    }
  }

  [[nodiscard]] const iovec* data() const { return vectors_.data(); }
  [[nodiscard]] int count() const { return static_cast<int>(count_); }

 private:
  std::array<uint8_t, kVnetHeaderBytes> header_;
  std::array<iovec, Coalescer::kPacketsMax + 1> vectors_;
  size_t count_ = 0;
};

}  // namespace p2pxbone
