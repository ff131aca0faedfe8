#include "os/parting_line.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/vxlan.h"

namespace p2pxbone {

PartingLine::PartingLine()
    : memory_(std::make_unique_for_overwrite<uint8_t[]>(kBytesMax)),
      entries_(std::make_unique<TrafficGate::Parting[]>(kPacketsMax)),
      ends_(std::make_unique<uint64_t[]>(kPacketsMax)) {}

bool PartingLine::push(std::span<const uint8_t> inner, const TrafficGate::Parting& about) {
  if (inner.empty() || written_ - settled_ == kPacketsMax) return false;
  const size_t bytes = kEncapsulationBytes + inner.size();
  // In one piece: what is left before the end of the memory may be too little.
  const size_t left = kBytesMax - bytesWritten_ % kBytesMax;
  const uint64_t begin = bytesWritten_ + (left < bytes ? left : 0);
  if (begin + bytes - bytesSettled_ > kBytesMax) return false;
  uint8_t* const at = memory_.get() + begin % kBytesMax;
  std::fill_n(at, kEncapsulationBytes, uint8_t{0});
  storeBe16(at + kVxlanBytes + 12, inner[0] >> 4 == 6 ? kEtherTypeIpv6 : kEtherTypeIpv4);
  std::copy(inner.begin(), inner.end(), at + kEncapsulationBytes);
  TrafficGate::Parting& entry = entries_[written_ % kPacketsMax];
  entry = about;
  entry.packet = {at, bytes};
  bytesWritten_ = begin + bytes;
  ends_[written_ % kPacketsMax] = bytesWritten_;
  ++written_;
  return true;
}

std::span<const TrafficGate::Parting> PartingLine::take() {
  const size_t first = taken_ % kPacketsMax;
  const size_t some = std::min(count(), kPacketsMax - first);
  taken_ += some;
  return {entries_.get() + first, some};
}

void PartingLine::settle() {
  if (taken_ == settled_) return;
  settled_ = taken_;
  bytesSettled_ = ends_[(taken_ - 1) % kPacketsMax];
}

}  // namespace p2pxbone
