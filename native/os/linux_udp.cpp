#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>

#include "os/fd.h"
#include "os/notice.h"
#include "os/platform.h"
#include "os/reply_sources.h"
#include "os/thread.h"
#include "os/udp_message.h"

namespace p2pxbone {
namespace {

// Asked for; the kernel halves or caps it by net.core.rmem_max unless we may override that.
constexpr int kSocketBufferBytes = 16 << 20;
// As many as one system call handles; also the size of the arrays on the stack.
constexpr size_t kCallMax = 64;
// How long one send() may wait for room in the socket's buffer. Meanwhile the TAP's queue fills up and slows programs down.
constexpr int kSendWaitMsMax = 5;

Notice noSegmentation{
    "the kernel or the network interface cannot cut up datagrams (UDP_SEGMENT): each is sent alone, which is several times "
    "slower."};
Notice noJoining{
    "the kernel cannot join received datagrams (UDP_GRO): each is received alone, which is about half as fast."};

bool isWildcard(const Endpoint& local) {
  const auto significant = local.ip.begin() + (local.isIpv4Mapped() ? 12 : 0);
  return std::all_of(significant, local.ip.end(), [](uint8_t byte) { return byte == 0; });
}

class LinuxUdp final : public UnderlaySocket {
 public:
  LinuxUdp(UniqueFd fd, bool v4Socket, Endpoint local, bool segmentation, uint64_t seed)
      : fd_(std::move(fd)),
        v4Socket_(v4Socket),
        local_(local),
        segmentation_(segmentation),
        sources_(isWildcard(local) ? std::make_unique<ReplySources>(seed) : nullptr) {}

  Endpoint local() const override { return local_; }
  using UnderlaySocket::wait;
  bool wait(const Wakeup* call) override { return waitReadable(fd_.get(), stop_, call); }
  void stop() override { stop_.signal(); }
  bool stopped() const override { return stop_.signalled(); }
  // Not by SO_RXQ_OVFL, which copies the count out of the packet: where that is a TCP segment in a tunnel of a container on
  // this host, kernels with hardened copying (6.18) take it for an attack, and the reading thread does not come back.
  uint64_t overflows() const override {
    std::array<uint32_t, SK_MEMINFO_VARS> counts{};
    socklen_t length = sizeof counts;
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_MEMINFO, counts.data(), &length) < 0) return overflows_;
    // The kernel counts with 32 bits.
    overflows_ += counts[SK_MEMINFO_DROPS] - static_cast<uint32_t>(overflows_);
    return overflows_;
  }
  [[nodiscard]] bool valid() const { return stop_.valid(); }

