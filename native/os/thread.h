// Threads of the data plane, and their clock.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "core/association.h"

namespace p2pxbone {

[[nodiscard]] inline Millis monotonicNow() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// The same clock, microseconds.
[[nodiscard]] inline int64_t monotonicMicros() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

// The time of day, microseconds since 1970, UTC.
[[nodiscard]] inline int64_t wallNow() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

// A named thread that takes no signals: those are for the process's main loop. `name` has at most 15 bytes.
template <typename Body>
[[nodiscard]] std::thread startThread(const char* name, Body&& body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread{std::forward<Body>(body)};
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace p2pxbone
