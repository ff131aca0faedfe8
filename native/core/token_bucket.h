// A rate limit: `burst` at once, `perSecond` in the long run. One thread's.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/association.h"

namespace p2pxbone {

class TokenBucket {
 public:
  TokenBucket(int64_t perSecond, int64_t burst) : perSecond_(perSecond), level_(burst * 1000), full_(burst * 1000) {}

  [[nodiscard]] bool take(Millis now) {
    // In thousandths of a token, of which a millisecond brings perSecond.
    const Millis elapsed = std::clamp<Millis>(now - last_, 0, full_);
    level_ = std::min(full_, level_ + elapsed * perSecond_);
    last_ = now;
    if (level_ < 1000) return false;
    level_ -= 1000;
    return true;
  }

 private:
  int64_t perSecond_;
  int64_t level_;
  int64_t full_;
  Millis last_ = 0;
};

}  // namespace p2pxbone
