#include "core/icmp.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/checksum.h"

namespace p2pxbone {
namespace {

constexpr size_t kIcmpHeaderBytes = 8;
constexpr uint8_t kErrorHopLimit = 64;

struct TypeAndCode {
  uint8_t type;
  uint8_t code;
};

TypeAndCode typeOfV4(IcmpError error) {
  switch (error) {
    case IcmpError::timeExceeded: return {11, 0};
    case IcmpError::tooBig: return {3, 4};
    case IcmpError::prohibited: return {3, 13};
    case IcmpError::unreachable: break;
  }
  return {3, 1};
}

TypeAndCode typeOfV6(IcmpError error) {
  switch (error) {
    case IcmpError::timeExceeded: return {3, 0};
    case IcmpError::tooBig: return {2, 0};
    case IcmpError::prohibited: return {1, 1};
    case IcmpError::unreachable: break;
  }
  return {1, 0};
}

size_t buildV4(std::span<uint8_t> to, IcmpError error, uint32_t mtu, const Address& source, const InnerPacket& about,
               std::span<const uint8_t> bytes) {
  const size_t overhead = kIpv4HeaderBytes + kIcmpHeaderBytes;
  const size_t quoted = std::min(about.totalBytes, kIcmpv4PacketMax - overhead);
  const size_t total = overhead + quoted;
  std::fill_n(to.begin(), overhead, uint8_t{0});
  to[0] = 0x45;
  // Network control precedence, as RFC 1812 §4.3.2.5 asks of routers.
  to[1] = 0xc0;
  storeBe16(&to[2], static_cast<uint16_t>(total));
  storeBe16(&to[6], 0x4000);  // small enough everywhere, so it needs no identification (RFC 6864)
  to[8] = kErrorHopLimit;
  to[9] = kProtocolIcmp;
  std::copy_n(source.begin() + 12, 4, &to[12]);
  std::copy_n(about.source.begin() + 12, 4, &to[16]);
  storeBe16(&to[10], checksumOf(to.first(kIpv4HeaderBytes)));
  const std::span<uint8_t> icmp = to.subspan(kIpv4HeaderBytes, kIcmpHeaderBytes + quoted);
  const TypeAndCode kind = typeOfV4(error);
  icmp[0] = kind.type;
  icmp[1] = kind.code;
  if (error == IcmpError::tooBig) storeBe16(&icmp[6], static_cast<uint16_t>(std::min<uint32_t>(mtu, 0xffff)));
  std::copy_n(bytes.begin(), quoted, icmp.begin() + kIcmpHeaderBytes);
  storeBe16(&icmp[2], checksumOf(icmp));
  return total;
}

size_t buildV6(std::span<uint8_t> to, IcmpError error, uint32_t mtu, const Address& source, const InnerPacket& about,
               std::span<const uint8_t> bytes) {
  const size_t overhead = kIpv6HeaderBytes + kIcmpHeaderBytes;
  const size_t quoted = std::min(about.totalBytes, kIcmpv6PacketMax - overhead);
  const size_t icmpBytes = kIcmpHeaderBytes + quoted;
  std::fill_n(to.begin(), overhead, uint8_t{0});
  to[0] = 0x60;
  storeBe16(&to[4], static_cast<uint16_t>(icmpBytes));
  to[6] = kProtocolIcmpv6;
  to[7] = kErrorHopLimit;
  std::copy(source.begin(), source.end(), &to[8]);
  std::copy(about.source.begin(), about.source.end(), &to[24]);
  const std::span<uint8_t> icmp = to.subspan(kIpv6HeaderBytes, icmpBytes);
  const TypeAndCode kind = typeOfV6(error);
  icmp[0] = kind.type;
  icmp[1] = kind.code;
  if (error == IcmpError::tooBig) storeBe32(&icmp[4], mtu);
  std::copy_n(bytes.begin(), quoted, icmp.begin() + kIcmpHeaderBytes);
  // RFC 8200 §8.1: the addresses, the length and the protocol are summed with the message.
  uint64_t sum = checksumAdd(to.subspan(8, 32), icmpBytes + kProtocolIcmpv6);
  sum = checksumAdd(icmp, sum);
  storeBe16(&icmp[2], checksumFinish(sum));
  return kIpv6HeaderBytes + icmpBytes;
}

}  // namespace

bool mayAnswerWithError(const InnerPacket& about, std::span<const uint8_t> bytes) {
  if (!about.firstFragment || isIcmpError(about, bytes)) return false;
  return checkAddresses(about) == DropReason::none;
}

size_t buildIcmpError(std::span<uint8_t> to, IcmpError error, uint32_t mtu, const Address& source,
                      const InnerPacket& about, std::span<const uint8_t> bytes) {
  return about.v6 ? buildV6(to, error, mtu, source, about, bytes) : buildV4(to, error, mtu, source, about, bytes);
}

}  // namespace p2pxbone
