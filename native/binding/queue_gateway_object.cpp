#include "binding/queue_gateway_object.h"

#include <stdexcept>

#include "binding/arguments.h"
#include "binding/gateway_rules.h"
#include "binding/translating.h"

namespace p2pxbone {

Napi::Function QueueGatewayObject::define(Napi::Env env) {
  return DefineClass(env, "QueueGateway",
                     {
                         InstanceMethod<&QueueGatewayObject::use>("use"),
                         InstanceMethod<&QueueGatewayObject::queueStatistics>("queueStatistics"),
                         InstanceMethod<&QueueGatewayObject::statistics>("statistics"),
                         InstanceMethod<&QueueGatewayObject::flows>("flows"),
                         InstanceMethod<&QueueGatewayObject::close>("close"),
                     });
}

QueueGatewayObject::QueueGatewayObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<QueueGatewayObject>(info) {
  translating(info.Env(), [&] {
    if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsObject()) throw std::invalid_argument("native arguments");
    const Napi::Object settings = info[0].As<Napi::Object>();
    gateway_ = std::make_unique<QueueGateway>(queueSettingsFrom(settings), gatewaySettingsFrom(settings),
                                              gatewayRulesFrom(info[1].As<Napi::Object>()));
  });
}

QueueGatewayObject::~QueueGatewayObject() = default;

Napi::Value QueueGatewayObject::use(const Napi::CallbackInfo& info) {
  translating(info.Env(), [&] {
    if (info.Length() < 1 || !info[0].IsObject() || !gateway_) throw std::invalid_argument("native arguments");
    if (!gateway_->use(gatewayRulesFrom(info[0].As<Napi::Object>()))) throw std::bad_alloc{};
  });
  return info.Env().Undefined();
}

Napi::Value QueueGatewayObject::queueStatistics(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), gateway_ ? gateway_->queueStatistics() : "");
}

Napi::Value QueueGatewayObject::statistics(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), gateway_ ? gateway_->statistics() : "");
}

Napi::Value QueueGatewayObject::flows(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const uint32_t most = arguments.integerUpTo(kGatewayFlowsMax);
  if (!arguments.good()) return {};
  return Napi::String::New(info.Env(), gateway_ ? gateway_->flows(most) : "");
}

void QueueGatewayObject::close(const Napi::CallbackInfo&) { gateway_.reset(); }

}  // namespace p2pxbone
