#include "core/link_model.h"

#include <algorithm>

namespace p2pxbone {
namespace {

// Of so many bytes at the shape's rate. No overflow: 10^9 bytes are 8 * 10^18 bit nanoseconds.
Nanos timeOf(uint64_t bytes, const LinkShape& shape) {
  return static_cast<Nanos>(bytes * 8 * kNanosPerSecond / shape.rateBitsPerSecond);
}

}  // namespace

uint64_t ShapeRandom::next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
  return mixed ^ (mixed >> 31);
}

Nanos ShapeRandom::around(Nanos width) {
  return static_cast<Nanos>(next() % (2 * static_cast<uint64_t>(width) + 1)) - width;
}

bool LinkModel::passRate(const LinkShape& shape, size_t bytes, Nanos& at) {
  const Nanos begins = std::max(spentUntil_, at - timeOf(shape.burstBytes, shape));
  const uint64_t cost = bytes * 8 * kNanosPerSecond + remainder_ % shape.rateBitsPerSecond;
  const Nanos ends = begins + static_cast<Nanos>(cost / shape.rateBitsPerSecond);
  // A packet that finds nothing waiting is taken even if it is larger than the queue.
  if (begins > at && ends - at > timeOf(shape.queueBytes, shape)) return false;
  spentUntil_ = ends;
  remainder_ = cost % shape.rateBitsPerSecond;
  at = std::max(at, ends);
  return true;
}

LinkModel::Admission LinkModel::admit(const LinkShape& shape, size_t bytes, Nanos now) {
  if (shape.loss > 0 && random_.share() < shape.loss) return {DropReason::shaperLost, 0, false};
  Nanos leaves = now;
  if (shape.rateBitsPerSecond != 0 && !passRate(shape, bytes, leaves)) return {DropReason::shaperFull, 0, false};
  // Several threads hand over packets, and their clocks' readings may come a little out of order.
  lastRated_ = std::max(lastRated_, leaves);
  if (shape.delay > 0 && shape.reorder > 0 && random_.share() < shape.reorder) {
    return {DropReason::none, lastRated_, true};
  }
  lastDue_ = std::max(lastDue_, lastRated_ + shape.delay + (shape.jitter > 0 ? random_.around(shape.jitter) : 0));
  return {DropReason::none, lastDue_, false};
}

}  // namespace p2pxbone
