#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "os/fd.h"
#include "os/platform.h"
#include "os/reply_sources.h"
#include "os/thread.h"

namespace p2pxbone {
namespace {

// Asked for; the kernel halves or caps it by net.core.rmem_max unless we may override that.
constexpr int kSocketBufferBytes = 8 << 20;
// As many as one system call handles; also the size of the arrays on the stack.
constexpr size_t kCallMax = 64;

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

socklen_t encode(const Endpoint& endpoint, bool v4Socket, SocketAddress& address) {
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

Endpoint decode(const SocketAddress& address) {
  Endpoint endpoint;
  if (address.any.sa_family == AF_INET) {
    endpoint.ip[10] = 0xff;
    endpoint.ip[11] = 0xff;
    std::memcpy(&endpoint.ip[12], &address.v4.sin_addr, 4);
    endpoint.port = ntohs(address.v4.sin_port);
  } else {
    std::memcpy(endpoint.ip.data(), &address.v6.sin6_addr, endpoint.ip.size());
    endpoint.port = ntohs(address.v6.sin6_port);
  }
  return endpoint;
}

bool isWildcard(const Endpoint& local) {
  const auto significant = local.ip.begin() + (local.isIpv4Mapped() ? 12 : 0);
  return std::all_of(significant, local.ip.end(), [](uint8_t byte) { return byte == 0; });
}

// Room for one control message that names a local address, of either family.
union AddressControl {
  cmsghdr header;
  std::array<uint8_t, CMSG_SPACE(sizeof(in6_pktinfo))> bytes;
};

void setControl(msghdr& message, AddressControl& control, int level, int type, const auto& value) {
  control = {};
  control.header.cmsg_level = level;
  control.header.cmsg_type = type;
  control.header.cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(&control.header), &value, sizeof value);
  message.msg_control = &control;
  message.msg_controllen = CMSG_SPACE(sizeof value);
}

// A mapped address needs IPv4's option on a dual-stack socket too.
void setSource(msghdr& message, AddressControl& control, const HostAddress& source) {
  if (Endpoint{source, 0}.isIpv4Mapped()) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, &source[12], sizeof info.ipi_spec_dst);
    setControl(message, control, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, source.data(), source.size());
    setControl(message, control, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

// The address of ours to which a datagram came; a dual-stack socket says it of IPv4 in the mapped form.
std::optional<HostAddress> localOf(msghdr& message) {
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || (message.msg_flags & MSG_CTRUNC) != 0) return std::nullopt;
  HostAddress local{};
  if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
    in_pktinfo info;
    std::memcpy(&info, CMSG_DATA(header), sizeof info);
    local[10] = 0xff;
    local[11] = 0xff;
    std::memcpy(&local[12], &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
    return local;
  }
  if (header->cmsg_level != IPPROTO_IPV6 || header->cmsg_type != IPV6_PKTINFO) return std::nullopt;
  in6_pktinfo info;
  std::memcpy(&info, CMSG_DATA(header), sizeof info);
  std::memcpy(local.data(), &info.ipi6_addr, local.size());
  return local;
}

class LinuxUdp final : public UnderlaySocket {
 public:
  LinuxUdp(UniqueFd fd, bool v4Socket, Endpoint local)
      : fd_(std::move(fd)),
        v4Socket_(v4Socket),
        local_(local),
        sources_(isWildcard(local) ? std::make_unique<ReplySources>() : nullptr) {}

  Endpoint local() const override { return local_; }
  bool wait() override { return waitReadable(fd_.get(), stop_); }
  void stop() override { stop_.signal(); }
  [[nodiscard]] bool valid() const { return stop_.valid(); }

  size_t receive(std::span<DatagramSlot> slots) override {
    std::array<mmsghdr, kCallMax> messages{};
    std::array<iovec, kCallMax> vectors;
    std::array<SocketAddress, kCallMax> from;
    std::array<AddressControl, kCallMax> controls;
    const size_t wanted = std::min(slots.size(), kCallMax);
    for (size_t i = 0; i < wanted; ++i) {
      vectors[i] = {slots[i].room.data(), slots[i].room.size()};
      messages[i].msg_hdr.msg_name = &from[i];
      messages[i].msg_hdr.msg_namelen = sizeof from[i];
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      if (sources_ == nullptr) continue;
      messages[i].msg_hdr.msg_control = &controls[i];
      messages[i].msg_hdr.msg_controllen = sizeof controls[i];
    }
    const int count = ::recvmmsg(fd_.get(), messages.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
    if (count <= 0) return 0;
    const Millis now = monotonicNow();
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      slots[i].length = messages[i].msg_len;
      slots[i].truncated = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
      slots[i].from = decode(from[i]);
      if (sources_ == nullptr) continue;
      if (const auto local = localOf(messages[i].msg_hdr)) sources_->heard(slots[i].from, *local, now);
    }
    return static_cast<size_t>(count);
  }

  void send(std::span<DatagramOut> datagrams) override {
    while (!datagrams.empty()) {
      const size_t count = std::min(datagrams.size(), kCallMax);
      sendSome(datagrams.first(count));
      datagrams = datagrams.subspan(count);
    }
  }

