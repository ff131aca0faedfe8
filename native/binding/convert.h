// Values of the data plane as the plain JavaScript objects that index.ts expects.
#pragma once

#include <napi.h>

#include "os/data_plane.h"

namespace p2pxbone {

// `{ error, errno, text }`; index.ts has the sentence for each error.
[[nodiscard]] Napi::Value failureToJs(Napi::Env env, const Failure& failure);
// Undefined on success.
[[nodiscard]] Napi::Value resultToJs(Napi::Env env, const Failure& failure);
// `{ ip, port }`, the address as 16 bytes.
[[nodiscard]] Napi::Object endpointToJs(Napi::Env env, const Endpoint& endpoint);
[[nodiscard]] Napi::Object eventToJs(Napi::Env env, const Event& event);
[[nodiscard]] Napi::Object countersToJs(Napi::Env env, const PlaneCounters& counters);

// A next hop as one number: a tunnel's handle, or one of these.
inline constexpr double kHopUnreachable = 0;
inline constexpr double kHopLocal = -1;
inline constexpr double kHopRing = -2;

[[nodiscard]] Hop hopFromJs(double code);
[[nodiscard]] double hopToJs(const Hop& hop);

}  // namespace p2pxbone
