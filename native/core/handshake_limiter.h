// How many handshakes one host may begin with us in a short time: an IPv4 address, or an IPv6 /64.
#pragma once

#include <span>
#include <vector>

#include "core/endpoint.h"
#include "core/token_bucket.h"

namespace p2pxbone {

// What one stranger can have any number of endpoints in, with port 0.
[[nodiscard]] Endpoint hostOf(const Endpoint& peer);

// A table of fixed size in sets of a few entries. In a full set the host gives way that has been quiet for longest, whose
// buckets are the fullest; whoever has the addresses to push others out gains nothing that those would not give him.
class HandshakeLimiter {
 public:
  static constexpr size_t kSets = 1024;
  static constexpr size_t kWays = 4;

  struct Rate {
    int64_t perSecond;
    int64_t burst;
  };
  // `answers`: of ClientHellos without a cookie, which cost one hash. `handshakes`: of those with one, which cost a
  // signature and whose sender can be reached where it says. `seed` keeps others from choosing hosts that meet in a set.
  HandshakeLimiter(Rate answers, Rate handshakes, uint64_t seed);

  [[nodiscard]] bool mayAnswer(const Endpoint& peer, Millis now) { return entryOf(peer, now).answers.take(now); }
  [[nodiscard]] bool mayAccept(const Endpoint& peer, Millis now) { return entryOf(peer, now).handshakes.take(now); }

 private:
  struct Entry {
    Endpoint host;
    bool used = false;
    Millis usedAt = 0;
    TokenBucket answers;
    TokenBucket handshakes;
  };
  Entry& entryOf(const Endpoint& peer, Millis now);

  const Entry fresh_;
  const uint64_t seed_;
  std::vector<Entry> entries_;
};

}  // namespace p2pxbone
