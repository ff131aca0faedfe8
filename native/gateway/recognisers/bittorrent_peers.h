// Finds the addresses of peers in what trackers and the DHT say.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/packet.h"

namespace p2pxbone::gateway {

// More in one message are ignored.
inline constexpr size_t kPeersPerMessageMax = 256;

using TakePeer = std::function<void(const Address& address, uint16_t port)>;

// A tracker's answer (compact or not), or a message of the DHT: peers and nodes. Nothing of what is malformed.
void peersInBencoded(std::span<const uint8_t> dictionary, const TakePeer& take);
// A tracker's answer over UDP. `v6`: over IPv6, where the addresses are of that kind.
void peersInUdpAnnounceAnswer(std::span<const uint8_t> datagram, bool v6, const TakePeer& take);

}  // namespace p2pxbone::gateway
