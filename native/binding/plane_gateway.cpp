// A virtual node's gateway, as the data plane's JavaScript object offers it.
#include "binding/arguments.h"
#include "binding/convert.h"
#include "binding/gateway_rules.h"
#include "binding/plane.h"
#include "binding/translating.h"

namespace p2pxbone {
namespace {

constexpr uint32_t kNumberMax = 0xffffffff;

Napi::Value textToJs(Napi::Env env, const Outcome<std::string>& outcome) {
  if (const auto* failure = std::get_if<Failure>(&outcome)) return failureToJs(env, *failure);
  return Napi::String::New(env, std::get<std::string>(outcome));
}

}  // namespace

// (node, P2P daemon's port, settings, rules): the objects as native/addon.ts describes them. Throws an Error whose message is
// the reason where they are wrong.
Napi::Value Plane::setGateway(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  const uint16_t port = arguments.integerUpTo<uint16_t>(65535);
  const Napi::Object settings = arguments.object();
  const Napi::Object rules = arguments.object();
  if (!usable(info.Env(), arguments.good())) return {};
  Napi::Value result = info.Env().Undefined();
  translating(info.Env(), [&] {
    result = resultToJs(info.Env(), plane_->setGateway(node, gatewaySettingsFrom(settings), gatewayRulesFrom(rules), port));
  });
  return result;
}

// (node, rules); throws likewise, and then nothing has changed.
Napi::Value Plane::useGatewayRules(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  const Napi::Object rules = arguments.object();
  if (!usable(info.Env(), arguments.good())) return {};
  Napi::Value result = info.Env().Undefined();
  translating(info.Env(), [&] { result = resultToJs(info.Env(), plane_->useGatewayRules(node, gatewayRulesFrom(rules))); });
  return result;
}

// (node, sets as gateway/core/policy-image.ts writes them).
Napi::Value Plane::useGatewaySets(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  const std::span<const uint8_t> sets = arguments.bytes();
  if (!usable(info.Env(), arguments.good())) return {};
  Napi::Value result = info.Env().Undefined();
  translating(info.Env(), [&] { result = resultToJs(info.Env(), plane_->useGatewaySets(node, sets)); });
  return result;
}

Napi::Value Plane::removeGateway(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  if (usable(info.Env(), arguments.good())) plane_->removeGateway(node);
  return info.Env().Undefined();
}

// A text of JSON.
Napi::Value Plane::gatewayStatistics(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  if (!usable(info.Env(), arguments.good())) return {};
  return textToJs(info.Env(), plane_->gatewayStatistics(node));
}

// (node, most); a text of JSON.
Napi::Value Plane::gatewayFlows(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  const uint32_t most = arguments.integerUpTo(kGatewayFlowsMax);
  if (!usable(info.Env(), arguments.good())) return {};
  return textToJs(info.Env(), plane_->gatewayFlows(node, most));
}

}  // namespace p2pxbone
