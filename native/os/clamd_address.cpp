#include "os/clamd_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>

namespace p2pxbone {
namespace {

std::optional<uint16_t> portOf(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

template <typename Address>
socklen_t store(sockaddr_storage& storage, const Address& address) {
  std::memcpy(&storage, &address, sizeof address);
  return sizeof address;
}

}  // namespace

std::optional<ClamdAddress> ClamdAddress::parse(std::string_view text) {
  ClamdAddress parsed;
  if (text.starts_with('/')) {
    sockaddr_un path{};
    path.sun_family = AF_UNIX;
    if (text.size() >= sizeof path.sun_path || text.find('\0') != std::string_view::npos) return std::nullopt;
    std::copy(text.begin(), text.end(), path.sun_path);
    parsed.bytes_ = store(parsed.address_, path);
    return parsed;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<uint16_t> port = portOf(text.substr(colon + 1));
  std::string host{text.substr(0, colon)};
  if (!port) return std::nullopt;
  if (host.starts_with('[') && host.ends_with(']')) {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(*port);
    if (::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &six.sin6_addr) != 1) return std::nullopt;
    parsed.bytes_ = store(parsed.address_, six);
    return parsed;
  }
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(*port);
  if (::inet_pton(AF_INET, host.c_str(), &four.sin_addr) != 1) return std::nullopt;
  parsed.bytes_ = store(parsed.address_, four);
  return parsed;
}

UniqueFd ClamdAddress::connect() const {
  UniqueFd socket{::socket(address_.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket.valid()) return {};
  if (address_.ss_family != AF_UNIX) {
    const int on = 1;
    (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  const int result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address_), bytes_);
  if (result != 0 && errno != EINPROGRESS) return {};
  return socket;
}

}  // namespace p2pxbone
