// Where packets leave that are not the one at hand.
#pragma once

#include <cstdint>
#include <span>

#include "core/offload.h"
#include "core/reasons.h"

namespace p2pxbone::gateway {

class Outlet {
 public:
  virtual ~Outlet() = default;
  // A packet for which the pipeline once answered `hold` goes on now, perhaps changed or shorter. The bytes, from the IP
  // header on, die with the call.
  virtual void release(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag) = 0;
  // Such a packet was dropped.
  virtual void discard(uint64_t tag, DropReason reason) = 0;
  // A packet that the gateway has made, to be routed to its destination: an RST or an ICMP error.
  virtual void emit(std::span<uint8_t> bytes) = 0;
};

}  // namespace p2pxbone::gateway
