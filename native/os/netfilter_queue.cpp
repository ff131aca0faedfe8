#include "os/netfilter_queue.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
// Uses types of the one before.
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace p2pxbone {
namespace {

// A packet of 64 KB and what the kernel says about it.
constexpr size_t kMessageBytes = 0xffff + 4096;
// What is said about packets leaves at the latest when there is so much of it.
constexpr size_t kWordsBytes = 128 << 10;
// What could not be sent is kept up to here.
constexpr size_t kWordsKeptBytes = 4 << 20;
// Header, the verdict itself and a mark.
constexpr size_t kWordBytesMax = 128;
// The kernel drops packets when they do not fit here; it counts four times what a small packet has.
constexpr int kSocketBufferBytes = 32 << 20;
// Length of the longest netlink attribute.
constexpr size_t kPayloadBytesMax = 0xffff - NLA_HDRLEN;

[[noreturn]] void fail(const char* what) { throw std::system_error{errno, std::generic_category(), what}; }

}  // namespace

struct NetfilterQueue::Socket {
  Socket() : handle(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC)) {
    if (handle == nullptr) fail("a netlink socket");
    if (mnl_socket_bind(handle, 0, MNL_SOCKET_AUTOPID) < 0) {
      mnl_socket_close(handle);
      fail("a netlink socket's address");
    }
  }
  ~Socket() { mnl_socket_close(handle); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  mnl_socket* const handle;
};

NetfilterQueue::NetfilterQueue(const Settings& settings)
    : number_(settings.number),
      socket_(std::make_unique<Socket>()),
      arrivals_(std::make_unique_for_overwrite<uint8_t[]>(kBatch * kMessageBytes)) {
  words_.reserve(kWordsBytes);
  configure(settings);
}

// Closing the socket drops what waits and leaves the queue.
NetfilterQueue::~NetfilterQueue() { flush(); }

int NetfilterQueue::fd() const { return mnl_socket_get_fd(socket_->handle); }

void NetfilterQueue::configure(const Settings& settings) {
  std::vector<char> buffer(kMessageBytes);
  const auto send = [&](const char* what, uint16_t flags, auto&& put) {
    nlmsghdr* const message = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_CONFIG, number_);
    message->nlmsg_flags |= flags;
    put(message);
    if (mnl_socket_sendto(socket_->handle, message, message->nlmsg_len) < 0) fail(what);
  };
  const auto ask = [&](const char* what, auto&& put) {
    send(what, NLM_F_ACK, put);
    const ssize_t length = mnl_socket_recvfrom(socket_->handle, buffer.data(), buffer.size());
    if (length < 0 || mnl_cb_run(buffer.data(), static_cast<size_t>(length), 0, 0, nullptr, nullptr) < 0) fail(what);
  };
  ask("binding the queue", [](nlmsghdr* message) { nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND); });
  ask("setting up the queue", [&](nlmsghdr* message) {
    const uint32_t flags = NFQA_CFG_F_GSO | (settings.failOpen ? NFQA_CFG_F_FAIL_OPEN : 0);
    nfq_nlmsg_cfg_put_qmaxlen(message, settings.packetsMax);
    mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(flags));
    mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
  });
  for (const auto& [forced, plain] : {std::pair{SO_RCVBUFFORCE, SO_RCVBUF}, std::pair{SO_SNDBUFFORCE, SO_SNDBUF}}) {
    // Not fatal: with the default buffer there are more overruns, which are counted.
    const int bytes = kSocketBufferBytes;
    if (::setsockopt(fd(), SOL_SOCKET, forced, &bytes, sizeof bytes) != 0) {
      (void)::setsockopt(fd(), SOL_SOCKET, plain, &bytes, sizeof bytes);
    }
  }
  // Packets come from here on, and could come before an acknowledgement.
  send("opening the queue", 0, [](nlmsghdr* message) {
    nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, 0xffff);
  });
}

