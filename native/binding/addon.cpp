#include <napi.h>
#include <sys/socket.h>

#include <cerrno>

#include "binding/arguments.h"
#include "binding/convert.h"
#include "binding/explain.h"
#include "binding/plane.h"
#include "binding/queue_gateway_object.h"

namespace p2pxbone {
namespace {

Napi::Value peerCredentials(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const int fd = arguments.integerUpTo<int>(0x7fffffff);
  if (!arguments.good()) return {};
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) {
    return failureToJs(info.Env(), {PlaneError::system, errno, {}});
  }
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("pid", credentials.pid);
  object.Set("uid", credentials.uid);
  object.Set("gid", credentials.gid);
  return object;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("Plane", Plane::define(env));
  exports.Set("QueueGateway", QueueGatewayObject::define(env));
  exports.Set("explainPolicy", Napi::Function::New(env, explainPolicy, "explainPolicy"));
  exports.Set("peerCredentials", Napi::Function::New(env, peerCredentials, "peerCredentials"));
  return exports;
}

}  // namespace
}  // namespace p2pxbone

static Napi::Object initialiseAddon(Napi::Env env, Napi::Object exports) { return p2pxbone::initialise(env, exports); }

NODE_API_MODULE(p2pxbone, initialiseAddon)
