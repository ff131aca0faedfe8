/**
 * What the command line asks of the resource daemon, over its control socket, in frames. One question, one answer;
 * `progress` may come before the answer.
 */
import { type Static, Type } from '@sinclair/typebox';
import { type Codec, createCodec, type MessageOf } from '../codec.ts';
import { AddressText, closed, ErrorCodeField, Groups, IdField, Incarnation, Name, Port } from '../fields.ts';
import { GATEWAY_FLOWS_MAX, GatewayFlows, GatewayStatistics, PolicyInForce } from '../gateway-status.ts';
import { LinkShape, TunnelShape } from '../link-shape.ts';
import { Cipher, ViConfig } from '../vi.ts';
import { RingPhase, Route } from './p2pd-rd.ts';

/** Longest piece of a long answer, bytes. */
export const PART_BYTES_MAX = 1024 * 1024;

const Count = Type.Integer({ minimum: 0 });
const Endpoint = closed({ address: AddressText, port: Port });
/** Name or id. */
const MaybeVi = Type.Optional(Name);
/** '' is the daemon's own namespace. */
const MaybeNetns = Type.Optional(Type.String({ maxLength: 64 }));
const Peer = Type.String({ minLength: 1, maxLength: 64 });

/** Whether a tunnel carries user data inside DTLS, and why; cipher and keys where it does. */
export const TunnelSecurity = closed({
  secure: Type.Boolean(),
  why: Type.String({ maxLength: 1024 }),
  /** null: plain, or its association is lost at the moment. */
  cipher: Type.Union([Cipher, Type.Null()]),
  keysAgeMs: Type.Union([Count, Type.Null()]),
  /** Changes of keys since the association began. */
  rekeys: Count,
});
export type TunnelSecurity = Static<typeof TunnelSecurity>;

export const TunnelStatus = closed({
  peer: IdField,
  peerName: Type.String({ maxLength: 32 }),
  peerIpv4: AddressText,
  state: Type.Union([Type.Literal('setting-up'), Type.Literal('up'), Type.Literal('releasing')]),
  /** Base-network endpoint of the peer. */
  endpoint: Type.Union([Endpoint, Type.Null()]),
  local: AddressText,
  remote: AddressText,
  /** null before it has been agreed on. */
  security: Type.Union([TunnelSecurity, Type.Null()]),
  held: Type.Boolean(),
  heldByPeer: Type.Boolean(),
  /** How the ring uses it: successor, predecessor, finger; empty where only the peer needs it. */
  uses: Type.Array(Type.String({ maxLength: 16 }), { maxItems: 8 }),
  rttMs: Type.Union([Type.Number(), Type.Null()]),
  /** Largest inner packet, bytes. */
  mtu: Count,
  /** Quality of service in effect. */
  shape: TunnelShape,
  packetsIn: Count,
  packetsOut: Count,
  bytesIn: Count,
  bytesOut: Count,
  ageMs: Count,
});
export type TunnelStatus = Static<typeof TunnelStatus>;

/** The list of revoked certificates by which a node goes. */
export const RevocationStatus = closed({
  number: Count,
  /** How many certificates are on it. */
  certificates: Count,
  issuedAt: Count,
  /** When the overlay manager last said that it is the current one; null: not since the daemon started. */
  confirmedAt: Type.Union([Count, Type.Null()]),
});
export type RevocationStatus = Static<typeof RevocationStatus>;

