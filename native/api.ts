/**
 * What the resource daemon may ask of the data plane, and what it hears back.
 *
 * JavaScript validates and words errors; the native side checks again and answers with codes. No call here happens per
 * packet. Handles are small integers owned by the data plane that issued them and die with it.
 */
import type { GatewayFlows, GatewayStatistics } from '../overlay/gateway-status.ts';
import type { Result } from '../overlay/lib/result.ts';
import type { GatewayRules, GatewayServices } from './gateway.ts';
import type { DropReason } from './reasons.ts';

export const CIPHERS = ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305'] as const;
export const RECEIVE_PATHS = ['direct', 'queue', 'aio', 'uring'] as const;

/** A numeric IPv4 or IPv6 address of the base network, and a UDP port. */
export type Endpoint = { readonly address: string; readonly port: number };

/** A virtual node's presence in the data plane: one TAP, one forwarding image. */
export type NodeHandle = number & { readonly __brand: 'NodeHandle' };
/** One tunnel of one virtual node to one peer virtual node. */
export type TunnelHandle = number & { readonly __brand: 'TunnelHandle' };
/** One DTLS association between this resource daemon and the one at a base-network endpoint. */
export type AssociationHandle = number & { readonly __brand: 'AssociationHandle' };

export type NodeOptions = {
  /** Interface name, at most 15 bytes, unused in the namespace of the calling process; the device is created there. */
  readonly tapName: string;
  /** Largest inner IP packet, bytes, 1280..9000. */
  readonly mtu: number;
  /** Place on the identifier circle; also the low 64 bits of the stable IPv6 address. */
  readonly id: bigint;
  /** Appended to an IPv4 address before hashing (decision 3). */
  readonly viId: string;
  /** 24-bit VXLAN network identifier. */
  readonly vni: number;
  /** Six bytes; the TAP's MAC address and the inner source MAC of this node's frames. */
  readonly mac: Uint8Array;
  /** Stable virtual IPv4 address. Source of the ICMP errors this node sends. */
  readonly ipv4: string;
  /** Stable virtual IPv6 address. Source of the ICMPv6 errors this node sends. */
  readonly ipv6: string;
  readonly sources: SourcePlan;
};

/**
 * The VI's address plan, for the life of the node: whatever arrives by a tunnel with another source is dropped. At most
 * 16 prefixes of each kind, in CIDR notation.
 */
export type SourcePlan = {
  /** Of stable addresses and keys: their packets come by any tunnel. */
  readonly prefixes: readonly string[];
  /** Of link addresses: accepted only by the tunnel to which the published image has an exact entry for the address. */
  readonly linkPrefixes: readonly string[];
};

export type TunnelOptions = {
  readonly node: NodeHandle;
  readonly peer: Endpoint;
  /** Inner destination MAC towards the peer; frames arriving with another source MAC are not this tunnel's. */
  readonly peerMac: Uint8Array;
  /**
   * Present: the tunnel is secure, its packets travel inside records of this association and nowhere else; while that has
   * no keys they are dropped. Absent: plain.
   */
  readonly association?: AssociationHandle;
};

/** Quality of service, or emulation, of one direction of a tunnel. What is absent has no effect. */
export type LinkShape = {
  /** Of inner IP packets, 8000..1e11. */
  readonly rateBitsPerSecond?: number;
  /** May pass at once after a pause, 1500..1e9; 10 ms of the rate and at least 15000 if absent. */
  readonly burstBytes?: number;
  /** May wait for the rate, 1500..1e9; more is dropped; 100 ms of the rate and at least 30000 if absent. */
  readonly queueBytes?: number;
  /** Added, 0..10000, fractions allowed. */
  readonly delayMs?: number;
  /** The delay varies evenly by so much, up and down; at most the delay. Keeps the packets' order. */
  readonly jitterMs?: number;
  /** Share of packets lost, 0..1. */
  readonly loss?: number;
  /** Share of packets that skip the delay, 0..1. */
  readonly reorder?: number;
};

export type TunnelShape = { readonly out: LinkShape | null; readonly in: LinkShape | null };

/**
 * Where a packet goes. `ring`: look the destination up on the identifier circle (its low 64 bits for IPv6, SHA-256 of
 * address and VI for IPv4). `local`: to the TAP; in a range, TCP connections that this node does not know go on by
 * `former`, the tunnel to the node whose the range was before. `unreachable`: answered with an ICMP error.
 */
export type NextHop =
  | { readonly kind: 'tunnel'; readonly tunnel: TunnelHandle }
  | { readonly kind: 'local'; readonly former?: TunnelHandle }
  | { readonly kind: 'unreachable' };

export type PrefixHop = NextHop | { readonly kind: 'ring' };

