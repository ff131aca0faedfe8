#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>

#include "os/fd.h"

namespace p2pxbone::testing {

// The calling thread is in a network namespace of its own, which vanishes with this.
class ScopedNamespace {
 public:
  ScopedNamespace() : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
  }
  ~ScopedNamespace() { CHECK(::setns(before_.get(), CLONE_NEWNET) == 0); }

 private:
  UniqueFd before_;
};

}  // namespace p2pxbone::testing
