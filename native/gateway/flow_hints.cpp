#include "gateway/flow_hints.h"

#include <algorithm>

namespace p2pxbone::gateway {

std::optional<FlowRef> FlowHints::learn(const Address& address, uint16_t port, const FlowHint& hint, Millis now) {
  // One that says nothing would only take the place of others.
  const bool says = hint.kind != FlowHint::Kind::any || !hint.name.empty() || hint.size || hint.sender;
  const Place place{address, port, hint.other};
  auto found = hints_.find(place);
  if (found == hints_.end()) {
    if (!says) return std::nullopt;
    if (hints_.size() >= kHintsMax) makeRoom(now);
    found = hints_.try_emplace(place).first;
  }
  Entry& entry = found->second;
  if (entry.expires <= now) entry.user.reset();
  entry.hint = hint;
  entry.name.assign(hint.name.substr(0, kNameBytesMax));
  entry.hint.name = {};
  entry.expires = now + kExpiry;
  return entry.user;
}

FlowHint FlowHints::claim(const FlowEnds& ends, const FlowRef& flow, Millis now) {
  const auto of = [&](Side side) {
    const auto found = hints_.find({ends.address(side), ends.port(side), ends.address(other(side))});
    return found != hints_.end() ? found : hints_.find({ends.address(side), ends.port(side), PeerCache::kAnybody});
  };
  for (const Side side : {Side::responder, Side::initiator}) {
    const auto found = of(side);
    if (found == hints_.end() || found->second.expires <= now) continue;
    Entry& entry = found->second;
    entry.user = flow;
    FlowHint hint = entry.hint;
    hint.name = entry.name;
    return hint;
  }
  return {};
}

// All that is stale; if nothing is, the quarter that is stale first.
void FlowHints::makeRoom(Millis now) {
  if (std::erase_if(hints_, [now](const auto& item) { return item.second.expires <= now; }) > 0) return;
  std::vector<Millis> times;
  times.reserve(hints_.size());
  for (const auto& [place, entry] : hints_) times.push_back(entry.expires);
  const auto quarter = times.begin() + static_cast<ptrdiff_t>(times.size() / 4);
  std::nth_element(times.begin(), quarter, times.end());
  std::erase_if(hints_, [last = *quarter](const auto& item) { return item.second.expires <= last; });
}

}  // namespace p2pxbone::gateway
