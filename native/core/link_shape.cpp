#include "core/link_shape.h"

#include <algorithm>

namespace p2pxbone {
namespace {

constexpr uint64_t kRateMin = 8'000;
constexpr uint64_t kRateMax = 100'000'000'000;
constexpr uint64_t kBytesMin = 1'500;
constexpr uint64_t kBytesMax = 1'000'000'000;
constexpr Nanos kDelayMax = 10'000'000'000;

constexpr uint64_t kBurstDefaultMin = 15'000;
constexpr uint64_t kBurstDefaultPerSecond = 100;  // 10 ms of the rate
constexpr uint64_t kQueueDefaultMin = 30'000;
constexpr uint64_t kQueueDefaultPerSecond = 10;  // 100 ms of the rate

bool isShare(double value) { return value >= 0 && value <= 1; }
bool isAbsentOrIn(uint64_t value, uint64_t least, uint64_t most) {
  return value == 0 || (value >= least && value <= most);
}

}  // namespace

std::optional<LinkShape> completed(LinkShape shape) {
  const bool good = isAbsentOrIn(shape.rateBitsPerSecond, kRateMin, kRateMax) &&
                    isAbsentOrIn(shape.burstBytes, kBytesMin, kBytesMax) &&
                    isAbsentOrIn(shape.queueBytes, kBytesMin, kBytesMax) && shape.delay >= 0 &&
                    shape.delay <= kDelayMax && shape.jitter >= 0 && shape.jitter <= shape.delay &&
                    isShare(shape.loss) && isShare(shape.reorder);
  if (!good) return std::nullopt;
  const uint64_t bytesPerSecond = shape.rateBitsPerSecond / 8;
  if (shape.burstBytes == 0) shape.burstBytes = std::max(kBurstDefaultMin, bytesPerSecond / kBurstDefaultPerSecond);
  if (shape.queueBytes == 0) {
    shape.queueBytes = std::clamp(bytesPerSecond / kQueueDefaultPerSecond, kQueueDefaultMin, kBytesMax);
  }
  return shape;
}

}  // namespace p2pxbone
