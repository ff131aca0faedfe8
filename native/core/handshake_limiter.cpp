#include "core/handshake_limiter.h"

#include <algorithm>

namespace p2pxbone {

Endpoint hostOf(const Endpoint& peer) {
  Endpoint host{peer.ip, 0};
  if (!peer.isIpv4Mapped()) std::fill(host.ip.begin() + 8, host.ip.end(), uint8_t{0});
  return host;
}

HandshakeLimiter::HandshakeLimiter(Rate answers, Rate handshakes, uint64_t seed)
    : fresh_{{}, false, 0, {answers.perSecond, answers.burst}, {handshakes.perSecond, handshakes.burst}},
      seed_(seed),
      entries_(kSets * kWays, fresh_) {}

HandshakeLimiter::Entry& HandshakeLimiter::entryOf(const Endpoint& peer, Millis now) {
  const Endpoint host = hostOf(peer);
  const std::span set{&entries_[keyedHash(host, seed_) % kSets * kWays], kWays};
  Entry* chosen = set.data();
  for (Entry& entry : set) {
    if (entry.used && entry.host == host) {
      entry.usedAt = now;
      return entry;
    }
    if (!entry.used || (chosen->used && entry.usedAt < chosen->usedAt)) chosen = &entry;
  }
  *chosen = fresh_;
  chosen->host = host;
  chosen->used = true;
  chosen->usedAt = now;
  return *chosen;
}

}  // namespace p2pxbone
