#include "binding/convert.h"

#include <algorithm>

namespace p2pxbone {
namespace {

const char* nameOf(PlaneError error) {
  switch (error) {
    case PlaneError::none: return "none";
    case PlaneError::system: return "system";
    case PlaneError::alreadyBound: return "alreadyBound";
    case PlaneError::notBound: return "notBound";
    case PlaneError::nodeUnknown: return "nodeUnknown";
    case PlaneError::tunnelUnknown: return "tunnelUnknown";
    case PlaneError::gatewayUnknown: return "gatewayUnknown";
    case PlaneError::associationUnusable: return "associationUnusable";
    case PlaneError::credentialBad: return "credentialBad";
    case PlaneError::credentialMissing: return "credentialMissing";
    case PlaneError::limitReached: return "limitReached";
    case PlaneError::conflict: return "conflict";
    case PlaneError::imageBad: return "imageBad";
    case PlaneError::imageMissing: return "imageMissing";
  }
  return "none";
}

const char* nameOf(DownReason reason) {
  switch (reason) {
    case DownReason::closed: return "closed";
    case DownReason::peerClosed: return "peer-closed";
    case DownReason::peerSilent: return "peer-silent";
    case DownReason::handshakeTimeout: return "handshake-timeout";
    case DownReason::handshakeRefused: return "handshake-refused";
    case DownReason::replaced: return "replaced";
    case DownReason::expired: return "expired";
  }
  return "closed";
}

// As CIPHERS in api.ts.
const char* nameOf(Cipher cipher) {
  switch (cipher) {
    case Cipher::aes128Gcm: return "aes-128-gcm";
    case Cipher::aes256Gcm: return "aes-256-gcm";
    case Cipher::chacha20Poly1305: return "chacha20-poly1305";
  }
  return "aes-128-gcm";
}

const char* nameOf(AssociationEvent::Kind kind) {
  switch (kind) {
    case AssociationEvent::Kind::up: return "association.up";
    case AssociationEvent::Kind::down: return "association.down";
    case AssociationEvent::Kind::mtu: return "association.mtu";
    case AssociationEvent::Kind::moved: return "association.moved";
    case AssociationEvent::Kind::control: return "control";
    case AssociationEvent::Kind::measured: return "association.measured";
  }
  return "vxlan";
}

Napi::Uint8Array bytesToJs(Napi::Env env, std::span<const uint8_t> bytes) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
  std::copy(bytes.begin(), bytes.end(), array.Data());
  return array;
}

Napi::Value measureToJs(Napi::Env env, double value) { return value < 0 ? env.Null() : Napi::Number::New(env, value); }

Napi::Object associationEventToJs(Napi::Env env, const AssociationEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("type", nameOf(event.kind));
  object.Set("association", event.association);
  switch (event.kind) {
    case AssociationEvent::Kind::up:
      object.Set("peer", endpointToJs(env, event.peer));
      object.Set("role", event.role == Role::client ? "client" : "server");
      object.Set("serverName", event.serverName);
      object.Set("peerCertificate", bytesToJs(env, event.bytes));
      break;
    case AssociationEvent::Kind::down:
      object.Set("peer", endpointToJs(env, event.peer));
      object.Set("reason", nameOf(event.reason));
      break;
    case AssociationEvent::Kind::mtu:
      object.Set("payloadBytesMax", static_cast<double>(event.payloadBytesMax));
      break;
    case AssociationEvent::Kind::moved: object.Set("peer", endpointToJs(env, event.peer)); break;
    case AssociationEvent::Kind::control: object.Set("message", bytesToJs(env, event.bytes)); break;
    case AssociationEvent::Kind::measured:
      object.Set("rttMs", measureToJs(env, event.rttMs));
      object.Set("bitsPerSecond", measureToJs(env, event.bitsPerSecond));
      break;
  }
  return object;
}

Napi::Value countToJs(Napi::Env env, uint64_t count) { return Napi::BigInt::New(env, count); }

Napi::Object tunnelToJs(Napi::Env env, const TunnelCount& tunnel) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("tunnel", static_cast<double>(tunnel.tunnel));
  object.Set("packetsOut", countToJs(env, tunnel.packetsOut));
  object.Set("bytesOut", countToJs(env, tunnel.bytesOut));
  object.Set("packetsIn", countToJs(env, tunnel.packetsIn));
  object.Set("bytesIn", countToJs(env, tunnel.bytesIn));
  return object;
}

