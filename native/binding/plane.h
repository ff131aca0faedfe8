// The data plane as a JavaScript object. One belongs to one environment and ends with it at the latest.
#pragma once

#include <napi.h>

#include <memory>

#include "os/data_plane.h"

namespace p2pxbone {

class Plane final : public Napi::ObjectWrap<Plane> {
 public:
  static Napi::Function define(Napi::Env env);

  // (keepAliveMs, silenceMs, seed, doorbell): the doorbell is called without arguments, on JavaScript's thread, when
  // drain() has something to give.
  explicit Plane(const Napi::CallbackInfo& info);
  ~Plane() override;

 private:
  // Each returns its value, or what failureToJs makes.
  Napi::Value bind(const Napi::CallbackInfo& info);
  Napi::Value setCredential(const Napi::CallbackInfo& info);
  Napi::Value removeCredential(const Napi::CallbackInfo& info);
  Napi::Value openNode(const Napi::CallbackInfo& info);
  Napi::Value closeNode(const Napi::CallbackInfo& info);
  Napi::Value addTunnel(const Napi::CallbackInfo& info);
  Napi::Value updateTunnel(const Napi::CallbackInfo& info);
  Napi::Value secureTunnel(const Napi::CallbackInfo& info);
  Napi::Value shapeTunnel(const Napi::CallbackInfo& info);
  Napi::Value removeTunnel(const Napi::CallbackInfo& info);
  Napi::Value publish(const Napi::CallbackInfo& info);
  Napi::Value lookup(const Napi::CallbackInfo& info);
  Napi::Value setGateway(const Napi::CallbackInfo& info);
  Napi::Value useGatewayRules(const Napi::CallbackInfo& info);
  Napi::Value useGatewaySets(const Napi::CallbackInfo& info);
  Napi::Value removeGateway(const Napi::CallbackInfo& info);
  Napi::Value gatewayStatistics(const Napi::CallbackInfo& info);
  Napi::Value gatewayFlows(const Napi::CallbackInfo& info);
  Napi::Value associate(const Napi::CallbackInfo& info);
  Napi::Value send(const Napi::CallbackInfo& info);
  Napi::Value measure(const Napi::CallbackInfo& info);
  Napi::Value closeAssociation(const Napi::CallbackInfo& info);
  Napi::Value drain(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  // False, and an exception is pending, if an argument is wrong or the plane has been closed.
  [[nodiscard]] bool usable(Napi::Env env, bool argumentsGood);
  void shutDown();
  static void onEnvironmentEnd(void* plane);

  napi_env env_;
  Napi::ThreadSafeFunction doorbell_;
  LinuxPlatform platform_;
  std::unique_ptr<DataPlane> plane_;  // null once closed
};

}  // namespace p2pxbone
