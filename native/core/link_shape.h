// Quality of service, or emulation, of one direction of a tunnel. Zero: no such effect, or the default.
#pragma once

#include <cstdint>

namespace p2pxbone {

using Nanos = int64_t;

struct LinkShape {
  double rateBitsPerSecond = 0;  // of inner IP packets
  uint64_t burstBytes = 0;
  uint64_t queueBytes = 0;
  Nanos delay = 0;
  Nanos jitter = 0;
  double loss = 0;     // share of packets, 0 to 1
  double reorder = 0;  // share of packets that skip the delay

  [[nodiscard]] bool shapes() const { return rateBitsPerSecond > 0 || delay > 0 || loss > 0; }
};

struct TunnelShape {
  LinkShape out;
  LinkShape in;
};

}  // namespace p2pxbone
