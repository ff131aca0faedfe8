#include "core/tunnel_table.h"

#include <bit>

namespace p2pxbone {
namespace {

size_t hashSender(const Endpoint& from, const Mac& source) {
  uint64_t hash = EndpointHash{}(from);
  for (const uint8_t byte : source) hash = (hash ^ byte) * 1099511628211ULL;
  return static_cast<size_t>(hash ^ (hash >> 32));
}

}  // namespace

const Tunnel* TunnelTable::find(TunnelHandle handle) const {
  const size_t slot = handle % kTunnelsPerNodeMax;
  if (handle == 0 || slot >= slots_.size() || slots_[slot].handle != handle) return nullptr;
  return &slots_[slot];
}

const Tunnel* TunnelTable::match(const Endpoint& from, const Mac& source) const {
  if (buckets_.empty()) return nullptr;
  const size_t mask = buckets_.size() - 1;
  for (size_t bucket = hashSender(from, source) & mask; buckets_[bucket] != 0; bucket = (bucket + 1) & mask) {
    const Tunnel& tunnel = slots_[buckets_[bucket] - 1];
    if (tunnel.peer == from && tunnel.peerMac == source) return &tunnel;
  }
  return nullptr;
}

TunnelHandle TunnelTable::add(uint64_t serial, const Endpoint& peer, const Mac& peerMac, size_t innerMtu) {
  size_t slot = 0;
  while (slot < slots_.size() && slots_[slot].handle != 0) ++slot;
  if (slot == kTunnelsPerNodeMax) return 0;
  if (slot == slots_.size()) slots_.emplace_back();
  const TunnelHandle handle = serial * kTunnelsPerNodeMax + slot;
  slots_[slot] = {handle, peer, peerMac, innerMtu, std::make_shared<TunnelStats>()};
  index();
  return handle;
}

bool TunnelTable::update(TunnelHandle handle, const Endpoint& peer, size_t innerMtu) {
  if (find(handle) == nullptr) return false;
  Tunnel& tunnel = slots_[handle % kTunnelsPerNodeMax];
  tunnel.peer = peer;
  tunnel.innerMtu = innerMtu;
  index();
  return true;
}

bool TunnelTable::reshape(TunnelHandle handle, std::shared_ptr<const TunnelShape> shape) {
  if (find(handle) == nullptr) return false;
  slots_[handle % kTunnelsPerNodeMax].shape = std::move(shape);
  return true;
}

bool TunnelTable::remove(TunnelHandle handle) {
  if (find(handle) == nullptr) return false;
  slots_[handle % kTunnelsPerNodeMax] = {};
  index();
  return true;
}

void TunnelTable::index() {
  buckets_.assign(std::bit_ceil(slots_.size() * 2), 0);
  const size_t mask = buckets_.size() - 1;
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].handle == 0) continue;
    size_t bucket = hashSender(slots_[slot].peer, slots_[slot].peerMac) & mask;
    while (buckets_[bucket] != 0) bucket = (bucket + 1) & mask;
    buckets_[bucket] = static_cast<uint32_t>(slot + 1);
  }
}

}  // namespace p2pxbone
