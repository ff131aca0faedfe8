// What is to happen to a packet, and why.
#pragma once

#include <cstdint>

#include "core/reasons.h"

namespace p2pxbone::gateway {

// Rules are numbered from 1 by the policy compiler.
inline constexpr uint32_t kNoRule = 0;

struct Verdict {
  enum class Action : uint8_t {
    accept,
    drop,
    reject,  // drop, and tell the ends: RST to both for TCP, ICMP to the sender for others
    hold,    // the packet waits in the gateway; it leaves by the outlet
  };
  Action action = Action::accept;
  // With drop and reject.
  DropReason reason = DropReason::none;
  uint32_t rule = kNoRule;

  [[nodiscard]] bool goesOn() const { return action == Action::accept; }

  [[nodiscard]] static constexpr Verdict accept(uint32_t rule = kNoRule) {
    return {Action::accept, DropReason::none, rule};
  }
  [[nodiscard]] static constexpr Verdict drop(DropReason reason, uint32_t rule = kNoRule) {
    return {Action::drop, reason, rule};
  }
  [[nodiscard]] static constexpr Verdict reject(uint32_t rule) {
    return {Action::reject, DropReason::gatewayRejected, rule};
  }
  [[nodiscard]] static constexpr Verdict hold(uint32_t rule = kNoRule) { return {Action::hold, DropReason::none, rule}; }

  friend bool operator==(const Verdict&, const Verdict&) = default;
};

}  // namespace p2pxbone::gateway
