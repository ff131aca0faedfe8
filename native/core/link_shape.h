// Quality of service, or emulation, of one direction of a tunnel. Bytes and bits are those of inner IP packets.
#pragma once

#include <cstdint>
#include <optional>

namespace p2pxbone {

// Of the monotonic clock, or a length of time.
using Nanos = int64_t;

inline constexpr Nanos kNanosPerMilli = 1'000'000;

// Zero: no such effect, or the default.
struct LinkShape {
  uint64_t rateBitsPerSecond = 0;
  uint64_t burstBytes = 0;  // may pass at once after a pause
  uint64_t queueBytes = 0;  // may wait for the rate
  Nanos delay = 0;
  Nanos jitter = 0;    // plus or minus, uniform; at most the delay
  double loss = 0;     // share of packets, 0 to 1
  double reorder = 0;  // share of packets that skip the delay, as Linux's netem means it

  [[nodiscard]] bool shapes() const { return rateBitsPerSecond > 0 || delay > 0 || loss > 0; }
};

struct TunnelShape {
  LinkShape out;
  LinkShape in;

  [[nodiscard]] bool shapes() const { return out.shapes() || in.shapes(); }
};

// With its defaults; nullopt if a value is out of range (LinkShape in api.ts says which are).
[[nodiscard]] std::optional<LinkShape> completed(LinkShape shape);

}  // namespace p2pxbone