Napi::Object nodeToJs(Napi::Env env, const NodeCount& node) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("node", node.node);
  object.Set("generation", static_cast<double>(node.generation));
  object.Set("packetsFromTap", countToJs(env, node.packetsFromTap));
  object.Set("packetsToTap", countToJs(env, node.packetsToTap));
  object.Set("packetsTransit", countToJs(env, node.packetsTransit));
  object.Set("packetsPinned", countToJs(env, node.packetsPinned));
  object.Set("icmpErrorsSent", countToJs(env, node.icmpErrorsSent));
  return object;
}

Napi::Object associationToJs(Napi::Env env, const AssociationState& state) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("association", state.association);
  object.Set("peer", endpointToJs(env, state.peer));
  object.Set("state", state.up ? "up" : "handshaking");
  object.Set("rttMs", measureToJs(env, state.rttMs));
  object.Set("payloadBytesMax", static_cast<double>(state.payloadBytesMax));
  object.Set("cipher", state.cipher ? Napi::String::New(env, nameOf(*state.cipher)) : env.Null());
  object.Set("keysAgeMs", state.cipher ? Napi::Number::New(env, static_cast<double>(state.keysAge)) : env.Null());
  object.Set("rekeys", static_cast<double>(state.rekeys));
  return object;
}

template <typename Item, typename Convert>
Napi::Array arrayToJs(Napi::Env env, const std::vector<Item>& items, Convert convert) {
  Napi::Array array = Napi::Array::New(env, items.size());
  for (uint32_t i = 0; i < items.size(); ++i) array.Set(i, convert(env, items[i]));
  return array;
}

}  // namespace

Napi::Value failureToJs(Napi::Env env, const Failure& failure) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("error", nameOf(failure.error));
  object.Set("errno", failure.systemError);
  object.Set("text", failure.text);
  return object;
}

Napi::Value resultToJs(Napi::Env env, const Failure& failure) {
  return failure.error == PlaneError::none ? env.Undefined() : failureToJs(env, failure);
}

Napi::Object endpointToJs(Napi::Env env, const Endpoint& endpoint) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("ip", bytesToJs(env, endpoint.ip));
  object.Set("port", endpoint.port);
  return object;
}

Napi::Object eventToJs(Napi::Env env, const Event& event) {
  if (const auto* association = std::get_if<AssociationEvent>(&event)) return associationEventToJs(env, *association);
  const auto& failed = std::get<NodeFailed>(event);
  Napi::Object object = Napi::Object::New(env);
  object.Set("type", "node.failed");
  object.Set("node", failed.node);
  object.Set("errno", failed.error);
  return object;
}

Napi::Object countersToJs(Napi::Env env, const PlaneCounters& counters) {
  Napi::Object object = Napi::Object::New(env);
  Napi::BigUint64Array drops = Napi::BigUint64Array::New(env, counters.drops.size());
  std::copy(counters.drops.begin(), counters.drops.end(), drops.Data());
  object.Set("drops", drops);
  object.Set("tunnels", arrayToJs(env, counters.tunnels, tunnelToJs));
  object.Set("nodes", arrayToJs(env, counters.nodes, nodeToJs));
  object.Set("associations", arrayToJs(env, counters.associations, associationToJs));
  return object;
}

Hop hopFromJs(double code) {
  if (code == kHopLocal) return {HopKind::local, 0};
  if (code == kHopRing) return {HopKind::ring, 0};
  if (code < kHopRing) return {HopKind::local, static_cast<TunnelHandle>(kHopRing - code)};
  if (code > 0) return {HopKind::tunnel, static_cast<TunnelHandle>(code)};
  return {HopKind::unreachable, 0};
}

double hopToJs(const Hop& hop) {
  if (hop.kind == HopKind::local) return kHopLocal;
  if (hop.kind == HopKind::tunnel) return static_cast<double>(hop.tunnel);
  return kHopUnreachable;
}

}  // namespace p2pxbone
