// Monotonic time, milliseconds from an origin of the caller's choice.
#pragma once

#include <cstdint>

namespace p2pxbone {

using Millis = int64_t;

}  // namespace p2pxbone