export const NodeStatus = closed({
  vi: ViConfig,
  name: Name,
  id: IdField,
  incarnation: Incarnation,
  ipv4: AddressText,
  ipv6: AddressText,
  groups: Groups,
  /** Network namespace; null is the daemon's own. */
  netns: Type.Union([Type.String(), Type.Null()]),
  interface: Type.String(),
  phase: RingPhase,
  predecessor: Type.Union([IdField, Type.Null()]),
  successors: Type.Array(IdField),
  fingers: Type.Array(closed({ bit: Count, node: IdField })),
  p2pdPid: Type.Union([Type.Integer(), Type.Null()]),
  p2pdRestarts: Count,
  generation: Count,
  tunnels: Count,
  /** Of each tunnel that is up. */
  security: Type.Array(
    closed({ peer: IdField, peerName: Type.String({ maxLength: 32 }), ...TunnelSecurity.properties }),
  ),
  /** What stands in the way, one sentence; null where all is well. */
  problem: Type.Union([Type.String(), Type.Null()]),
  certificateExpiresAt: Count,
  /** null: the overlay manager has told of none. */
  revocations: Type.Union([RevocationStatus, Type.Null()]),
  leasedPairs: Count,
});
export type NodeStatus = Static<typeof NodeStatus>;

export const RdStatus = closed({
  pid: Type.Integer(),
  version: Type.String(),
  underlay: Endpoint,
  startedAt: Count,
  nodes: Type.Array(NodeStatus),
  /** Counted drops that are not zero, by reason. */
  drops: Type.Record(Type.String(), Count),
});
export type RdStatus = Static<typeof RdStatus>;

export const TO_CONTROL = {
  status: closed({}),
  join: closed({
    invitation: Type.String({ maxLength: 1024 }),
    name: Type.Optional(Name),
    netns: Type.Optional(Type.String({ maxLength: 64 })),
    groups: Type.Optional(Groups),
  }),
  /** `vi`: name or id. `netns`: '' is the daemon's own namespace; needed where the VI has several nodes here. */
  leave: closed({ vi: Name, netns: Type.Optional(Type.String({ maxLength: 64 })) }),
  tunnels: closed({ vi: MaybeVi, netns: MaybeNetns }),
  routes: closed({ vi: MaybeVi, netns: MaybeNetns }),
  /** The node now responsible for an id. */
  lookup: closed({ vi: MaybeVi, id: IdField }),
  /** Names and addresses of the VI's nodes, from the overlay manager; from tunnels only where it does not answer. */
  nodes: closed({ vi: MaybeVi }),
  /** The latest events in the lives of the nodes here. */
  history: closed({ vi: MaybeVi }),
  /** Quality of service of the tunnels, or of that to one peer: a name, an address, or an id. */
  qos: closed({ vi: MaybeVi, netns: MaybeNetns, peer: Type.Optional(Peer) }),
  /** What is given replaces that direction's shape, until cleared or the daemon restarts. */
  'qos.set': closed({
    vi: MaybeVi,
    netns: MaybeNetns,
    peer: Peer,
    out: Type.Optional(LinkShape),
    in: Type.Optional(LinkShape),
  }),
  /** Back to the VI's definition; without a peer, of all. */
  'qos.clear': closed({ vi: MaybeVi, netns: MaybeNetns, peer: Type.Optional(Peer) }),
  /** What the nodes' management gateways do, with so many of their flows. */
  gateway: closed({ vi: MaybeVi, netns: MaybeNetns, flows: Type.Integer({ minimum: 0, maximum: GATEWAY_FLOWS_MAX }) }),
  /** Whom policies of these nodes can name: asked of the overlay manager, or as far as is known. */
  'gateway.names': closed({ vi: MaybeVi, netns: MaybeNetns }),
  /** They read their policies again; one that cannot be used changes nothing, and is the answer. */
  'gateway.reload': closed({ vi: MaybeVi, netns: MaybeNetns }),
} as const;

const ShapeInEffect = closed({
  shape: Type.Union([LinkShape, Type.Null()]),
  from: Type.Union([Type.Literal('command'), Type.Literal('vi'), Type.Literal('none')]),
});

export const PeerQos = closed({
  peer: IdField,
  peerName: Type.String({ maxLength: 32 }),
  peerIpv4: AddressText,
  /** False for a setting that waits for a tunnel. */
  hasTunnel: Type.Boolean(),
  out: ShapeInEffect,
  in: ShapeInEffect,
});
export type PeerQos = Static<typeof PeerQos>;

