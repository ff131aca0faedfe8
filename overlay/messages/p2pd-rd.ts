/**
 * The P2PD–RD protocol (paper, sections II-B and II-C): a P2P daemon decides which tunnels exist and which way packets
 * go, its resource daemon makes it so. Over a Unix stream socket, in frames.
 *
 * Everything a P2P daemon asks for is idempotent: after a reconnect it repeats what it wants, and the resource daemon
 * sweeps what was not named by the first `routes.commit`.
 */
import { Type } from '@sinclair/typebox';
import { type Codec, createCodec, type MessageOf } from '../codec.ts';
import {
  AddressText,
  Contact,
  closed,
  ErrorCodeField,
  IdField,
  Incarnation,
  NodeRecord,
  Port,
  RequestId,
} from '../fields.ts';
import { ViConfig } from '../vi.ts';

export const P2PD_RD_VERSION = 3;

/** Counts committed sets of routes; 0 before the first. */
const Generation = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Where the P2P daemon at one end of a tunnel listens inside the VI. */
export const VirtualEnd = closed({ address: AddressText, port: Port });

/** Why the tunnel is asked for. `neighbour`: it is wanted until released. `answer`: the peer asked for it through
 * find_successor and will take hold of it itself; the resource daemon releases our hold after ANSWER_HOLD_MS. */
export const TunnelRole = Type.Union([Type.Literal('neighbour'), Type.Literal('answer')]);
export const ANSWER_HOLD_MS = 10_000;

/**
 * A tunnel as the P2P daemon sees it. It exists while either end holds it: `held` says whether we do. One that only
 * the peer holds is usable, and goes when the peer releases it. `ready`: the peer's resource daemon has it too, so that
 * packets arrive; before that nothing is to be routed through it.
 */
export const Tunnel = closed({
  key: IdField,
  peer: NodeRecord,
  local: VirtualEnd,
  remote: VirtualEnd,
  held: Type.Boolean(),
  ready: Type.Boolean(),
});

/** (after, until] goes into the tunnel with that key; to === the node's own id delivers locally. */
export const Route = closed({ after: IdField, until: IdField, to: IdField });

export const RingPhase = Type.Union([
  Type.Literal('starting'),
  Type.Literal('joining'),
  Type.Literal('forming'),
  Type.Literal('formed'),
  Type.Literal('leaving'),
  Type.Literal('left'),
]);

export const Finger = closed({ bit: Type.Integer({ minimum: 0, maximum: 63 }), node: IdField });

/** What the P2P daemon knows of the ring, for `status` and `ring`. */
export const RingReport = closed({
  phase: RingPhase,
  predecessor: Type.Union([IdField, Type.Null()]),
  successors: Type.Array(IdField, { maxItems: 8 }),
  fingers: Type.Array(Finger, { maxItems: 64 }),
});

export const TunnelDownReason = Type.Union([
  /** The peer's resource daemon is silent or said goodbye. */
  Type.Literal('peer-dead'),
  /** The last hold was released. */
  Type.Literal('released'),
  Type.Literal('failed'),
]);

