/**
 * What a resource daemon asks of the address server for one of its nodes, and the answers: over UDP one message a
 * datagram, over TCP and TLS in frames. Over UDP and TCP each is sealed (address-seal.ts); over TLS the client's
 * certificate says which node asks.
 *
 * A node's requests are numbered by `counter`, and one that is not higher than all before it is answered `stale` and
 * not carried out: so nothing that was recorded, or came late, takes effect. The server forgets the counters when it
 * ends; `epoch` is drawn anew at each of its starts, and a request of another epoch is stale too. `stale` says from
 * where to go on. Whoever gets no answer asks again with a higher counter, which is why every request may be repeated.
 */
import { Type } from '@sinclair/typebox';
import { type Codec, createCodec, type MessageOf } from '../codec.ts';
import { closed, ErrorCodeField } from '../fields.ts';

export const ADDRESS_VERSION = 1;

/** Largest message with its seal, bytes: a datagram of the smallest IPv6 MTU less IPv6 and UDP headers. */
export const ADDRESS_BYTES_MAX = 1232;
/** Pairs that one message may name or ask for, so that it fits into ADDRESS_BYTES_MAX. */
export const ADDRESS_PAIRS_MAX = 128;
/** Pairs of a link pool /8. */
export const PAIRS_END = 2 ** 23;

const Counter = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** 0: the asker does not know it yet. */
const Epoch = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Pairs = Type.Array(Type.Integer({ minimum: 0, maximum: PAIRS_END - 1 }), { maxItems: ADDRESS_PAIRS_MAX });
const Bound = Type.Integer({ minimum: 0, maximum: PAIRS_END });

const Order = {
  version: Type.Integer({ minimum: 0, maximum: 0xffff }),
  epoch: Epoch,
  counter: Counter,
} as const;

export const TO_ADDRESS_SERVER = {
  /** `request`: chosen by the node. The same one again gets what is still leased by it, so a lost answer costs nothing. */
  lease: closed({
    ...Order,
    request: Type.Uint8Array({ minByteLength: 8, maxByteLength: 16 }),
    count: Type.Integer({ minimum: 1, maximum: ADDRESS_PAIRS_MAX }),
  }),
  /** Of the node's pairs in [from, until) these are still wanted: their lease is extended, the others are freed. */
  keep: closed({ ...Order, from: Bound, until: Bound, pairs: Pairs }),
  /** These are not wanted any more. */
  release: closed({ ...Order, pairs: Pairs }),
} as const;

/** Each repeats the counter of the request that it answers. */
export const FROM_ADDRESS_SERVER = {
  /** Leased for LEASE_MS from now; fewer than asked for where the pool has no more. */
  leased: closed({ counter: Counter, pairs: Pairs }),
  /** Those that were named and are on lease, for LEASE_MS from now. */
  kept: closed({ counter: Counter, pairs: Pairs }),
  released: closed({ counter: Counter }),
  /** Not carried out: ask again in this epoch, with a counter above `highest`. */
  stale: closed({ counter: Counter, epoch: Epoch, highest: Counter }),
  refused: closed({ counter: Counter, code: ErrorCodeField }),
} as const;

export type ToAddressServer = MessageOf<typeof TO_ADDRESS_SERVER>;
export type FromAddressServer = MessageOf<typeof FROM_ADDRESS_SERVER>;
export const toAddressServerCodec: Codec<ToAddressServer> = createCodec(TO_ADDRESS_SERVER);
export const fromAddressServerCodec: Codec<FromAddressServer> = createCodec(FROM_ADDRESS_SERVER);
