// Owned file descriptors, and waking a thread that polls one.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <utility>

namespace p2pxbone {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (fd_ >= 0) ::close(fd_);
  }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// A flag that a poll() can wait for. Signals collapse into one until drained.
class Wakeup {
 public:
  Wakeup() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool valid() const { return fd_.valid(); }

  // Whether signal() has been called since the last drain(); without a system call. Where it has, whoever drains looks
  // afterwards at all that was done before this was asked, so that there is no need for another signal.
  [[nodiscard]] bool signalled() const { return signalled_.load(); }

  void signal() const {
    signalled_.store(true);
    const uint64_t one = 1;
    // It can only fail when the counter is full, and then it is signalled.
    [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
  }
  void drain() const {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t taken = ::read(fd_.get(), &count, sizeof count);
    // Last: taking back a signal that came in between would leave a flag that nobody ever drains.
    signalled_.store(false);
  }

 private:
  UniqueFd fd_;
  mutable std::atomic<bool> signalled_{false};
};

// Blocks until `fd` is readable or broken or `call` has been signalled, which it drains (true), or `stop` has been (false).
[[nodiscard]] bool waitReadable(int fd, const Wakeup& stop, const Wakeup* call = nullptr);

}  // namespace p2pxbone
