/**
 * One ring out of several. What looked like the death of others may have been a network that broke in two; and an
 * overlay manager that lost its memory may have let two nodes found a ring. So the dead are tried again for a while,
 * and from time to time any node that the overlay manager knows is asked where our place in its ring is. Where that is
 * our own ring, the answer is our successor, and nothing follows.
 */
import { distance } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { below, jittered } from '../../overlay/lib/rng.ts';
import type { ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { earlier } from './context.ts';
import { REUNION_MS, REUNION_MS_PER_NODE } from './limits.ts';
import type { Lookup } from './lookup.ts';
import type { Neighbours } from './neighbours.ts';
import type { Peer } from './peers.ts';
import type { Ring } from './ring.ts';
import type { Stabiliser } from './stabilise.ts';

export class Reunion {
  readonly #ring: Ring;
  readonly #neighbours: Neighbours;
  readonly #lookup: Lookup;
  readonly #stabiliser: Stabiliser;
  #due: Millis | undefined;
  /** A node of which it is not known whether it is of our ring. */
  #unknown: bigint | undefined;

  constructor(ring: Ring, neighbours: Neighbours, lookup: Lookup, stabiliser: Stabiliser) {
    this.#ring = ring;
    this.#neighbours = neighbours;
    this.#lookup = lookup;
    this.#stabiliser = stabiliser;
  }

  tick(): void {
    const { ctx, graves, peers, serving } = this.#ring;
    if (!serving) return;
    for (let record = graves.nextKnock(ctx.now); record !== undefined; record = graves.nextKnock(ctx.now)) {
      if (peers.get(record.id)?.remote !== undefined) continue;
      ctx.toRd({ t: 'tunnel.add', key: record.id, contact: record.contact, role: 'answer' });
    }
    this.#due ??= after(ctx.now, this.#pauseMs());
    if (this.#due > ctx.now) return;
    this.#due = after(ctx.now, this.#pauseMs());
    ctx.toRd({ t: 'bootstrap.get' });
  }

  due(): Millis | undefined {
    return this.#ring.serving ? earlier(this.#due, this.#ring.graves.knockDue()) : undefined;
  }

  /** Nodes of the VI, of which ring ever. */
  onBootstrap(message: Extract<ToP2pd, { t: 'bootstrap' }>): void {
    const { ctx, peers, serving, alone } = this.#ring;
    const strangers = message.nodes.filter(({ id }) => id !== ctx.id && peers.get(id)?.member !== true);
    const one = strangers[below(ctx.rng, Math.max(1, strangers.length))];
    if (one === undefined || !serving || alone) return;
    this.#unknown = one.id;
    this.#neighbours.want(one);
    const peer = this.#ring.up(one.id);
    if (peer !== undefined) this.onUp(peer, false);
  }

  /** `wasDead`: it was thought so until now. */
  onUp(peer: Peer, wasDead: boolean): void {
    if (!this.#ring.serving || (!wasDead && peer.id !== this.#unknown)) return;
    this.#unknown = undefined;
    this.#lookup.ask({
      purpose: 'join',
      target: this.#ring.ctx.id,
      via: peer.id,
      done: (outcome) => {
        if ('found' in outcome) this.#stabiliser.onReunion(outcome.found);
      },
    });
  }

  /** The larger the ring, the rarer, so that the overlay manager is asked equally often by all nodes together. */
  #pauseMs(): number {
    const { ctx, chord } = this.#ring;
    const last = chord.successors.at(-1);
    const share = last === undefined ? 1 : Number(distance(ctx.id, last.id)) / 2 ** 64;
    const nodes = chord.successors.length / share;
    return jittered(ctx.rng, Math.max(REUNION_MS, REUNION_MS_PER_NODE * nodes));
  }
}
