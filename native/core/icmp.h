// ICMP (RFC 792) and ICMPv6 (RFC 4443) errors about inner packets.
#pragma once

#include <cstdint>
#include <span>

#include "core/packet.h"

namespace p2pxbone {

enum class IcmpError : uint8_t { timeExceeded, unreachable, tooBig, prohibited };

// Whole packets, IP header included. The IPv4 figure is from RFC 1812 §4.3.2.3, the IPv6 one from RFC 4443 §2.4 (c).
inline constexpr size_t kIcmpv4PacketMax = 576;
inline constexpr size_t kIcmpv6PacketMax = 1280;

// Whether the standards allow an error about this packet at all (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)).
[[nodiscard]] bool mayAnswerWithError(const InnerPacket& about, std::span<const uint8_t> bytes);

// Writes an error from `source` to the sender of the packet, quoting its beginning, and returns its length. `to` has
// kIcmpv6PacketMax bytes. `mtu` is used by tooBig only.
[[nodiscard]] size_t buildIcmpError(std::span<uint8_t> to, IcmpError error, uint32_t mtu, const Address& source,
                                    const InnerPacket& about, std::span<const uint8_t> bytes);

}  // namespace p2pxbone