/** P2P daemon to resource daemon. */
export const TO_RD = {
  hello: closed({
    version: Type.Integer({ minimum: 0, maximum: 0xffff }),
    vi: Type.String({ maxLength: 32 }),
    node: IdField,
    /** Fresh for each start of the P2P daemon. */
    instance: IdField,
    generation: Generation,
  }),
  'contact.get': closed({ request: RequestId }),
  /** Key: the id of the node to which the tunnel shall lead. Answered by `tunnel.up` or `failed`, however often asked. */
  'tunnel.add': closed({ key: IdField, contact: Contact, role: TunnelRole }),
  /** Drops our hold. */
  'tunnel.release': closed({ key: IdField }),
  'route.add': Route,
  'route.delete': closed({ after: IdField, until: IdField }),
  /** Puts the staged routes into effect together. `count`: how many routes there must be then. */
  'routes.commit': closed({ generation: Generation, count: Type.Integer({ minimum: 0, maximum: 4096 }) }),
  /**
   * Measure the base network's path to a peer: by the key of the tunnel to it, or by its contact where there is none.
   * `bandwidth` includes the round-trip time. Answered by `measured`, from memory where it was measured lately.
   */
  measure: closed({
    request: RequestId,
    target: Type.Union([closed({ key: IdField }), closed({ contact: Contact })]),
    what: Type.Union([Type.Literal('rtt'), Type.Literal('bandwidth')]),
  }),
  'ring.report': RingReport,
  /** Other nodes to try when none of the known ones answers. Answered by `bootstrap`. */
  'bootstrap.get': closed({}),
  /** The answer to `lookup`. */
  'lookup.answer': closed({
    request: RequestId,
    owner: Type.Union([IdField, Type.Null()]),
    hops: Type.Integer({ minimum: 0, maximum: 255 }),
    error: Type.Optional(ErrorCodeField),
  }),
  /** The daemon has handed over and wants nothing any more. */
  left: closed({}),
} as const;

/** Resource daemon to P2P daemon. */
export const TO_P2PD = {
  /** Answers `hello`: everything a P2P daemon needs, and all that is in place from its previous life. */
  welcome: closed({
    version: Type.Integer({ minimum: 0, maximum: 0xffff }),
    vi: ViConfig,
    node: NodeRecord,
    /** UDP port to listen on inside the VI. */
    port: Port,
    generation: Generation,
    tunnels: Type.Array(Tunnel, { maxItems: 4096 }),
    routes: Type.Array(Route, { maxItems: 4096 }),
  }),
  /** The resource daemon cannot serve this daemon, and closes. */
  refused: closed({ code: ErrorCodeField, message: Type.String({ maxLength: 512 }) }),
  contact: closed({ request: RequestId, contact: Contact, incarnation: Incarnation }),
  /** Answers `tunnel.add`; unasked when the peer made the tunnel or came back as a new incarnation. */
  'tunnel.up': closed({ tunnel: Tunnel }),
  failed: closed({ key: IdField, code: ErrorCodeField }),
  'tunnel.down': closed({ key: IdField, reason: TunnelDownReason }),
  'routes.committed': closed({ generation: Generation }),
  /** The commit was refused and the staged routes forgotten: stage all of them again. */
  'routes.refused': closed({ generation: Generation, code: ErrorCodeField }),
  measured: closed({
    request: RequestId,
    rttMs: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
    /** Estimated capacity of the narrowest link on the way there, at most 1e10; null where it was not asked for. */
    bitsPerSecond: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
    /** Why what was asked for is null. */
    error: Type.Optional(ErrorCodeField),
  }),
  /**
   * Nodes to join by, best first. `found`: nobody else is there, make a ring of one. Neither nodes nor `found`: ask
   * again later.
   */
  bootstrap: closed({ nodes: Type.Array(NodeRecord, { maxItems: 16 }), found: Type.Boolean() }),
  /** Find the node now responsible for an id. Answered by `lookup.answer`. */
  lookup: closed({ request: RequestId, id: IdField }),
  /** Leave the ring: hand over, then say `left`. */
  leave: closed({}),
} as const;

export type ToRd = MessageOf<typeof TO_RD>;
export type ToP2pd = MessageOf<typeof TO_P2PD>;
export type RdTunnel = (ToP2pd & { t: 'tunnel.up' })['tunnel'];
export type RdRoute = Omit<ToRd & { t: 'route.add' }, 't'>;
export type RingReportMessage = Omit<ToRd & { t: 'ring.report' }, 't'>;

export const toRdCodec: Codec<ToRd> = createCodec(TO_RD);
export const toP2pdCodec: Codec<ToP2pd> = createCodec(TO_P2PD);
