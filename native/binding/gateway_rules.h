// Reads what JavaScript says of a gateway: native/addon.ts describes the objects, and native/gateway-settings.ts has
// validated them. What is wrong all the same throws std::invalid_argument with a sentence.
#pragma once

#include <napi.h>

#include "os/gateway.h"
#include "os/netfilter_queue.h"

namespace p2pxbone {

// Of one answer.
inline constexpr uint32_t kGatewayFlowsMax = 10'000;

[[nodiscard]] GatewayRules gatewayRulesFrom(const Napi::Object& object);
[[nodiscard]] GatewaySettings gatewaySettingsFrom(const Napi::Object& object);
[[nodiscard]] NetfilterQueue::Settings queueSettingsFrom(const Napi::Object& object);

}  // namespace p2pxbone
