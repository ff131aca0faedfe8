#include "os/super_packets.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/packet.h"
#include "core/vxlan.h"
#include "os/fd.h"
#include "os/underlay.h"

namespace p2pxbone {
namespace {

// Younger than the system's headers (Linux 6.3).
constexpr uint16_t kGsoIpv4MaxSize = 63;
// Record header, explicit nonce and tag of DTLS 1.2 with AES-GCM (RFC 6347 §4.1, RFC 5288 §3); no other cipher needs more.
constexpr size_t kRecordBytes = 13 + 8 + 16;
constexpr size_t kTcpHeaderBytes = 20;
// What Linux deducts from the limit for the headers of all layers (MAX_TCP_HEADER) before it fills the rest with segments.
constexpr size_t kDeductedBytes = 320;

uint32_t limitFor(size_t mtu, size_t datagrams, size_t ipHeaderBytes) {
  const size_t payload = datagrams * (mtu - ipHeaderBytes - kTcpHeaderBytes);
  return static_cast<uint32_t>(std::min<size_t>(payload + kDeductedBytes, 65'536));
}

struct Request {
  nlmsghdr header;
  ifinfomsg link;
  struct {
    rtattr attribute;
    uint32_t value;
  } ipv6, ipv4;
};

struct Answer {
  nlmsghdr header;
  nlmsgerr error;
};

}  // namespace

SuperPacketLimits superPacketLimits(size_t mtu) {
  const size_t datagram = mtu + kEncapsulationBytes + kRecordBytes;
  const size_t datagrams = std::clamp<size_t>(kMessageBytesMax / datagram, 1, kMessageDatagramsMax);
  return {limitFor(mtu, datagrams, kIpv4HeaderBytes), limitFor(mtu, datagrams, kIpv6HeaderBytes)};
}

int limitSuperPackets(const std::string& name, SuperPacketLimits limits) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return errno;
  const UniqueFd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)};
  if (!socket.valid()) return errno;
  Request request{};
  request.header = {sizeof request, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0};
  request.link.ifi_index = static_cast<int>(index);
  // The former limit is for both families on kernels that do not have the latter, and they ignore what they do not know.
  request.ipv6 = {{RTA_LENGTH(sizeof(uint32_t)), IFLA_GSO_MAX_SIZE}, limits.ipv6Bytes};
  request.ipv4 = {{RTA_LENGTH(sizeof(uint32_t)), kGsoIpv4MaxSize}, limits.ipv4Bytes};
  if (::send(socket.get(), &request, sizeof request, 0) < 0) return errno;
  Answer answer{};
  const ssize_t length = ::recv(socket.get(), &answer, sizeof answer, 0);
  if (length < 0) return errno;
  if (static_cast<size_t>(length) < sizeof answer || answer.header.nlmsg_type != NLMSG_ERROR) return EPROTO;
  return -answer.error.error;
}

}  // namespace p2pxbone
