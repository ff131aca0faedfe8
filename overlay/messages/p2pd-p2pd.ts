/**
 * What P2P daemons say to each other: datagrams over the VI's own tunnels, extended Chord (paper, section II-C).
 *
 * A datagram to a neighbour goes to the far end of the tunnel to it; answers to `find_successor` come over the tunnel
 * that the node responsible has just made, except for plain lookups, which are answered to the asker's stable address.
 */
import { Type } from '@sinclair/typebox';
import { type Codec, createCodec, type MessageOf } from '../codec.ts';
import { closed, IdField, Incarnation, NodeRecord, Port, RequestId } from '../fields.ts';

/** Largest datagram between P2P daemons, bytes: an IPv6 packet of 1280 less IPv6 and UDP headers. */
export const P2PD_DATAGRAM_BYTES_MAX = 1232;

/** A find_successor that has been forwarded so often is dropped. */
export const HOPS_MAX = 128;

/** Longest successor list, and longest member list of a ring that is still forming. */
export const SUCCESSORS_MAX = 8;

const Hops = Type.Integer({ minimum: 0, maximum: HOPS_MAX });
const Records = Type.Array(NodeRecord, { maxItems: SUCCESSORS_MAX });
const MaybeRecord = Type.Union([NodeRecord, Type.Null()]);

/** Who sends: checked by the receiver against the tunnel by which it came. */
const From = { id: IdField, incarnation: Incarnation };

export const P2PD_P2PD = {
  /**
   * Routed towards the node responsible for `target`. `join` and `finger`: that node asks its resource daemon for a
   * tunnel to `origin`, whose contact it does not read, and answers over it. `lookup`: no tunnel; the answer goes to
   * the origin's stable address and `port`.
   */
  find_successor: closed({
    ...From,
    query: RequestId,
    target: IdField,
    origin: NodeRecord,
    purpose: Type.Union([Type.Literal('join'), Type.Literal('finger'), Type.Literal('lookup')]),
    port: Port,
    hops: Hops,
  }),
  found: closed({
    ...From,
    query: RequestId,
    target: IdField,
    owner: NodeRecord,
    predecessor: MaybeRecord,
    successors: Records,
    formed: Type.Boolean(),
    hops: Hops,
  }),
  /** The question cannot be answered now; ask again later. */
  busy: closed({ ...From, query: RequestId }),

  /** Asks for predecessor and successor list. */
  'state.get': closed({ ...From, query: RequestId }),
  state: closed({
    ...From,
    query: RequestId,
    predecessor: MaybeRecord,
    successors: Records,
    formed: Type.Boolean(),
    /** While the ring is forming: every member known. */
    members: Records,
  }),
  /** The sender believes to be the receiver's predecessor. */
  notify: closed({ ...From, record: NodeRecord, formed: Type.Boolean(), members: Records }),
  ping: closed({ ...From, query: RequestId }),
  pong: closed({ ...From, query: RequestId }),

  /** The sender leaves the ring; what its predecessor and successors should do in its stead. Repeated until answered. */
  leaving: closed({ ...From, query: RequestId, predecessor: MaybeRecord, successors: Records }),
  'leaving.heard': closed({ ...From, query: RequestId }),
} as const;

export type P2pdMessage = MessageOf<typeof P2PD_P2PD>;
export const p2pdCodec: Codec<P2pdMessage> = createCodec(P2PD_P2PD);