 private:
  void sendSome(std::span<DatagramOut> datagrams) {
    std::array<mmsghdr, kCallMax> messages{};
    std::array<iovec, kCallMax> vectors;
    std::array<SocketAddress, kCallMax> to;
    std::array<AddressControl, kCallMax> controls;
    const Millis now = monotonicNow();
    for (size_t i = 0; i < datagrams.size(); ++i) {
      // The kernel only reads what it sends; iovec serves both directions and so cannot say it.
      vectors[i] = {const_cast<uint8_t*>(datagrams[i].bytes.data()), datagrams[i].bytes.size()};
      messages[i].msg_hdr.msg_name = &to[i];
      messages[i].msg_hdr.msg_namelen = encode(datagrams[i].to, v4Socket_, to[i]);
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      if (sources_ == nullptr) continue;
      if (const auto source = sources_->find(datagrams[i].to, now)) {
        setSource(messages[i].msg_hdr, controls[i], *source);
      }
    }
    size_t at = 0;
    while (at < datagrams.size()) {
      const DatagramOut& next = datagrams[at];
      const bool wrongFamily = v4Socket_ && !next.to.isIpv4Mapped();
      const int sent = wrongFamily ? -1 : ::sendmmsg(fd_.get(), &messages[at], runLength(datagrams.subspan(at)), MSG_DONTWAIT);
      if (sent > 0) {
        at += static_cast<size_t>(sent);
        continue;
      }
      if (!wrongFamily && (errno == EINTR || dropSource(next.to, messages[at].msg_hdr, errno))) continue;
      // The call stops at the first datagram that fails; skip that one.
      datagrams[at].error = wrongFamily ? EAFNOSUPPORT : errno;
      ++at;
    }
  }

  // How many, from the first one on, this socket's family can address.
  [[nodiscard]] unsigned runLength(std::span<const DatagramOut> datagrams) const {
    if (!v4Socket_) return static_cast<unsigned>(datagrams.size());
    const auto end = std::find_if(datagrams.begin(), datagrams.end(),
                                  [](const DatagramOut& datagram) { return !datagram.to.isIpv4Mapped(); });
    return static_cast<unsigned>(end - datagrams.begin());
  }

  // True if the datagram was to leave from an address that may be this host's no longer, and is to be tried without it.
  // Kernels do not agree on the error; where the address is not to blame, the second attempt fails likewise.
  bool dropSource(const Endpoint& to, msghdr& message, int error) {
    const bool mayBeSource = error == EINVAL || error == EADDRNOTAVAIL || error == ENETUNREACH;
    if (message.msg_controllen == 0 || !mayBeSource) return false;
    if (const auto source = localOf(message)) sources_->forget(to, *source);
    message.msg_control = nullptr;
    message.msg_controllen = 0;
    return true;
  }

  UniqueFd fd_;
  Wakeup stop_;
  const bool v4Socket_;
  const Endpoint local_;
  // Null if the socket has one address.
  const std::unique_ptr<ReplySources> sources_;
};

// Has each datagram say to which address of ours it came.
int askForLocal(int fd, bool v4Socket) {
  constexpr int yes = 1;
  const int result = v4Socket ? ::setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes)
                              : ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &yes, sizeof yes);
  return result < 0 ? errno : 0;
}

void enlargeBuffers(int fd) {
  // FORCE passes the system's limit and needs CAP_NET_ADMIN; the plain option is what remains without it.
  for (const auto& [forced, plain] : {std::pair{SO_RCVBUFFORCE, SO_RCVBUF}, std::pair{SO_SNDBUFFORCE, SO_SNDBUF}}) {
    if (::setsockopt(fd, SOL_SOCKET, forced, &kSocketBufferBytes, sizeof kSocketBufferBytes) == 0) continue;
    [[maybe_unused]] const int result =
        ::setsockopt(fd, SOL_SOCKET, plain, &kSocketBufferBytes, sizeof kSocketBufferBytes);
  }
}

// Never fragment on the base network and never believe what it says about the path MTU: the associations probe it.
int forbidFragments(int fd, bool v4Socket) {
  constexpr int probeV4 = IP_PMTUDISC_PROBE;
  if (::setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probeV4, sizeof probeV4) < 0) return errno;
  constexpr int probeV6 = IPV6_PMTUDISC_PROBE;
  if (!v4Socket && ::setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probeV6, sizeof probeV6) < 0) return errno;
  return 0;
}

UnderlayOutcome openSocket(const Endpoint& local, bool v4Socket) {
  UniqueFd fd{::socket(v4Socket ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.valid()) return errno;
  constexpr int no = 0;
  if (!v4Socket && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) < 0) return errno;
  if (const int error = forbidFragments(fd.get(), v4Socket); error != 0) return error;
  if (isWildcard(local)) {
    if (const int error = askForLocal(fd.get(), v4Socket); error != 0) return error;
  }
  enlargeBuffers(fd.get());
  SocketAddress address;
  const socklen_t length = encode(local, v4Socket, address);
  if (::bind(fd.get(), &address.any, length) < 0) return errno;
  socklen_t boundLength = sizeof address;
  if (::getsockname(fd.get(), &address.any, &boundLength) < 0) return errno;
  auto socket = std::make_unique<LinuxUdp>(std::move(fd), v4Socket, decode(address));
  if (!socket->valid()) return EMFILE;
  return socket;
}

}  // namespace

UnderlayOutcome LinuxPlatform::openUnderlay(const Endpoint& local) {
  if (local.isIpv4Mapped()) return openSocket(local, true);
  UnderlayOutcome outcome = openSocket(local, false);
  const int* error = std::get_if<int>(&outcome);
  if (error == nullptr || *error != EAFNOSUPPORT || !isWildcard(local)) return outcome;
  // A kernel without IPv6: the wildcard then means all of IPv4.
  Endpoint v4 = local;
  v4.ip[10] = 0xff;
  v4.ip[11] = 0xff;
  return openSocket(v4, true);
}

}  // namespace p2pxbone
