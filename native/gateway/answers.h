// Packets that the gateway makes to tell the ends of a flow that it is refused.
#pragma once

#include <cstdint>
#include <span>

#include "gateway/flow.h"

namespace p2pxbone::gateway {

inline constexpr size_t kResetBytesMax = 60;

struct Reset {
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  bool acknowledges = false;
};

// An RST to `to` that looks as if it came from the other side; its length. `into` has kResetBytesMax bytes.
[[nodiscard]] size_t buildReset(std::span<uint8_t> into, const Flow& flow, Side to, const Reset& reset);

// The answer to a TCP packet of which nothing is known but itself (RFC 9293 §3.10.7.1); 0 if it must not be answered.
[[nodiscard]] size_t buildResetFor(std::span<uint8_t> into, const Packet& packet);

}  // namespace p2pxbone::gateway