  size_t receive(std::span<DatagramSlot> slots) override {
    const size_t wanted = std::min(slots.size(), kCallMax);
    Inbox& inbox = *inbox_;
    // What the last call did not fill is still as it was made ready for these slots.
    if (inbox.slots != slots.data()) inbox.ready = 0;
    inbox.slots = slots.data();
    for (size_t i = inbox.ready; i < wanted; ++i) inbox.makeReady(i, slots[i]);
    // There may have been more slots then; the caller's memory is the same.
    for (size_t i = 0; i < inbox.filled; ++i) inbox.makeReady(i, slots.data()[i]);
    inbox.ready = std::max(inbox.ready, wanted);
    const int count =
        ::recvmmsg(fd_.get(), inbox.messages.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
    inbox.filled = count <= 0 ? 0 : static_cast<size_t>(count);
    if (inbox.filled == 0) return 0;
    for (size_t i = 0; i < inbox.filled; ++i) note(slots[i], inbox.messages[i], inbox.from[i]);
    return inbox.filled;
  }

  void heard(const Endpoint& peer, const HostAddress& local, Millis now) override {
    if (sources_ != nullptr) sources_->heard(peer, local, now);
  }

  void send(std::span<MessageOut> messages, SendPatience patience) override {
    int waitMs = patience == SendPatience::brief ? kSendWaitMsMax : 0;
    while (!messages.empty()) {
      const size_t count = std::min(messages.size(), kCallMax);
      sendSome(messages.first(count), waitMs);
      messages = messages.subspan(count);
    }
  }

 private:
  // Everything that one recvmmsg refers to.
  struct Inbox {
    void makeReady(size_t i, const DatagramSlot& slot) {
      vectors[i] = {slot.room.data(), slot.room.size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &from[i];
      messages[i].msg_hdr.msg_namelen = sizeof from[i];
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = &controls[i];
      messages[i].msg_hdr.msg_controllen = sizeof controls[i];
    }

    const DatagramSlot* slots = nullptr;
    size_t ready = 0;
    size_t filled = 0;  // by the last call
    std::array<mmsghdr, kCallMax> messages;
    std::array<iovec, kCallMax> vectors;
    std::array<SocketAddress, kCallMax> from;
    std::array<ControlRoom, kCallMax> controls;
  };

  void note(DatagramSlot& slot, mmsghdr& message, const SocketAddress& from) {
    slot.truncated = (message.msg_hdr.msg_flags & MSG_TRUNC) != 0;
    slot.from = decodeAddress(from);
    slot.run = DatagramRun::single(slot.room.first(message.msg_len));
    const ReceivedControl control = readControl(message.msg_hdr);
    if (control.segmentBytes != 0) slot.run.segmentBytes = control.segmentBytes;
    slot.to = control.local;
  }

  // Everything that one sendmmsg refers to.
  struct Call {
    std::array<mmsghdr, kCallMax> messages;
    std::array<std::array<iovec, kMessageDatagramsMax>, kCallMax> vectors;
    std::array<SocketAddress, kCallMax> to;
    std::array<ControlRoom, kCallMax> controls;
  };

  void prepare(Call& call, size_t at, const MessageOut& message, Millis now) const {
    // The kernel only reads what it sends; iovec serves both directions and so cannot say it.
    const auto vectorOf = [](std::span<const uint8_t> piece) {
      return iovec{const_cast<uint8_t*>(piece.data()), piece.size()};
    };
    std::transform(message.pieces.begin(), message.pieces.end(), call.vectors[at].begin(), vectorOf);
    call.messages[at] = {};
    msghdr& header = call.messages[at].msg_hdr;
    header.msg_name = &call.to[at];
    header.msg_namelen = encodeAddress(message.to, v4Socket_, call.to[at]);
    header.msg_iov = call.vectors[at].data();
    header.msg_iovlen = message.pieces.size();
    writeControl(header, call.controls[at], sourceOf(message, now), message.datagrams > 1 ? message.segmentBytes : 0);
  }

  [[nodiscard]] std::optional<HostAddress> sourceOf(const MessageOut& message, Millis now) const {
    if (sources_ == nullptr) return std::nullopt;
    return message.source ? message.source : sources_->find(message.to, now);
  }

  void sendSome(std::span<MessageOut> messages, int& waitMs) {
    Call call;
    const Millis now = monotonicNow();
    for (size_t i = 0; i < messages.size(); ++i) prepare(call, i, messages[i], now);
    size_t at = 0;
    while (at < messages.size()) {
      MessageOut& next = messages[at];
      const bool wrongFamily = v4Socket_ && !next.to.isIpv4Mapped();
      const unsigned run = wrongFamily ? 0 : runLength(messages.subspan(at));
      const int sent = run == 0 ? -1 : ::sendmmsg(fd_.get(), &call.messages[at], run, MSG_DONTWAIT);
      if (sent > 0) {
        at += static_cast<size_t>(sent);
        continue;
      }
      const int error = wrongFamily ? EAFNOSUPPORT : (run == 0 ? EIO : errno);
      // The call stops at the first message that fails.
      if (!wrongFamily && next.datagrams > 1 && mayBeTheWhole(error)) {
        if (error == EIO) refuseSegmentation();
        sendSingly(next, waitMs);
      } else if (!wrongFamily && mayRetry(next.to, call.messages[at].msg_hdr, error, waitMs)) {
        continue;
      } else {
        next.failed = next.datagrams;
        next.failedBytes = bytesOf(next);
        next.error = error;
      }
      ++at;
    }
  }

  // Errors after which the datagrams of a message may fare better one by one, or each with an error of its own.
  [[nodiscard]] static bool mayBeTheWhole(int error) {
    return error == EIO || error == EINVAL || error == EMSGSIZE || error == EADDRNOTAVAIL || error == ENETUNREACH;
  }

  // Each datagram of a message that the kernel does not take as a whole: because it cannot cut it up, because one of its
  // datagrams is too big, or because of the source address.
  void sendSingly(MessageOut& message, int& waitMs) {
    const Millis now = monotonicNow();
    for (const std::span<const uint8_t> piece : message.pieces) {
      ConstDatagramRun{piece, message.segmentBytes}.forEach([&](std::span<const uint8_t> datagram) {
        SocketAddress to;
        ControlRoom control;
        iovec vector{const_cast<uint8_t*>(datagram.data()), datagram.size()};
        msghdr header{};
        header.msg_name = &to;
        header.msg_namelen = encodeAddress(message.to, v4Socket_, to);
        header.msg_iov = &vector;
        header.msg_iovlen = 1;
        writeControl(header, control, sourceOf(message, now), 0);
        while (::sendmsg(fd_.get(), &header, MSG_DONTWAIT) < 0) {
          const int error = errno;
          if (mayRetry(message.to, header, error, waitMs)) continue;
          ++message.failed;
          message.failedBytes += datagram.size();
          message.error = error;
          break;
        }
      });
    }
  }

  // How many, from the first one on, this socket can take in one call.
  [[nodiscard]] unsigned runLength(std::span<const MessageOut> messages) const {
    const bool segmentation = segmentation_.load(std::memory_order_relaxed);
    const auto end = std::find_if(messages.begin(), messages.end(), [&](const MessageOut& message) {
      return (v4Socket_ && !message.to.isIpv4Mapped()) || (!segmentation && message.datagrams > 1);
    });
    return static_cast<unsigned>(end - messages.begin());
  }

  [[nodiscard]] bool mayRetry(const Endpoint& to, msghdr& message, int error, int& waitMs) {
    if (error == EINTR) return true;
    if (error == EAGAIN) return waitForRoom(waitMs);
    return dropSource(to, message, error);
  }

  // False if there is none within `waitMs`, from which the time taken is deducted.
  [[nodiscard]] bool waitForRoom(int& waitMs) const {
    if (waitMs <= 0) return false;
    const Millis begun = monotonicNow();
    pollfd waited{fd_.get(), POLLOUT, 0};
    const bool ready = ::poll(&waited, 1, waitMs) > 0;
    // At least 1, so that it comes to an end.
    waitMs -= static_cast<int>(std::max<Millis>(monotonicNow() - begun, ready ? 0 : 1));
    return ready;
  }

  // The network interface of a route may lack what the kernel has; found out by trying only.
  void refuseSegmentation() {
    segmentation_.store(false, std::memory_order_relaxed);
    noSegmentation.say();
  }

  // True if the datagram was to leave from an address that may be this host's no longer, and is to be tried without it.
  // Kernels do not agree on the error; where the address is not to blame, the second attempt fails likewise.
  bool dropSource(const Endpoint& to, msghdr& message, int error) {
    const bool mayBeSource = error == EINVAL || error == EADDRNOTAVAIL || error == ENETUNREACH;
    if (message.msg_controllen == 0 || !mayBeSource) return false;
    const ReceivedControl control = readControl(message);
    if (!control.local) return false;
    sources_->forget(to, *control.local);
    message.msg_control = nullptr;
    message.msg_controllen = 0;
    return true;
  }

  UniqueFd fd_;
  Wakeup stop_;
  const bool v4Socket_;
  const Endpoint local_;
  std::atomic<bool> segmentation_;
  mutable uint64_t overflows_ = 0;                              // the reader's
  const std::unique_ptr<Inbox> inbox_ = std::make_unique<Inbox>();  // the reader's
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

// The kernel's to refuse, and not needed to work.
void joinReceived(int fd) {
  constexpr int yes = 1;
  if (::setsockopt(fd, SOL_UDP, UDP_GRO, &yes, sizeof yes) < 0) noJoining.say();
}

bool canSegment(int fd) {
  constexpr int none = 0;
  if (::setsockopt(fd, SOL_UDP, UDP_SEGMENT, &none, sizeof none) == 0) return true;
  noSegmentation.say();
  return false;
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

UnderlayOutcome openSocket(const Endpoint& local, bool v4Socket, uint64_t seed) {
  UniqueFd fd{::socket(v4Socket ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.valid()) return errno;
  constexpr int no = 0;
  if (!v4Socket && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) < 0) return errno;
  if (const int error = forbidFragments(fd.get(), v4Socket); error != 0) return error;
  if (isWildcard(local)) {
    if (const int error = askForLocal(fd.get(), v4Socket); error != 0) return error;
  }
  enlargeBuffers(fd.get());
  joinReceived(fd.get());
  const bool segmentation = canSegment(fd.get());
  SocketAddress address;
  const socklen_t length = encodeAddress(local, v4Socket, address);
  if (::bind(fd.get(), &address.any, length) < 0) return errno;
  socklen_t boundLength = sizeof address;
  if (::getsockname(fd.get(), &address.any, &boundLength) < 0) return errno;
  auto socket = std::make_unique<LinuxUdp>(std::move(fd), v4Socket, decodeAddress(address), segmentation, seed);
  if (!socket->valid()) return EMFILE;
  return socket;
}

}  // namespace

UnderlayOutcome LinuxPlatform::openUnderlay(const Endpoint& local, uint64_t seed) {
  if (local.isIpv4Mapped()) return openSocket(local, true, seed);
  UnderlayOutcome outcome = openSocket(local, false, seed);
  const int* error = std::get_if<int>(&outcome);
  if (error == nullptr || *error != EAFNOSUPPORT || !isWildcard(local)) return outcome;
  // A kernel without IPv6: the wildcard then means all of IPv4.
  Endpoint v4 = local;
  v4.ip[10] = 0xff;
  v4.ip[11] = 0xff;
  return openSocket(v4, true, seed);
}

}  // namespace p2pxbone
