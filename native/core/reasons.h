// Generated from native/reasons.json by scripts/generate-reasons.ts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace p2pxbone {

enum class DropReason : uint8_t {
  none = 0,
  // The first byte of a datagram is neither STUN, DTLS nor VXLAN (RFC 7983).
  protocolUnknown = 1,
  // A STUN message arrived, and nothing here has asked for one.
  stunUnsupported = 2,
  // A datagram was larger than the receive buffer.
  datagramTruncated = 3,
  // A VXLAN header is truncated or does not carry a network identifier.
  vxlanMalformed = 4,
  // No virtual node here has the VXLAN network identifier of the packet.
  vniUnknown = 5,
  // The network is known, but the inner destination MAC address is no virtual node's here.
  nodeUnknown = 6,
  // The virtual node has no tunnel to the sender's endpoint and inner source MAC address.
  tunnelUnknown = 7,
  // An Ethernet frame is truncated or carries neither IPv4 nor IPv6.
  etherTypeUnsupported = 8,
  // An inner IP packet is truncated or contradicts itself.
  packetMalformed = 9,
  // The header checksum of an inner IPv4 packet is wrong.
  checksumBad = 10,
  // The destination is a multicast or broadcast address; the overlay carries unicast.
  multicastUnsupported = 11,
  // The source or destination is an address that never leaves a host or a link.
  addressMartian = 12,
  // No forwarding table has been published for the virtual node yet.
  imageMissing = 13,
  // No route leads to the destination.
  routeMissing = 14,
  // The route to the destination says unreachable.
  routeUnreachable = 15,
  // This node is responsible for the IPv4 address on the ring, but nobody owns the address.
  addressUnowned = 16,
  // The route names a tunnel that has been removed.
  tunnelGone = 17,
  // The TTL or hop limit ran out in transit.
  hopLimitExceeded = 18,
  // The packet is larger than the tunnel carries and may not be fragmented.
  packetTooBig = 19,
  // An ICMP error was not sent because the virtual node sent too many of them.
  icmpLimited = 20,
  // The TAP writer of the virtual node does not keep up.
  ringFull = 21,
  // The kernel refused a packet written to the TAP, for instance because the interface is down.
  tapWriteFailed = 22,
  // The send buffer of the UDP socket is full.
  sendBlocked = 23,
  // The base network refused a datagram as larger than the path MTU.
  sendTooBig = 24,
  // The base network has no way to the peer, or the peer's host refused an earlier datagram.
  sendUnreachable = 25,
  // The kernel refused a datagram for another cause.
  sendFailed = 26,
  // The control thread does not keep up with arriving DTLS datagrams.
  controlQueueFull = 27,
  // JavaScript does not keep up with events; a control message was lost.
  eventQueueFull = 28,
  // A datagram with a DTLS first byte is not DTLS.
  dtlsMalformed = 29,
  // A DTLS record belongs to no association and starts none.
  dtlsPeerUnknown = 30,
  // A DTLS record is malformed, replayed, or failed to decrypt.
  dtlsRecordBad = 31,
  // The content of a DTLS record is neither a keep-alive, a VXLAN packet nor a control message.
  dtlsContentUnknown = 32,
  // There are too many associations or unfinished handshakes.
  dtlsTableFull = 33,
  // A handshake asked for a virtual Internet that has no node here.
  dtlsServerNameUnknown = 34,
  // A packet from a tunnel has a source outside the virtual Internet's address plan.
  sourceForeign = 35,
  // A packet from a tunnel has this node's own address as source, or a link address to which no route leads by that tunnel; the latter also happens while a tunnel is being set up.
  sourceForged = 36,
  // A plain VXLAN packet arrived from the peer of a secure tunnel.
  plaintextRefused = 37,
  // A secure tunnel has no keys to send with: its association is down, or the keys may not be used any more.
  keysMissing = 38,
  // A DTLS record was seen before, or is older than the replay window.
  recordReplayed = 39,
  // A host began more handshakes than it may in a short time.
  handshakeLimited = 40,
  // The queue of a tunnel that is limited in rate, or the memory for all such tunnels, is full.
  shaperFull = 41,
  // A tunnel with emulated loss lost the packet on purpose.
  shaperLost = 42,
  // The receive buffer of the UDP socket was full.
  receiveOverflow = 43,
  // The kernel handed over a packet whose offload header contradicts it.
  offloadMalformed = 44,
  // An unencrypted DTLS alert, which anyone can send, was not believed: it ends no handshake.
  dtlsAlertUnencrypted = 45,
  // The gateway denied this connection a short time ago, and its connection cache remembers it.
  gatewayDenied = 46,
  // A rule of the gateway's policy says drop.
  gatewayRule = 47,
  // A rule of the gateway's policy says reject; the ends were told by RST or ICMP.
  gatewayRejected = 48,
  // The packet belongs to a flow that the gateway has denied before.
  gatewayFlowDenied = 49,
  // The TCP or UDP checksum is wrong.
  gatewayChecksum = 50,
  // A TCP or UDP header contradicts itself or the length of its packet; or there are more IPv6 headers before it than are looked through.
  gatewayHeader = 51,
  // The gateway's policy lets no fragments pass.
  gatewayFragmentRefused = 52,
  // Fragments of one datagram overlap or contradict each other; all of the datagram is lost (RFC 5722).
  gatewayFragmentOverlap = 53,
  // A fragment is empty, or so small that the transport header is spread over several.
  gatewayFragmentTiny = 54,
  // Fragments of a datagram did not all come in time.
  gatewayFragmentTimeout = 55,
  // There are too many fragments of unfinished datagrams at the gateway.
  gatewayFragmentsFull = 56,
  // The gateway's flow table is full of flows that wait for a verdict.
  gatewayFlowsFull = 57,
  // The gateway has not seen the beginning of this TCP connection, and its policy does not let it pass.
  gatewayMidFlow = 58,
  // A TCP segment or its acknowledgement lies outside of what the other end can accept.
  gatewayTcpWindow = 59,
  // A TCP segment does not fit the state of its connection, for instance a SYN with data in an open one.
  gatewayTcpState = 60,
  // TCP data lie beyond the end of their stream.
  gatewayAfterEnd = 61,
  // Too much of a TCP stream waits at the gateway for what is missing before it.
  gatewayStreamFull = 62,
  // What was missing from a TCP stream did not come in time.
  gatewayStreamGap = 63,
  // More unacknowledged data of a TCP stream are under way than the gateway can remember.
  gatewayStreamHistory = 64,
  // Too many packets wait at the gateway for a verdict about their flow.
  gatewayHeldFull = 65,
  // A TCP segment was sent again while the first one waits at the gateway.
  gatewayHeldDuplicate = 66,
  // The flow ended or was evicted while its packets waited at the gateway.
  gatewayFlowGone = 67,
  // The packet's flow has too much waiting for its limit of bandwidth, or there is no more room for packets that wait for limits.
  gatewayLimited = 68,
  // The virus scanner has found something in a file.
  gatewayInfected = 69,
  // The thread by which the packet came does not keep up with what the node's gateway lets go.
  gatewayLineFull = 70,
  // A rule redirects the packet's connection, and it cannot be: no room, another address family than the target's, a datagram in fragments; or the client itself speaks to the target in a way that could not be told from a redirected connection.
  gatewayRedirect = 71,
};

