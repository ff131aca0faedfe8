/**
 * What resource daemons say to each other, always inside a mutually authenticated DTLS association: tunnel set-up
 * (con_req, con_resp, con_ack) and release. Keep-alives and path probes are the data plane's own.
 *
 * An association proves which daemon (which key) is at the other end; the certificate in con_req and con_resp proves
 * which virtual node that daemon speaks for: it must name that node and carry the same key.
 */
import { Type } from '@sinclair/typebox';
import { type Codec, createCodec, type MessageOf } from '../codec.ts';
import { Contact, closed, ErrorCodeField, Groups, IdField, Incarnation, Port, RequestId, ViId } from '../fields.ts';

export const RD_RD_VERSION = 3;

/** Largest control message, bytes. */
export const RD_RD_BYTES_MAX = 1100;

/** One end of a tunnel as it introduces itself. */
const End = closed({
  node: IdField,
  incarnation: Incarnation,
  contact: Contact,
  /** UDP port of its P2P daemon inside the VI. */
  p2pdPort: Port,
  /** As its certificate has them; null where the list does not fit beside the certificate, which then tells. */
  groups: Type.Union([Groups, Type.Null()]),
  /** X.509, DER, issued by the VI's overlay manager. */
  certificate: Type.Uint8Array({ minByteLength: 64, maxByteLength: 800 }),
});

/**
 * The link pair of a tunnel: the even address of the pair belongs to the end with the lower id. `null` where the VI is
 * unnumbered.
 */
const Pair = Type.Union([Type.Integer({ minimum: 0, maximum: 0x7fff_ffff }), Type.Null()]);

export const RD_RD = {
  /** Asks for a tunnel, or takes a hold of the one that exists. Repeated until answered; the same answer each time. */
  con_req: closed({
    version: Type.Integer({ minimum: 0, maximum: 0xffff }),
    request: RequestId,
    vi: ViId,
    to: IdField,
    from: End,
    pair: Pair,
    /** Whether the asker wants user data inside the association whatever the groups say. */
    secure: Type.Boolean(),
  }),
  con_resp: closed({
    request: RequestId,
    vi: ViId,
    to: IdField,
    from: End,
    /** The pair in effect; not the one asked for where the responder had one already. */
    pair: Pair,
    /** Whether user data of the tunnel goes inside the association: what both ends demand and both certificates give. */
    secure: Type.Boolean(),
    /** Whether the responder's P2P daemon holds the tunnel too. */
    held: Type.Boolean(),
  }),
  /**
   * The asker has the tunnel too, so the responder may send packets through it. Not repeated: without it the responder
   * takes the tunnel for ready after a while.
   */
  con_ack: closed({ request: RequestId, vi: ViId, from: IdField, to: IdField }),
  con_refused: closed({ request: RequestId, vi: ViId, from: IdField, to: IdField, code: ErrorCodeField }),
  /** The sender holds the tunnel no more. Repeated until answered. */
  release: closed({ request: RequestId, vi: ViId, from: IdField, to: IdField, incarnation: Incarnation }),
  /** `gone`: the receiver of the release did not hold it either, and the tunnel has been removed. */
  released: closed({ request: RequestId, vi: ViId, from: IdField, to: IdField, gone: Type.Boolean() }),
} as const;

export type RdMessage = MessageOf<typeof RD_RD>;
export const rdCodec: Codec<RdMessage> = createCodec(RD_RD);
