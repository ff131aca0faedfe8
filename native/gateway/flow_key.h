// What makes packets of both directions one flow.
#pragma once

#include <cstdint>
#include <utility>

#include "gateway/hash.h"
#include "gateway/packet.h"

namespace p2pxbone::gateway {

// Canonical: (a, portA) is not after (b, portB). Ports are 0 where the protocol has none.
struct FlowKey {
  Address a{};
  Address b{};
  uint16_t portA = 0;
  uint16_t portB = 0;
  uint8_t protocol = 0;

  friend bool operator==(const FlowKey&, const FlowKey&) = default;
};

struct DirectedKey {
  FlowKey key;
  bool senderIsB = false;
};

[[nodiscard]] inline DirectedKey keyOf(const Packet& packet) {
  const InnerPacket& ip = packet.ip;
  // TCP's and UDP's payload follows the ports; other protocols have none.
  DirectedKey directed{{ip.source, ip.destination, ip.sourcePort, ip.destinationPort, ip.protocol}, false};
  FlowKey& key = directed.key;
  if (std::pair{key.b, key.portB} < std::pair{key.a, key.portA}) {
    std::swap(key.a, key.b);
    std::swap(key.portA, key.portB);
    directed.senderIsB = true;
  }
  return directed;
}

[[nodiscard]] inline uint64_t hashOf(KeyedHash hash, const FlowKey& key) {
  hash.add(key.a).add(key.b);
  hash.add(uint64_t{key.portA} << 32 | uint64_t{key.portB} << 16 | key.protocol);
  return hash.finish();
}

}  // namespace p2pxbone::gateway