/**
 * `started`: the node was brought up. `ring`: its neighbours are others now: predecessor and successors. `peer`: that node
 * introduced itself. `tunnel.down`: the tunnel to it has ended. The others are about the P2P daemon and the overlay manager.
 */
export const HistoryEvent = closed({
  agoMs: Count,
  what: Type.Union([
    Type.Literal('started'),
    Type.Literal('ring'),
    Type.Literal('peer'),
    Type.Literal('tunnel.down'),
    Type.Literal('p2pd.up'),
    Type.Literal('p2pd.down'),
    Type.Literal('manager.up'),
    Type.Literal('manager.down'),
    Type.Literal('left'),
  ]),
  peer: Type.Union([IdField, Type.Null()]),
  neighbours: Type.Array(IdField, { maxItems: 9 }),
});
export type HistoryEvent = Static<typeof HistoryEvent>;
export const NodeHistory = closed({ vi: ViConfig, id: IdField, events: Type.Array(HistoryEvent, { maxItems: 512 }) });
export type NodeHistory = Static<typeof NodeHistory>;

/** Of which node an answer speaks: the name of its VI, and its network namespace; null is the daemon's own. */
const AboutNode = { vi: Name, id: IdField, netns: Type.Union([Type.String(), Type.Null()]) } as const;

const KnownNode = closed({ id: IdField, name: Type.String(), ipv4: AddressText, ipv6: AddressText });

export const FROM_CONTROL = {
  failed: closed({ code: ErrorCodeField, message: Type.String({ maxLength: 1024 }) }),
  progress: closed({ step: Type.String({ maxLength: 256 }) }),
  status: RdStatus,
  /** The node is configured and its P2P daemon runs; it is on the ring where phase says so. */
  joined: closed({ node: NodeStatus }),
  done: closed({}),
  tunnels: closed({ nodes: Type.Array(closed({ ...AboutNode, tunnels: Type.Array(TunnelStatus) })) }),
  routes: closed({ nodes: Type.Array(closed({ ...AboutNode, generation: Count, routes: Type.Array(Route) })) }),
  history: closed({ nodes: Type.Array(NodeHistory) }),
  found: closed({ owner: KnownNode, hops: Count }),
  qos: closed({ nodes: Type.Array(closed({ ...AboutNode, peers: Type.Array(PeerQos) })) }),
  gateway: closed({
    nodes: Type.Array(closed({ ...AboutNode, statistics: GatewayStatistics, ...GatewayFlows.properties })),
  }),
  'gateway.names': closed({
    nodes: Type.Array(
      closed({
        ...AboutNode,
        /** Whether the overlay manager has ever told of all. */
        isListed: Type.Boolean(),
        /** Networks of the VI. */
        prefixes: Type.Array(Type.String({ maxLength: 64 })),
        nodes: Type.Array(
          closed({ name: Type.String(), groups: Type.Array(Type.String()), addresses: Type.Array(AddressText) }),
        ),
      }),
    ),
  }),
  'gateway.reload': closed({ nodes: Type.Array(closed({ ...AboutNode, ...PolicyInForce.properties })) }),
  nodes: closed({ vi: ViConfig, complete: Type.Boolean(), nodes: Type.Array(KnownNode) }),
  /** A piece of an answer that is too long for a frame; the last one has no more after it. */
  part: closed({ bytes: Type.Uint8Array({ minByteLength: 1, maxByteLength: PART_BYTES_MAX }), more: Type.Boolean() }),
} as const;

export type ToControl = MessageOf<typeof TO_CONTROL>;
export type FromControl = MessageOf<typeof FROM_CONTROL>;
export const toControlCodec: Codec<ToControl> = createCodec(TO_CONTROL);
export const fromControlCodec: Codec<FromControl> = createCodec(FROM_CONTROL);