/** An immutable table, swapped whole. Lookup: exact, else longest prefix, else `unreachable`. */
export type ForwardingImage = {
  readonly generation: number;
  readonly exact: readonly { readonly address: string; readonly nextHop: NextHop }[];
  /** CIDR notation. */
  readonly prefixes: readonly { readonly prefix: string; readonly nextHop: PrefixHop }[];
  /**
   * The whole circle, sorted by `until` ascending. Entry i covers (entry i-1's until, entry i's until]; the first one
   * also covers what lies after the last. Empty: every ring lookup is unreachable.
   */
  readonly ranges: readonly { readonly until: bigint; readonly nextHop: NextHop }[];
};

/** Certificate chain and key under which this daemon answers and starts DTLS handshakes for one VI. */
export type Credential = {
  /** Server name a client sends to reach this VI here, and that we send to reach it elsewhere. */
  readonly serverName: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Issuer that peers must have. */
  readonly caPem: string;
  /** Offered and accepted in handshakes, best first; at least one. */
  readonly ciphers: readonly Cipher[];
  /** Associations begun under this credential change their keys at least so often, seconds, 10..3600. */
  readonly rekeySeconds: number;
  /** X.509 revocation list of the issuer; handshakes with a certificate on it are refused. Null where there is none. */
  readonly crlPem: string | null;
};

export type Cipher = (typeof CIPHERS)[number];

export type NativeEvent =
  | {
      readonly type: 'association.up';
      readonly association: AssociationHandle;
      readonly peer: Endpoint;
      readonly role: 'client' | 'server';
      readonly serverName: string;
      /** DER. Its chain has been verified against the credential's issuer; its names have not been looked at. */
      readonly peerCertificate: Uint8Array;
    }
  | {
      readonly type: 'association.down';
      readonly association: AssociationHandle;
      readonly peer: Endpoint;
      readonly reason: AssociationDownReason;
    }
  /** The peer goes on from another address; keys and identity are the same. Its tunnels are the listener's to change. */
  | { readonly type: 'association.moved'; readonly association: AssociationHandle; readonly peer: Endpoint }
  /** Largest UDP payload that reaches the peer in one piece, bytes. Sent when first known and when it changes. */
  | { readonly type: 'association.mtu'; readonly association: AssociationHandle; readonly payloadBytesMax: number }
  /** What `measure` found; null: no answers, or too few. Not told where the association ends before. */
  | {
      readonly type: 'association.measured';
      readonly association: AssociationHandle;
      readonly rttMs: number | null;
      readonly bitsPerSecond: number | null;
    }
  | { readonly type: 'control'; readonly association: AssociationHandle; readonly message: Uint8Array }
  /** The kernel removed or broke a TAP; the node forwards no more until it is reopened. */
  | { readonly type: 'node.failed'; readonly node: NodeHandle; readonly errno: number };

export type AssociationDownReason =
  /** Closed by closeAssociation or close. */
  | 'closed'
  /** The peer said goodbye. */
  | 'peer-closed'
  /** Keep-alives went unanswered. */
  | 'peer-silent'
  /** No handshake within the limit. */
  | 'handshake-timeout'
  /**
   * Wrong certificate, wrong version, no credential, protocol error. Where the peer says so, which others can do in its
   * name, the handshake is given 2 s more to succeed nevertheless.
   */
  | 'handshake-refused'
  /** A newer one with the same endpoint took its place, or there were too many with the same certificate's key. */
  | 'replaced'
  /** The peer's certificate ran out, or the keys did and could not be changed. */
  | 'expired';

/**
 * Inner IP packets, and their bytes without the Ethernet header. Out are those that have left; what was dropped instead,
 * for want of keys or because the base network refused it, is counted under its reason alone.
 */
export type TunnelCounters = {
  readonly tunnel: TunnelHandle;
  readonly packetsOut: bigint;
  readonly bytesOut: bigint;
  readonly packetsIn: bigint;
  readonly bytesIn: bigint;
};

export type Counters = {
  /** Every reason, zero included. */
  readonly drops: Readonly<Record<DropReason, bigint>>;
  readonly tunnels: readonly TunnelCounters[];
  readonly nodes: readonly {
    readonly node: NodeHandle;
    readonly generation: number;
    readonly packetsFromTap: bigint;
    readonly packetsToTap: bigint;
    readonly packetsTransit: bigint;
    /** Of TCP connections that stay here although their key's range has moved. */
    readonly packetsPinned: bigint;
    readonly icmpErrorsSent: bigint;
  }[];
  readonly associations: readonly {
    readonly association: AssociationHandle;
    readonly peer: Endpoint;
    readonly state: 'handshaking' | 'up';
    /** Smoothed round-trip time of keep-alives, milliseconds; null before the first answer. */
    readonly rttMs: number | null;
    readonly payloadBytesMax: number;
    /** Null while handshaking. */
    readonly cipher: Cipher | null;
    /** Since the present keys were made, milliseconds; null while handshaking. */
    readonly keysAgeMs: number | null;
    /** How often keys have been changed. */
    readonly rekeys: number;
  }[];
};

