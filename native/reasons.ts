// Generated from native/reasons.json by scripts/generate-reasons.ts.

/** Why the data plane dropped a packet, a datagram or a message. Numbers are never given a new meaning. */
export const DROP_REASONS = {
  protocolUnknown: {
    number: 1,
    text: 'The first byte of a datagram is neither STUN, DTLS nor VXLAN (RFC 7983).',
  },
  stunUnsupported: {
    number: 2,
    text: 'A STUN message arrived, and nothing here has asked for one.',
  },
  datagramTruncated: {
    number: 3,
    text: 'A datagram was larger than the receive buffer.',
  },
  vxlanMalformed: {
    number: 4,
    text: 'A VXLAN header is truncated or does not carry a network identifier.',
  },
  vniUnknown: {
    number: 5,
    text: 'No virtual node here has the VXLAN network identifier of the packet.',
  },
  nodeUnknown: {
    number: 6,
    text: "The network is known, but the inner destination MAC address is no virtual node's here.",
  },
  tunnelUnknown: {
    number: 7,
    text: "The virtual node has no tunnel to the sender's endpoint and inner source MAC address.",
  },
  etherTypeUnsupported: {
    number: 8,
    text: 'An Ethernet frame is truncated or carries neither IPv4 nor IPv6.',
  },
  packetMalformed: {
    number: 9,
    text: 'An inner IP packet is truncated or contradicts itself.',
  },
  checksumBad: {
    number: 10,
    text: 'The header checksum of an inner IPv4 packet is wrong.',
  },
  multicastUnsupported: {
    number: 11,
    text: 'The destination is a multicast or broadcast address; the overlay carries unicast.',
  },
  addressMartian: {
    number: 12,
    text: 'The source or destination is an address that never leaves a host or a link.',
  },
  imageMissing: {
    number: 13,
    text: 'No forwarding table has been published for the virtual node yet.',
  },
  routeMissing: {
    number: 14,
    text: 'No route leads to the destination.',
  },
  routeUnreachable: {
    number: 15,
    text: 'The route to the destination says unreachable.',
  },
  addressUnowned: {
    number: 16,
    text: 'This node is responsible for the IPv4 address on the ring, but nobody owns the address.',
  },
  tunnelGone: {
    number: 17,
    text: 'The route names a tunnel that has been removed.',
  },
  hopLimitExceeded: {
    number: 18,
    text: 'The TTL or hop limit ran out in transit.',
  },
  packetTooBig: {
    number: 19,
    text: 'The packet is larger than the tunnel carries and may not be fragmented.',
  },
  icmpLimited: {
    number: 20,
    text: 'An ICMP error was not sent because the virtual node sent too many of them.',
  },
  ringFull: {
    number: 21,
    text: 'The TAP writer of the virtual node does not keep up.',
  },
  tapWriteFailed: {
    number: 22,
    text: 'The kernel refused a packet written to the TAP, for instance because the interface is down.',
  },
  sendBlocked: {
    number: 23,
    text: 'The send buffer of the UDP socket is full.',
  },
  sendTooBig: {
    number: 24,
    text: 'The base network refused a datagram as larger than the path MTU.',
  },
  sendUnreachable: {
    number: 25,
    text: "The base network has no way to the peer, or the peer's host refused an earlier datagram.",
  },
  sendFailed: {
    number: 26,
    text: 'The kernel refused a datagram for another cause.',
  },
  controlQueueFull: {
    number: 27,
    text: 'The control thread does not keep up with arriving DTLS datagrams.',
  },
  eventQueueFull: {
    number: 28,
    text: 'JavaScript does not keep up with events; a control message was lost.',
  },
  dtlsMalformed: {
    number: 29,
    text: 'A datagram with a DTLS first byte is not DTLS.',
  },
  dtlsPeerUnknown: {
    number: 30,
    text: 'A DTLS record belongs to no association and starts none.',
  },
  dtlsRecordBad: {
    number: 31,
    text: 'A DTLS record is malformed, replayed, or failed to decrypt.',
  },
  dtlsContentUnknown: {
    number: 32,
    text: 'The content of a DTLS record is neither a keep-alive, a VXLAN packet nor a control message.',
  },
  dtlsTableFull: {
    number: 33,
    text: 'There are too many associations or unfinished handshakes.',
  },
  dtlsServerNameUnknown: {
    number: 34,
    text: 'A handshake asked for a virtual Internet that has no node here.',
  },
  sourceForeign: {
    number: 35,
    text: "A packet from a tunnel has a source outside the virtual Internet's address plan.",
  },
  sourceForged: {
    number: 36,
    text: "A packet from a tunnel has this node's own address as source, or a link address to which no route leads by that tunnel; the latter also happens while a tunnel is being set up.",
  },
  plaintextRefused: {
    number: 37,
    text: 'A plain VXLAN packet arrived from the peer of a secure tunnel.',
  },
  keysMissing: {
    number: 38,
    text: 'A secure tunnel has no keys to send with: its association is down, or the keys may not be used any more.',
  },
  recordReplayed: {
    number: 39,
    text: 'A DTLS record was seen before, or is older than the replay window.',
  },
  handshakeLimited: {
    number: 40,
    text: 'A host began more handshakes than it may in a short time.',
  },
  shaperFull: {
    number: 41,
    text: 'The queue of a tunnel that is limited in rate, or the memory for all such tunnels, is full.',
  },
  shaperLost: {
    number: 42,
    text: 'A tunnel with emulated loss lost the packet on purpose.',
  },
  receiveOverflow: {
    number: 43,
    text: 'The receive buffer of the UDP socket was full.',
  },
  offloadMalformed: {
    number: 44,
    text: 'The kernel handed over a packet whose offload header contradicts it.',
  },
  dtlsAlertUnencrypted: {
    number: 45,
    text: 'An unencrypted DTLS alert, which anyone can send, was not believed: it ends no handshake.',
  },
  gatewayDenied: {
    number: 46,
    text: 'The gateway denied this connection a short time ago, and its connection cache remembers it.',
  },
  gatewayRule: {
    number: 47,
    text: "A rule of the gateway's policy says drop.",
  },
  gatewayRejected: {
    number: 48,
    text: "A rule of the gateway's policy says reject; the ends were told by RST or ICMP.",
  },
  gatewayFlowDenied: {
    number: 49,
    text: 'The packet belongs to a flow that the gateway has denied before.',
  },
  gatewayChecksum: {
    number: 50,
    text: 'The TCP or UDP checksum is wrong.',
  },
  gatewayHeader: {
    number: 51,
    text: 'A TCP or UDP header contradicts itself or the length of its packet; or there are more IPv6 headers before it than are looked through.',
  },
  gatewayFragmentRefused: {
    number: 52,
    text: "The gateway's policy lets no fragments pass.",
  },
  gatewayFragmentOverlap: {
    number: 53,
    text: 'Fragments of one datagram overlap or contradict each other; all of the datagram is lost (RFC 5722).',
  },
  gatewayFragmentTiny: {
    number: 54,
    text: 'A fragment is empty, or so small that the transport header is spread over several.',
  },
  gatewayFragmentTimeout: {
    number: 55,
    text: 'Fragments of a datagram did not all come in time.',
  },
  gatewayFragmentsFull: {
    number: 56,
    text: 'There are too many fragments of unfinished datagrams at the gateway.',
  },
  gatewayFlowsFull: {
    number: 57,
    text: "The gateway's flow table is full of flows that wait for a verdict.",
  },
  gatewayMidFlow: {
    number: 58,
    text: 'The gateway has not seen the beginning of this TCP connection, and its policy does not let it pass.',
  },
  gatewayTcpWindow: {
    number: 59,
    text: 'A TCP segment or its acknowledgement lies outside of what the other end can accept.',
  },
  gatewayTcpState: {
    number: 60,
    text: 'A TCP segment does not fit the state of its connection, for instance a SYN with data in an open one.',
  },
  gatewayAfterEnd: {
    number: 61,
    text: 'TCP data lie beyond the end of their stream.',
  },
  gatewayStreamFull: {
    number: 62,
    text: 'Too much of a TCP stream waits at the gateway for what is missing before it.',
  },
  gatewayStreamGap: {
    number: 63,
    text: 'What was missing from a TCP stream did not come in time.',
  },
  gatewayStreamHistory: {
    number: 64,
    text: 'More unacknowledged data of a TCP stream are under way than the gateway can remember.',
  },
  gatewayHeldFull: {
    number: 65,
    text: 'Too many packets wait at the gateway for a verdict about their flow.',
  },
  gatewayHeldDuplicate: {
    number: 66,
    text: 'A TCP segment was sent again while the first one waits at the gateway.',
  },
  gatewayFlowGone: {
    number: 67,
    text: 'The flow ended or was evicted while its packets waited at the gateway.',
  },
  gatewayLimited: {
    number: 68,
    text: "The packet's flow has too much waiting for its limit of bandwidth, or there is no more room for packets that wait for limits.",
  },
  gatewayInfected: {
    number: 69,
    text: 'The virus scanner has found something in a file.',
  },
  gatewayLineFull: {
    number: 70,
    text: "The thread by which the packet came does not keep up with what the node's gateway lets go.",
  },
  gatewayRedirect: {
    number: 71,
    text: "A rule redirects the packet's connection, and it cannot be: no room, another address family than the target's, a datagram in fragments; or the client itself speaks to the target in a way that could not be told from a redirected connection.",
  },
} as const;

export type DropReason = keyof typeof DROP_REASONS;
