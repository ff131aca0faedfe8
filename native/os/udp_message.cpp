#include "os/udp_message.h"

#include <arpa/inet.h>
#include <netinet/udp.h>

#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace p2pxbone {
namespace {

HostAddress mapped(const in_addr& address) {
  HostAddress local{};
  local[10] = 0xff;
  local[11] = 0xff;
  std::memcpy(&local[12], &address, sizeof address);
  return local;
}

template <typename Value>
Value valueOf(const cmsghdr* header) {
  Value value;
  std::memcpy(&value, CMSG_DATA(header), sizeof value);
  return value;
}

// Writes one control message at `used` and moves that on.
void put(ControlRoom& room, size_t& used, int level, int type, const auto& value) {
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(&room.bytes[used], &header, sizeof header);
  std::memcpy(&room.bytes[used + CMSG_LEN(0)], &value, sizeof value);
  used += CMSG_SPACE(sizeof value);
}

}  // namespace

socklen_t encodeAddress(const Endpoint& endpoint, bool v4Socket, SocketAddress& address) {
  std::memset(&address, 0, sizeof address);
  if (v4Socket) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(endpoint.port);
    std::memcpy(&address.v4.sin_addr, &endpoint.ip[12], 4);
    return sizeof address.v4;
  }
  address.v6.sin6_family = AF_INET6;
  address.v6.sin6_port = htons(endpoint.port);
  std::memcpy(&address.v6.sin6_addr, endpoint.ip.data(), endpoint.ip.size());
  return sizeof address.v6;
}

Endpoint decodeAddress(const SocketAddress& address) {
  Endpoint endpoint;
  if (address.any.sa_family == AF_INET) {
    endpoint.ip = mapped(address.v4.sin_addr);
    endpoint.port = ntohs(address.v4.sin_port);
  } else {
    std::memcpy(endpoint.ip.data(), &address.v6.sin6_addr, endpoint.ip.size());
    endpoint.port = ntohs(address.v6.sin6_port);
  }
  return endpoint;
}

// A dual-stack socket says an IPv4 address in the mapped form.
ReceivedControl readControl(msghdr& message) {
  ReceivedControl control;
  if ((message.msg_flags & MSG_CTRUNC) != 0) return control;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      control.local = mapped(valueOf<in_pktinfo>(header).ipi_spec_dst);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      const auto info = valueOf<in6_pktinfo>(header);
      HostAddress local{};
      std::memcpy(local.data(), &info.ipi6_addr, local.size());
      control.local = local;
    } else if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO) {
      const int bytes = valueOf<int>(header);
      control.segmentBytes = bytes > 0 ? static_cast<size_t>(bytes) : 0;
    }
  }
  return control;
}

void writeControl(msghdr& message, ControlRoom& room, const std::optional<HostAddress>& source, size_t segmentBytes) {
  size_t used = 0;
  std::memset(&room, 0, sizeof room);
  if (source) {
    // A mapped address needs IPv4's option on a dual-stack socket too.
    if (Endpoint{*source, 0}.isIpv4Mapped()) {
      in_pktinfo info{};
      std::memcpy(&info.ipi_spec_dst, &(*source)[12], sizeof info.ipi_spec_dst);
      put(room, used, IPPROTO_IP, IP_PKTINFO, info);
    } else {
      in6_pktinfo info{};
      std::memcpy(&info.ipi6_addr, source->data(), source->size());
      put(room, used, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
  }
  if (segmentBytes != 0) put(room, used, SOL_UDP, UDP_SEGMENT, static_cast<uint16_t>(segmentBytes));
  message.msg_control = used == 0 ? nullptr : &room;
  message.msg_controllen = used;
}

}  // namespace p2pxbone
