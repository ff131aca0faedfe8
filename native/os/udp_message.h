// Addresses and control messages of UDP sockets, as the system calls take and give them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>

#include "os/underlay.h"

namespace p2pxbone {

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

[[nodiscard]] socklen_t encodeAddress(const Endpoint& endpoint, bool v4Socket, SocketAddress& address);
[[nodiscard]] Endpoint decodeAddress(const SocketAddress& address);

// Room for all control messages that one message of ours carries or brings: a local address of either family, the size of
// joined datagrams, and the count of lost ones.
union ControlRoom {
  cmsghdr header;
  std::array<uint8_t, CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t))> bytes;
};

// What a received message's control messages say; absent where they do not.
struct ReceivedControl {
  std::optional<HostAddress> local;
  size_t segmentBytes = 0;  // 0: one datagram
};
[[nodiscard]] ReceivedControl readControl(msghdr& message);

// Gives `message` control messages in `room`: the address to send from, if any, and the size to cut the content into,
// unless that is 0.
void writeControl(msghdr& message, ControlRoom& room, const std::optional<HostAddress>& source, size_t segmentBytes);

}  // namespace p2pxbone
