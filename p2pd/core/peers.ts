/** The nodes to which there is a tunnel, or to which one is wanted. */
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import type { Endpoint } from './io.ts';
import { PEERS_MAX } from './limits.ts';

export type Peer = {
  readonly id: Id;
  /** As the resource daemon or the peer itself told last. */
  record: NodeRecord;
  /** Where its P2P daemon listens; set exactly while a tunnel is up, whoever holds it. */
  remote: Endpoint | undefined;
  /** Our hold on the tunnel. */
  hold: 'none' | 'asked' | 'held';
  askedAt: Millis;
  /** No new `tunnel.add` before this, after a failure. */
  retryAt: Millis;
  failures: number;
  /** It has spoken as a member of the ring, or a member told so. */
  member: boolean;
  heardAt: Millis;
  /** Questions unanswered since it was heard last. */
  misses: number;
  /** Since when its tunnel is held without being wanted. */
  unwantedAt: Millis | undefined;
  /** Until then the tunnel may be on its way out. */
  lapsesAt: Millis;
};

export class Peers {
  readonly #peers = new Map<Id, Peer>();

  get size(): number {
    return this.#peers.size;
  }

  get(id: Id): Peer | undefined {
    return this.#peers.get(id);
  }

  /** The peer if a tunnel to it is up and not on its way out. */
  up(id: Id, now: Millis): Peer | undefined {
    const peer = this.#peers.get(id);
    return peer?.remote !== undefined && peer.lapsesAt <= now ? peer : undefined;
  }

  all(): IterableIterator<Peer> {
    return this.#peers.values();
  }

  /** The peer of that record, new where unknown; undefined when the table is full. */
  ensure(record: NodeRecord): Peer | undefined {
    const known = this.#peers.get(record.id);
    if (known !== undefined) return known;
    if (this.#peers.size >= PEERS_MAX) return undefined;
    const never = Number.NEGATIVE_INFINITY as Millis;
    const peer: Peer = {
      id: record.id,
      record,
      remote: undefined,
      hold: 'none',
      askedAt: never,
      retryAt: never,
      failures: 0,
      member: false,
      heardAt: never,
      misses: 0,
      unwantedAt: undefined,
      lapsesAt: never,
    };
    this.#peers.set(record.id, peer);
    return peer;
  }

  delete(id: Id): void {
    this.#peers.delete(id);
  }
}
