// Where a thread of the packet path leaves the packets of shaped tunnels.
#pragma once

#include <cstdint>
#include <span>

#include "core/image.h"

namespace p2pxbone {

enum class Way : uint8_t { out, in };

// One direction of one tunnel. The names stay valid when the tunnel is gone, and are never used again.
struct ShapedLink {
  uint32_t node = 0;  // serial number
  TunnelHandle tunnel = 0;
  Way way = Way::out;
};

class ShaperInlet {
 public:
  virtual ~ShaperInlet() = default;
  // Copies a whole VXLAN packet; false if there is no room.
  [[nodiscard]] virtual bool offer(const ShapedLink& link, std::span<const uint8_t> packet) = 0;
  // At a batch's end: has what was offered looked at. Its time counts from the offer, so that this delays nothing by more
  // than the batch lasts.
  virtual void wake() = 0;
};

}  // namespace p2pxbone
