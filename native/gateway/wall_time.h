// Time of day, for policies and records; everything that measures durations uses Millis.
#pragma once

#include <cstdint>

namespace p2pxbone::gateway {

// Microseconds since 1970, UTC.
using WallTime = int64_t;

}  // namespace p2pxbone::gateway