// One past the largest number; the size of an array indexed by reason.
inline constexpr size_t kDropReasonCount = 72;

inline constexpr std::array<const char*, kDropReasonCount> kDropReasonNames{
    "none",
    "protocolUnknown",
    "stunUnsupported",
    "datagramTruncated",
    "vxlanMalformed",
    "vniUnknown",
    "nodeUnknown",
    "tunnelUnknown",
    "etherTypeUnsupported",
    "packetMalformed",
    "checksumBad",
    "multicastUnsupported",
    "addressMartian",
    "imageMissing",
    "routeMissing",
    "routeUnreachable",
    "addressUnowned",
    "tunnelGone",
    "hopLimitExceeded",
    "packetTooBig",
    "icmpLimited",
    "ringFull",
    "tapWriteFailed",
    "sendBlocked",
    "sendTooBig",
    "sendUnreachable",
    "sendFailed",
    "controlQueueFull",
    "eventQueueFull",
    "dtlsMalformed",
    "dtlsPeerUnknown",
    "dtlsRecordBad",
    "dtlsContentUnknown",
    "dtlsTableFull",
    "dtlsServerNameUnknown",
    "sourceForeign",
    "sourceForged",
    "plaintextRefused",
    "keysMissing",
    "recordReplayed",
    "handshakeLimited",
    "shaperFull",
    "shaperLost",
    "receiveOverflow",
    "offloadMalformed",
    "dtlsAlertUnencrypted",
    "gatewayDenied",
    "gatewayRule",
    "gatewayRejected",
    "gatewayFlowDenied",
    "gatewayChecksum",
    "gatewayHeader",
    "gatewayFragmentRefused",
    "gatewayFragmentOverlap",
    "gatewayFragmentTiny",
    "gatewayFragmentTimeout",
    "gatewayFragmentsFull",
    "gatewayFlowsFull",
    "gatewayMidFlow",
    "gatewayTcpWindow",
    "gatewayTcpState",
    "gatewayAfterEnd",
    "gatewayStreamFull",
    "gatewayStreamGap",
    "gatewayStreamHistory",
    "gatewayHeldFull",
    "gatewayHeldDuplicate",
    "gatewayFlowGone",
    "gatewayLimited",
    "gatewayInfected",
    "gatewayLineFull",
    "gatewayRedirect",
};

}  // namespace p2pxbone