size_t NetfilterQueue::receive(const std::function<void(const Arrival&)>& take) {
  std::array<mmsghdr, kBatch> messages{};
  std::array<iovec, kBatch> places{};
  for (size_t i = 0; i < kBatch; ++i) {
    places[i] = {arrivals_.get() + i * kMessageBytes, kMessageBytes};
    messages[i].msg_hdr.msg_iov = &places[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int count = ::recvmmsg(fd(), messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (count < 0) {
    if (errno == ENOBUFS) counters_.overruns++;
    return 0;
  }
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    read({arrivals_.get() + i * kMessageBytes, messages[i].msg_len}, take);
  }
  return static_cast<size_t>(count);
}

void NetfilterQueue::read(std::span<uint8_t> bytes, const std::function<void(const Arrival&)>& take) {
  int left = static_cast<int>(bytes.size());
  for (auto* message = reinterpret_cast<nlmsghdr*>(bytes.data()); mnl_nlmsg_ok(message, left);
       message = mnl_nlmsg_next(message, &left)) {
    if (message->nlmsg_type == NLMSG_ERROR) {
      counters_.unknown++;
      continue;
    }
    std::array<nlattr*, NFQA_MAX + 1> attributes{};
    if (nfq_nlmsg_parse(message, attributes.data()) < 0) continue;
    if (attributes[NFQA_PACKET_HDR] == nullptr) continue;
    const auto* const header = static_cast<nfqnl_msg_packet_hdr*>(mnl_attr_get_payload(attributes[NFQA_PACKET_HDR]));
    Arrival arrival;
    arrival.id = ntohl(header->packet_id);
    counters_.packets++;
    if (attributes[NFQA_CAP_LEN] != nullptr || attributes[NFQA_PAYLOAD] == nullptr) {
      counters_.cut++;
      drop(arrival.id);
      continue;
    }
    arrival.bytes = {static_cast<uint8_t*>(mnl_attr_get_payload(attributes[NFQA_PAYLOAD])),
                     mnl_attr_get_payload_len(attributes[NFQA_PAYLOAD])};
    if (attributes[NFQA_MARK] != nullptr) arrival.mark = ntohl(mnl_attr_get_u32(attributes[NFQA_MARK]));
    if (attributes[NFQA_SKB_INFO] != nullptr) {
      arrival.needsChecksum = (ntohl(mnl_attr_get_u32(attributes[NFQA_SKB_INFO])) & NFQA_SKB_CSUMNOTREADY) != 0;
    }
    take(arrival);
  }
}

void NetfilterQueue::say(uint32_t id, int verdict, uint32_t mark, std::span<const uint8_t> bytes) {
  const size_t room = kWordBytesMax + bytes.size();
  if (words_.size() + room > kWordsBytes) flush();
  const size_t at = words_.size();
  words_.resize(at + room);
  nlmsghdr* const message = nfq_nlmsg_put(reinterpret_cast<char*>(words_.data() + at), NFQNL_MSG_VERDICT, number_);
  nfq_nlmsg_verdict_put(message, static_cast<int>(id), verdict);
  if (mark != 0) nfq_nlmsg_verdict_put_mark(message, mark);
  if (!bytes.empty()) nfq_nlmsg_verdict_put_pkt(message, bytes.data(), static_cast<uint32_t>(bytes.size()));
  words_.resize(at + MNL_ALIGN(message->nlmsg_len));
}

void NetfilterQueue::accept(uint32_t id, uint32_t mark) { say(id, NF_ACCEPT, mark, {}); }

void NetfilterQueue::accept(uint32_t id, uint32_t mark, std::span<const uint8_t> bytes) {
  if (bytes.size() > kPayloadBytesMax) {
    counters_.cut++;
    return drop(id);
  }
  say(id, NF_ACCEPT, mark, bytes);
}

void NetfilterQueue::drop(uint32_t id) { say(id, NF_DROP, 0, {}); }

void NetfilterQueue::flush() {
  if (words_.empty()) return;
  // Netlink takes it at once or, for want of memory, not at all; then it is tried again.
  if (mnl_socket_sendto(socket_->handle, words_.data(), words_.size()) < 0 && words_.size() < kWordsKeptBytes) return;
  words_.clear();
}

}  // namespace p2pxbone
