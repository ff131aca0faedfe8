// The gateway of a router as a JavaScript object.
#pragma once

#include <napi.h>

#include <memory>

#include "os/queue_gateway.h"

namespace p2pxbone {

class QueueGatewayObject final : public Napi::ObjectWrap<QueueGatewayObject> {
 public:
  static Napi::Function define(Napi::Env env);

  // (settings, rules) as native/addon.ts describes them. Throws an Error whose message is the reason.
  explicit QueueGatewayObject(const Napi::CallbackInfo& info);
  ~QueueGatewayObject() override;

 private:
  // (rules). Throws likewise, and then nothing has changed.
  Napi::Value use(const Napi::CallbackInfo& info);
  // Texts of JSON.
  Napi::Value queueStatistics(const Napi::CallbackInfo& info);
  Napi::Value statistics(const Napi::CallbackInfo& info);
  // (most)
  Napi::Value flows(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::unique_ptr<QueueGateway> gateway_;
};

}  // namespace p2pxbone
