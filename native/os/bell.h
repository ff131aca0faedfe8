// Tells a thread that polls descriptors that there is something for it beside them.
#pragma once

#include <atomic>

#include "os/fd.h"

namespace p2pxbone {

class Bell {
 public:
  [[nodiscard]] bool valid() const { return wakeup_.valid(); }

  // Any thread.
  void ring() {
    if (!rung_.exchange(true)) wakeup_.signal();
  }
  // The thread that is called: whether it has been since the last time. What was to be told before the bell was rung can
  // be seen from here on.
  [[nodiscard]] bool answer() { return rung_.load(std::memory_order_relaxed) && rung_.exchange(false); }
  // Likewise; what wakes it from its poll, to be drained after that.
  [[nodiscard]] const Wakeup& wakeup() const { return wakeup_; }

 private:
  Wakeup wakeup_;
  std::atomic<bool> rung_{false};
};

}  // namespace p2pxbone
