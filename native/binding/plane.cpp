#include "binding/plane.h"

#include <string>
#include <system_error>

#include "binding/arguments.h"
#include "binding/convert.h"

namespace p2pxbone {
namespace {

template <typename Value, typename Convert>
Napi::Value outcomeToJs(Napi::Env env, const Outcome<Value>& outcome, Convert convert) {
  if (const auto* failure = std::get_if<Failure>(&outcome)) return failureToJs(env, *failure);
  return convert(std::get<Value>(outcome));
}

constexpr uint64_t kHandleMax = 9007199254740991;
constexpr uint32_t kNumberMax = 0xffffffff;

}  // namespace

Napi::Function Plane::define(Napi::Env env) {
  return DefineClass(env, "Plane",
                     {
                         InstanceMethod<&Plane::bind>("bind"),
                         InstanceMethod<&Plane::setCredential>("setCredential"),
                         InstanceMethod<&Plane::removeCredential>("removeCredential"),
                         InstanceMethod<&Plane::openNode>("openNode"),
                         InstanceMethod<&Plane::closeNode>("closeNode"),
                         InstanceMethod<&Plane::addTunnel>("addTunnel"),
                         InstanceMethod<&Plane::updateTunnel>("updateTunnel"),
                         InstanceMethod<&Plane::secureTunnel>("secureTunnel"),
                         InstanceMethod<&Plane::shapeTunnel>("shapeTunnel"),
                         InstanceMethod<&Plane::removeTunnel>("removeTunnel"),
                         InstanceMethod<&Plane::publish>("publish"),
                         InstanceMethod<&Plane::lookup>("lookup"),
                         InstanceMethod<&Plane::setGateway>("setGateway"),
                         InstanceMethod<&Plane::useGatewayRules>("useGatewayRules"),
                         InstanceMethod<&Plane::useGatewaySets>("useGatewaySets"),
                         InstanceMethod<&Plane::removeGateway>("removeGateway"),
                         InstanceMethod<&Plane::gatewayStatistics>("gatewayStatistics"),
                         InstanceMethod<&Plane::gatewayFlows>("gatewayFlows"),
                         InstanceMethod<&Plane::associate>("associate"),
                         InstanceMethod<&Plane::send>("send"),
                         InstanceMethod<&Plane::measure>("measure"),
                         InstanceMethod<&Plane::closeAssociation>("closeAssociation"),
                         InstanceMethod<&Plane::drain>("drain"),
                         InstanceMethod<&Plane::counters>("counters"),
                         InstanceMethod<&Plane::close>("close"),
                     });
}

Plane::Plane(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Plane>(info), env_(info.Env()) {
  Arguments arguments{info};
  PlaneSettings settings;
  settings.association.keepAlive = arguments.integerUpTo(kNumberMax);
  settings.association.silence = arguments.integerUpTo(kNumberMax);
  settings.receive = static_cast<ReceivePath>(arguments.integerUpTo(static_cast<uint32_t>(ReceivePath::uring)));
  settings.seed = arguments.id();
  constexpr size_t doorbellAt = 4;
  if (!arguments.good() || info.Length() <= doorbellAt || !info[doorbellAt].IsFunction()) {
    if (!info.Env().IsExceptionPending()) {
      Napi::TypeError::New(info.Env(), "native argument 4").ThrowAsJavaScriptException();
    }
    return;
  }
  doorbell_ = Napi::ThreadSafeFunction::New(info.Env(), info[doorbellAt].As<Napi::Function>(), "p2pxbone", 0, 1);
  // Like a socket: nothing keeps the process alive before bind.
  doorbell_.Unref(info.Env());
  try {
    plane_ = std::make_unique<DataPlane>(platform_, settings);
  } catch (const std::system_error& error) {
    doorbell_.Abort();
    Napi::Error::New(info.Env(), error.what()).ThrowAsJavaScriptException();
    return;
  }
  // Hooks run last in, first out: ours runs while the doorbell, whose own hook is older, still exists.
  napi_add_env_cleanup_hook(env_, &Plane::onEnvironmentEnd, this);
  plane_->events().onDoorbell([this] { doorbell_.NonBlockingCall(); });
}

Plane::~Plane() { shutDown(); }

void Plane::onEnvironmentEnd(void* plane) { static_cast<Plane*>(plane)->shutDown(); }

void Plane::shutDown() {
  if (plane_ == nullptr) return;
  napi_remove_env_cleanup_hook(env_, &Plane::onEnvironmentEnd, this);
  plane_.reset();
  // No thread is left that could ring.
  doorbell_.Abort();
}

bool Plane::usable(Napi::Env env, bool argumentsGood) {
  if (!argumentsGood) return false;
  if (plane_ == nullptr) Napi::Error::New(env, "The data plane has been closed.").ThrowAsJavaScriptException();
  return plane_ != nullptr;
}

Napi::Value Plane::bind(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const Endpoint local = arguments.endpoint();
  if (!usable(info.Env(), arguments.good())) return {};
  const auto outcome = plane_->bind(local);
  if (std::holds_alternative<Endpoint>(outcome)) doorbell_.Ref(info.Env());
  return outcomeToJs(info.Env(), outcome, [&](const Endpoint& bound) { return endpointToJs(info.Env(), bound); });
}

Napi::Value Plane::setCredential(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  CredentialSettings settings;
  settings.serverName = arguments.text();
  settings.certificatePem = arguments.text();
  settings.privateKeyPem = arguments.text();
  settings.caPem = arguments.text();
  const std::span<const uint8_t> ciphers = arguments.bytes();
  settings.rekey = Millis{arguments.integerUpTo<uint16_t>(3600)} * 1000;
  settings.crlPem = arguments.text();
  if (!usable(info.Env(), arguments.good())) return {};
  for (const uint8_t cipher : ciphers) settings.ciphers.push_back(static_cast<Cipher>(cipher));
  return resultToJs(info.Env(), plane_->setCredential(settings));
}

Napi::Value Plane::removeCredential(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const std::string serverName = arguments.text();
  if (usable(info.Env(), arguments.good())) plane_->removeCredential(serverName);
  return info.Env().Undefined();
}

// (tapName, mtu, id, viId, vni, mac, ipv4 mapped, ipv6, then of the prefixes of members' addresses and again of those of
// links': addresses of 16 bytes each, their lengths in the 128-bit form, 4 or 6 for each)
Napi::Value Plane::openNode(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  TapOptions tap;
  NodeConfig config;
  tap.name = arguments.text();
  tap.mtu = arguments.integerUpTo(kNumberMax);
  config.id = arguments.id();
  config.viId = arguments.text();
  config.vni = arguments.integerUpTo<uint32_t>(0xffffff);
  config.mac = arguments.mac();
  tap.mac = config.mac;
  config.ipv4 = arguments.address();
  config.ipv6 = arguments.address();
  const auto members = arguments.prefixes();
  const auto links = arguments.prefixes();
  if (!usable(info.Env(), arguments.good())) return {};
  config.plan = AddressPlan(members, links);
  return outcomeToJs(info.Env(), plane_->openNode(tap, config),
                     [&](NodeHandle node) { return Napi::Number::New(info.Env(), node); });
}

Napi::Value Plane::closeNode(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  if (usable(info.Env(), arguments.good())) plane_->closeNode(node);
  return info.Env().Undefined();
}

Napi::Value Plane::addTunnel(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  const Endpoint peer = arguments.endpoint();
  const Mac peerMac = arguments.mac();
  const AssociationId association = arguments.integerUpTo(kNumberMax);
  if (!usable(info.Env(), arguments.good())) return {};
  return outcomeToJs(info.Env(), plane_->addTunnel(node, peer, peerMac, association), [&](TunnelHandle tunnel) {
    return Napi::Number::New(info.Env(), static_cast<double>(tunnel));
  });
}

// (tunnel, payloadBytesMax or 0, and the peer's address and port unless it stays)
Napi::Value Plane::updateTunnel(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const TunnelHandle tunnel = arguments.integerUpTo(kHandleMax);
  const size_t payloadBytes = arguments.integerUpTo(kNumberMax);
  std::optional<Endpoint> peer;
  if (info.Length() > 2) peer = arguments.endpoint();
  if (!usable(info.Env(), arguments.good())) return {};
  const auto payload = payloadBytes == 0 ? std::nullopt : std::optional{payloadBytes};
  return resultToJs(info.Env(), plane_->updateTunnel(tunnel, peer, payload));
}

// (tunnel, association or 0 for plain)
Napi::Value Plane::secureTunnel(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const TunnelHandle tunnel = arguments.integerUpTo(kHandleMax);
  const AssociationId association = arguments.integerUpTo(kNumberMax);
  if (!usable(info.Env(), arguments.good())) return {};
  return resultToJs(info.Env(), plane_->secureTunnel(tunnel, association));
}

// (tunnel, shape outwards, shape inwards)
Napi::Value Plane::shapeTunnel(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const TunnelHandle tunnel = arguments.integerUpTo(kHandleMax);
  const LinkShape out = arguments.linkShape();
  const LinkShape in = arguments.linkShape();
  if (!usable(info.Env(), arguments.good())) return {};
  return resultToJs(info.Env(), plane_->shapeTunnel(tunnel, {out, in}));
}

Napi::Value Plane::removeTunnel(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const TunnelHandle tunnel = arguments.integerUpTo(kHandleMax);
  if (usable(info.Env(), arguments.good())) plane_->removeTunnel(tunnel);
  return info.Env().Undefined();
}

// (node, generation, exact addresses of 16 bytes each, their hops, prefix addresses likewise, their lengths in the
// 128-bit form, 4 or 6 for each, their hops, range ends, their hops)
Napi::Value Plane::publish(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  ImageRoutes routes;
  routes.generation = arguments.integer();
  const auto exact = arguments.bytes();
  const auto exactHops = arguments.numbers();
  const auto prefixes = arguments.prefixes();
  const auto prefixHops = arguments.numbers();
  const auto untils = arguments.ids();
  const auto rangeHops = arguments.numbers();
  if (!usable(info.Env(), arguments.good())) return {};
  if (exact.size() != exactHops.size() * 16 || prefixes.size() != prefixHops.size() ||
      untils.size() != rangeHops.size()) {
    return failureToJs(info.Env(), {PlaneError::imageBad, 0, {}});
  }
  for (size_t i = 0; i < exactHops.size(); ++i) {
    routes.exact.push_back({addressAt(exact, i), hopFromJs(exactHops[i])});
  }
  for (size_t i = 0; i < prefixes.size(); ++i) {
    const Prefix& prefix = prefixes[i];
    routes.prefixes.push_back({prefix.address, prefix.bits, prefix.v6, hopFromJs(prefixHops[i])});
  }
  for (size_t i = 0; i < untils.size(); ++i) routes.ranges.push_back({untils[i], hopFromJs(rangeHops[i])});
  return resultToJs(info.Env(), plane_->publish(node, routes));
}

Napi::Value Plane::lookup(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const NodeHandle node = arguments.integerUpTo(kNumberMax);
  const Address destination = arguments.address();
  if (!usable(info.Env(), arguments.good())) return {};
  return outcomeToJs(info.Env(), plane_->lookup(node, destination, !isMappedIpv4(destination)),
                     [&](const Hop& hop) { return Napi::Number::New(info.Env(), hopToJs(hop)); });
}

Napi::Value Plane::associate(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const Endpoint peer = arguments.endpoint();
  const std::string serverName = arguments.text();
  if (!usable(info.Env(), arguments.good())) return {};
  return outcomeToJs(info.Env(), plane_->associate(peer, serverName),
                     [&](AssociationId association) { return Napi::Number::New(info.Env(), association); });
}

Napi::Value Plane::send(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const AssociationId association = arguments.integerUpTo(kNumberMax);
  const std::span<const uint8_t> message = arguments.bytes();
  if (!usable(info.Env(), arguments.good())) return {};
  return resultToJs(info.Env(), plane_->send(association, message));
}

// (association, 1 to estimate the capacity too)
Napi::Value Plane::measure(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const AssociationId association = arguments.integerUpTo(kNumberMax);
  const bool capacity = arguments.integerUpTo<uint8_t>(1) == 1;
  if (!usable(info.Env(), arguments.good())) return {};
  return resultToJs(info.Env(), plane_->measure(association, capacity));
}

Napi::Value Plane::closeAssociation(const Napi::CallbackInfo& info) {
  Arguments arguments{info};
  const AssociationId association = arguments.integerUpTo(kNumberMax);
  if (usable(info.Env(), arguments.good())) plane_->closeAssociation(association);
  return info.Env().Undefined();
}

Napi::Value Plane::drain(const Napi::CallbackInfo& info) {
  // The doorbell may ring once more after close.
  const auto events = plane_ == nullptr ? std::vector<Event>{} : plane_->events().drain();
  Napi::Array array = Napi::Array::New(info.Env(), events.size());
  for (uint32_t i = 0; i < events.size(); ++i) array.Set(i, eventToJs(info.Env(), events[i]));
  return array;
}

Napi::Value Plane::counters(const Napi::CallbackInfo& info) {
  if (!usable(info.Env(), true)) return {};
  return countersToJs(info.Env(), plane_->counters());
}

Napi::Value Plane::close(const Napi::CallbackInfo& info) {
  shutDown();
  return info.Env().Undefined();
}

}  // namespace p2pxbone
