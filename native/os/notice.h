// What an operator should hear once: that this machine lacks something and the data plane goes on without it.
#pragma once

#include <atomic>
#include <cstdio>

namespace p2pxbone {

// Any thread. Each notice is a static of the place that says it, so the process says it once.
class Notice {
 public:
  explicit constexpr Notice(const char* text) : text_(text) {}
  void say() {
    if (!said_.exchange(true, std::memory_order_relaxed)) std::fprintf(stderr, "p2pxbone data plane: %s\n", text_);
  }

 private:
  const char* const text_;
  std::atomic<bool> said_{false};
};

}  // namespace p2pxbone
