#include "core/tunnel_table.h"

#include <bit>

namespace p2pxbone {
namespace {

size_t hashSender(const Endpoint& from, const Mac& source) {
  uint64_t hash = EndpointHash{}(from);
  for (const uint8_t byte : source) hash = (hash ^ byte) * 1099511628211ULL;
  return static_cast<size_t>(hash ^ (hash >> 32));
}

size_t hashSender(const SecureChannel& channel, const Mac& source) {
  // Associations are no endpoints: the address is not a unicast one.
  Endpoint stand;
  stand.ip[0] = 0xff;
  storeBe32(&stand.ip[12], channel.association);
  return hashSender(stand, source);
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

const Tunnel* TunnelTable::match(const SecureChannel& channel, const Mac& source) const {
  if (buckets_.empty()) return nullptr;
  const size_t mask = buckets_.size() - 1;
  for (size_t bucket = hashSender(channel, source) & mask; buckets_[bucket] != 0; bucket = (bucket + 1) & mask) {
    const Tunnel& tunnel = slots_[buckets_[bucket] - 1];
    if (tunnel.channel.get() == &channel && tunnel.peerMac == source) return &tunnel;
  }
  return nullptr;
}

TunnelHandle TunnelTable::add(uint64_t serial, const Endpoint& peer, const Mac& peerMac, size_t innerMtu) {
  size_t slot = 0;
  while (slot < slots_.size() && slots_[slot].handle != 0) ++slot;
  if (slot == kTunnelsPerNodeMax) return 0;
  if (slot == slots_.size()) slots_.emplace_back();
  const TunnelHandle handle = serial * kTunnelsPerNodeMax + slot;
  Tunnel& tunnel = slots_[slot];
  tunnel.handle = handle;
  tunnel.peer = peer;
  tunnel.peerMac = peerMac;
  tunnel.innerMtu = innerMtu;
  tunnel.stats = std::make_shared<TunnelStats>();
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

bool TunnelTable::secure(TunnelHandle handle, std::shared_ptr<const SecureChannel> channel) {
  if (find(handle) == nullptr) return false;
  Tunnel& tunnel = slots_[handle % kTunnelsPerNodeMax];
  if (channel != nullptr && tunnel.channel == nullptr) tunnel.innerMtu -= kRecordBytes;
  if (channel == nullptr && tunnel.channel != nullptr) tunnel.innerMtu += kRecordBytes;
  tunnel.channel = std::move(channel);
  index();
  return true;
}

void TunnelTable::insert(size_t hash, size_t slot) {
  const size_t mask = buckets_.size() - 1;
  size_t bucket = hash & mask;
  while (buckets_[bucket] != 0) bucket = (bucket + 1) & mask;
  buckets_[bucket] = static_cast<uint32_t>(slot + 1);
}

// A secure tunnel stands there twice: by its channel, and by its endpoint, so that what comes in the clear is known for
// what it is.
void TunnelTable::index() {
  buckets_.assign(std::bit_ceil(slots_.size() * 4), 0);
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    const Tunnel& tunnel = slots_[slot];
    if (tunnel.handle == 0) continue;
    insert(hashSender(tunnel.peer, tunnel.peerMac), slot);
    if (tunnel.channel != nullptr) insert(hashSender(*tunnel.channel, tunnel.peerMac), slot);
  }
}

}  // namespace p2pxbone