export type DataPlaneOptions = {
  /** Keep-alive period on an idle association, milliseconds, 50..60000. */
  readonly keepAliveMs: number;
  /** How long a peer may be silent before its association is declared dead, milliseconds; at least 3 periods. */
  readonly silenceMs: number;
  /** How packets get from the base network to the TAPs; `uring`, which measured best, if absent. */
  readonly receive?: ReceivePath;
};

/**
 * `direct`: the reader of the UDP socket writes the TAP. `queue`: a second thread does, behind a ring. `aio`: POSIX
 * asynchronous writes. `uring`: io_uring.
 */
export type ReceivePath = (typeof RECEIVE_PATHS)[number];

export interface DataPlane {
  /** Binds the one UDP socket; dual-stack where the address is `::`. Port 0 picks one. Once per data plane. */
  bind(endpoint: Endpoint): Result<Endpoint>;

  /** Set again, it replaces the one of that server name; associations that are up stay. */
  setCredential(credential: Credential): Result<void>;
  removeCredential(serverName: string): void;

  /** Creates the TAP (down, without addresses) and its threads. Packets are dropped until an image is published. */
  openNode(options: NodeOptions): Result<NodeHandle>;
  /** Removes the TAP, its tunnels and its threads. */
  closeNode(node: NodeHandle): void;

  addTunnel(options: TunnelOptions): Result<TunnelHandle>;
  /** Peer moved, or its path changed. `payloadBytesMax`: largest UDP payload towards it, bytes. */
  updateTunnel(
    tunnel: TunnelHandle,
    change: {
      readonly peer?: Endpoint;
      readonly payloadBytesMax?: number;
      /** Null: plain from now on. */
      readonly association?: AssociationHandle | null;
      readonly shape?: TunnelShape;
    },
  ): Result<void>;
  /** Routes that still name it drop with reason `tunnelGone`: publish first, then remove. */
  removeTunnel(tunnel: TunnelHandle): void;

  /** Replaces the node's table. Packets see the old one or the new one, never a mixture. */
  publish(node: NodeHandle, image: ForwardingImage): Result<void>;
  /** What the published table would do with a packet to this address. For operators and tests. */
  lookup(node: NodeHandle, address: string): Result<NextHop>;

  /**
   * From now on the node's traffic passes a management gateway, but for what its P2P daemon says by that UDP port (0:
   * unknown). CONFLICT where it has one, SYSTEM where a directory or the scanner's address is of no use, BAD_CONFIG for rules
   * that are not.
   */
  setGateway(node: NodeHandle, services: GatewayServices, rules: GatewayRules, daemonPort: number): Result<void>;
  /** Other rules; no packet and no flow is lost. Where something is wrong with them, nothing changes. */
  useGatewayRules(node: NodeHandle, rules: GatewayRules): Result<void>;
  /** Other addresses in sets of the policy in force, as gateway/core writes them; likewise. */
  useGatewaySets(node: NodeHandle, sets: Uint8Array): Result<void>;
  /** What waits in it is dropped, its flows end. Returns when everything is recorded; closeNode does so, too. */
  removeGateway(node: NodeHandle): void;
  /** NOT_FOUND where the node has none. */
  gatewayStatistics(node: NodeHandle): Result<GatewayStatistics>;
  gatewayFlows(node: NodeHandle, most: number): Result<GatewayFlows>;

  /**
   * Starts, or returns, the association with the daemon at `peer`. Up or failed is told by an event. One association
   * per endpoint: when both ends start at once, both agree on one and each hears of exactly one.
   */
  associate(peer: Endpoint, serverName: string): Result<AssociationHandle>;
  /** Sends one control message inside DTLS; unreliable, unordered. At most 1100 bytes. First byte 0x80 or above. */
  send(association: AssociationHandle, message: Uint8Array): Result<void>;
  /**
   * Measures the path by keep-alives: the least round-trip time of four, milliseconds; with `capacity` also an estimate of
   * its bits per second by three trains of 16 full datagrams, up to 1e10: about what the narrowest link carries, less
   * where a processor is slower than that. One at a time for each association; told by `association.measured` within 3 s.
   */
  measure(association: AssociationHandle, capacity: boolean): Result<void>;
  closeAssociation(association: AssociationHandle): void;

  /** One doorbell: called with all events since the last call, on the JavaScript thread. Set before `bind`. */
  onEvents(listener: (events: readonly NativeEvent[]) => void): void;

  counters(): Counters;

  /** Sends close-notify to all peers, stops all threads, removes all TAPs. The object is unusable afterwards. */
  close(): void;
}

/** Process, user and group at the other end of a connected Unix socket (SO_PEERCRED). */
export type PeerCredentials = { readonly pid: number; readonly uid: number; readonly gid: number };
