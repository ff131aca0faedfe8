/** The nodes to which there is a tunnel, or to which one is wanted. */
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import type { Endpoint } from './io.ts';
import { PEERS_MAX } from './limits.ts';

export class Peer {
  readonly id: Id;
  /** As the resource daemon or the peer itself told last. */
  record: NodeRecord;
  /** Our hold on the tunnel. */
  hold: 'none' | 'asked' | 'held' = 'none';
  askedAt: Millis = NEVER;
  /** No new `tunnel.add` before this, after a failure. */
  retryAt: Millis = NEVER;
  failures = 0;
  heardAt: Millis = NEVER;
  /** Questions unanswered since it was heard last. */
  misses = 0;
  /** Since when its tunnel is held without being wanted. */
  unwantedAt: Millis | undefined = undefined;
  #remote: Endpoint | undefined;
  #ready = false;
  #member = false;
  #lapsesAt: Millis = NEVER;
  readonly #changed: () => void;

  /** `changed` is told when routes may have to change with this peer. */
  constructor(record: NodeRecord, changed: () => void) {
    this.id = record.id;
    this.record = record;
    this.#changed = changed;
  }

  /** Where its P2P daemon listens; set exactly while a tunnel is up, whoever holds it. */
  get remote(): Endpoint | undefined {
    return this.#remote;
  }

  set remote(remote: Endpoint | undefined) {
    if ((remote === undefined) !== (this.#remote === undefined)) this.#changed();
    this.#remote = remote;
  }

  /** Packets sent through its tunnel arrive, so routes may go there. */
  get ready(): boolean {
    return this.#ready;
  }

  set ready(ready: boolean) {
    if (ready !== this.#ready) this.#changed();
    this.#ready = ready;
  }

  /** It has spoken as a member of the ring, or a member told so. */
  get member(): boolean {
    return this.#member;
  }

  set member(member: boolean) {
    if (member !== this.#member) this.#changed();
    this.#member = member;
  }

  /** Until then the tunnel may be on its way out. */
  get lapsesAt(): Millis {
    return this.#lapsesAt;
  }

  set lapsesAt(lapsesAt: Millis) {
    this.#changed();
    this.#lapsesAt = lapsesAt;
  }
}

const NEVER = Number.NEGATIVE_INFINITY as Millis;

export class Peers {
  readonly #peers = new Map<Id, Peer>();
  /** Counts changes of which tunnels are there, and of who is a member. */
  version = 0;

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
    const peer = new Peer(record, () => {
      this.version++;
    });
    this.#peers.set(record.id, peer);
    this.version++;
    return peer;
  }

  delete(id: Id): void {
    if (this.#peers.delete(id)) this.version++;
  }
}
