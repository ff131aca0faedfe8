// What a thread does before it sleeps for want of packets: it lets others run once, and looks again.
#pragma once

#include <sched.h>

namespace p2pxbone {

// Whoever makes the next packets often waits for this processor. If it runs first, they are there without a sleep and a
// wake-up, and there are more of them; where nobody waits, it costs less than a microsecond. Trying again for longer takes
// the processor from the programs (docs/decisions/0013).
class YieldOnce {
 public:
  // After an attempt that found nothing. True: try again; false: sleep.
  [[nodiscard]] bool lookAgain() {
    yielded_ = !yielded_;
    if (yielded_) ::sched_yield();
    return yielded_;
  }
  // After one that found something.
  void found() { yielded_ = false; }

 private:
  bool yielded_ = false;
};

}  // namespace p2pxbone
