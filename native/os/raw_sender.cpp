#include "os/raw_sender.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/packet.h"

namespace p2pxbone {
namespace {

constexpr size_t kIpv4DestinationOffset = 16;
constexpr size_t kIpv6DestinationOffset = 24;

// A raw socket of this protocol takes packets with their headers, and receives none.
UniqueFd open(int family) {
  UniqueFd fd{::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW)};
  if (!fd.valid() && errno != EAFNOSUPPORT) throw std::system_error{errno, std::generic_category(), "a raw socket"};
  return fd;
}

}  // namespace

RawSender::RawSender() : v4_(open(AF_INET)), v6_(open(AF_INET6)) {}

bool RawSender::send(std::span<const uint8_t> packet) {
  if (packet.empty()) return false;
  if (packet[0] >> 4 == 4 && packet.size() >= kIpv4HeaderBytes) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    std::memcpy(&to.sin_addr, &packet[kIpv4DestinationOffset], sizeof to.sin_addr);
    return ::sendto(v4_.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) >= 0;
  }
  if (packet[0] >> 4 == 6 && packet.size() >= kIpv6HeaderBytes) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    std::memcpy(&to.sin6_addr, &packet[kIpv6DestinationOffset], sizeof to.sin6_addr);
    return ::sendto(v6_.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) >= 0;
  }
  return false;
}

}  // namespace p2pxbone
