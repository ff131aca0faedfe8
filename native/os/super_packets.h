// How large the super-packets may be that the kernel makes for a TAP.
#pragma once

#include <cstdint>
#include <string>

namespace p2pxbone {

struct SuperPacketLimits {
  uint32_t ipv4Bytes = 0;
  uint32_t ipv6Bytes = 0;

  friend bool operator==(const SuperPacketLimits&, const SuperPacketLimits&) = default;
};

// Of a device with that MTU: such that the packets of one super-packet, encapsulated and sealed, are one message to the
// base network's socket. More would become two, of which the second is a small one.
[[nodiscard]] SuperPacketLimits superPacketLimits(size_t mtu);

// Sets them, by rtnetlink, on the interface of that name in the calling thread's namespace. 0 or an errno.
[[nodiscard]] int limitSuperPackets(const std::string& name, SuperPacketLimits limits);

}  // namespace p2pxbone
