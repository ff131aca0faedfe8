#include "core/association_probe.h"

#include <algorithm>
#include <array>

namespace p2pxbone {
namespace {

// Jumbo frames, Ethernet, PPPoE, and what tunnels of all kinds leave of it, down to the least that IPv6 allows.
constexpr std::array<size_t, 14> pathMtus{9000, 1500, 1492, 1480, 1460, 1440, 1420, 1400, 1380, 1360, 1340, 1320, 1300, 1280};
constexpr int64_t stepMs = 200;
constexpr int64_t roundMs = 60'000;
// Step 0 tries the largest alone, for most paths carry it; each later step tries all that are larger than what has been
// answered in this round.
constexpr int triesOfAll = 3;

}  // namespace

PathProbe::PathProbe(size_t outerHeaderBytes, size_t payloadBytesLimit, int64_t now)
    : max_(pathMtus.back() - outerHeaderBytes), nextAt_(now) {
  for (const size_t mtu : pathMtus) {
    const size_t payload = mtu - outerHeaderBytes;
    if (payload <= std::max(payloadBytesLimit, max_)) sizes_.push_back(payload);
  }
}

std::vector<size_t> PathProbe::due(int64_t now) {
  if (now < nextAt_) return {};
  if (step_ > triesOfAll) {
    conclude(now);
    return {};
  }
  nextAt_ = now + stepMs;
  if (step_++ == 0) {
    roundBest_ = 0;
    return {sizes_.front()};
  }
  std::vector<size_t> untried;
  std::copy_if(sizes_.begin(), sizes_.end(), std::back_inserter(untried), [this](size_t size) { return size > roundBest_; });
  return untried;
}

void PathProbe::answered(size_t payloadBytes, int64_t now) {
  max_ = std::max(max_, payloadBytes);
  if (step_ == 0) return;
  roundBest_ = std::max(roundBest_, payloadBytes);
  if (roundBest_ == sizes_.front()) conclude(now);
}

// Without any answer nothing is known about sizes: the peer is slow or gone, which others find out.
void PathProbe::conclude(int64_t now) {
  if (roundBest_ > 0) max_ = roundBest_;
  step_ = 0;
  nextAt_ = now + roundMs;
}

}  // namespace p2pxbone
