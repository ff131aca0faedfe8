/**
 * find_successor of others: answered if the target is ours, passed on if not. The answer to a joiner or to one who
 * looks for a finger goes over a tunnel made for it (paper, figure 2).
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import { type Id, inRange } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { HOPS_MAX } from '../../overlay/messages/p2pd-p2pd.ts';
import { earlier } from './context.ts';
import { evictOldest } from './graves.ts';
import type { Message } from './io.ts';
import { ADMISSION_MS, ANSWER_MS, ANSWERS_MAX, RECORDS_PER_FOUND, RELAY_MS, RELAYS_MAX } from './limits.ts';
import type { Neighbours } from './neighbours.ts';
import { nextHop } from './next-hop.ts';
import type { Peer } from './peers.ts';
import type { Ring } from './ring.ts';

type Find = Message<'find_successor'>;

export class Answer {
  readonly #ring: Ring;
  readonly #neighbours: Neighbours;
  /** Questions by origin whose tunnel is being made. */
  readonly #waiting = new Map<Id, { readonly find: Find; readonly until: Millis }>();
  readonly #relays = new Map<number, { readonly peer: Id; readonly until: Millis }>();
  #admission: { readonly id: Id; readonly until: Millis } | undefined;

  constructor(ring: Ring, neighbours: Neighbours) {
    this.#ring = ring;
    this.#neighbours = neighbours;
  }

  /** Questions of others that wait for a tunnel, and those that were passed on. */
  get waiting(): number {
    return this.#waiting.size;
  }

  get relays(): number {
    return this.#relays.size;
  }

  onFind(sender: Peer, find: Find): void {
    const { ctx } = this.#ring;
    if (find.origin.id === ctx.id) return ctx.drop('unexpected');
    if (!this.#ring.member) return this.#busy(sender, find);
    if (find.hops >= HOPS_MAX) return ctx.drop('hops');
    if (find.purpose === 'join' && this.#ring.phase === 'forming') return this.#onJoinWhileForming(sender, find);
    if (this.#isOurs(find)) {
      if (this.#ring.serving) this.#answer(find);
      else this.#busy(sender, find);
    } else this.#pass(sender, find, nextHop(this.#ring, find.target, find.origin.id, sender.id));
  }

  /** `busy` for a question that we passed on goes back the way it came. True if it was one. */
  onBusy(query: number): boolean {
    const relay = this.#relays.get(query);
    if (relay === undefined) return false;
    this.#relays.delete(query);
    const peer = this.#ring.up(relay.peer);
    if (peer?.remote !== undefined) this.#ring.ctx.send(peer.remote, { t: 'busy', query });
    return true;
  }

  onUp(peer: Peer): void {
    const waiting = this.#waiting.get(peer.id);
    if (waiting === undefined || peer.record.incarnation < waiting.find.origin.incarnation) return;
    this.#waiting.delete(peer.id);
    const { find } = waiting;
    if (!this.#ring.serving) return;
    if (this.#ring.phase === 'forming' || this.#isOurs(find)) return this.#found(find, peer);
    // The ring has changed while the tunnel was made.
    this.#pass(peer, find, nextHop(this.#ring, find.target, find.origin.id));
  }

  onFailed(id: Id): void {
    this.#waiting.delete(id);
    if (this.#admission?.id === id) this.#admission = undefined;
  }

  /** A node has become a member: the next joiner may come. */
  admitted(id: Id): void {
    if (this.#admission?.id === id) this.#admission = undefined;
  }

  tick(): void {
    const { now } = this.#ring.ctx;
    for (const [id, waiting] of this.#waiting) if (waiting.until <= now) this.#waiting.delete(id);
    for (const [query, relay] of this.#relays) {
      if (relay.until > now) break;
      this.#relays.delete(query);
    }
  }

  due(): Millis | undefined {
    let due: Millis | undefined;
    for (const waiting of this.#waiting.values()) due = earlier(due, waiting.until);
    for (const relay of this.#relays.values()) return earlier(due, relay.until);
    return due;
  }

  /** While the ring forms one member lets joiners in, one at a time, so that each sees those before it. */
  #onJoinWhileForming(sender: Peer, find: Find): void {
    const { ctx, formation } = this.#ring;
    const { origin } = find;
    const { admitter } = formation;
    if (admitter !== ctx.id && admitter !== origin.id) {
      return this.#pass(sender, find, admitter === sender.id ? undefined : this.#ring.up(admitter));
    }
    const taken = this.#admission !== undefined && this.#admission.until > ctx.now && this.#admission.id !== origin.id;
    if (taken || (formation.full && !formation.has(origin.id))) return this.#busy(sender, find);
    this.#admission = { id: origin.id, until: after(ctx.now, ADMISSION_MS) };
    this.#answer(find);
  }

  #isOurs(find: Find): boolean {
    const own = this.#ring.ownRange();
    // A joiner that we still know as our predecessor has come back: its place is before us again.
    return inRange(own, find.target) || (find.purpose === 'join' && own.after === find.target);
  }

  #pass(sender: Peer, find: Find, hop: Peer | undefined): void {
    const { ctx } = this.#ring;
    if (hop?.remote === undefined) {
      ctx.drop('no-next-hop');
      return this.#busy(sender, find);
    }
    evictOldest(this.#relays, RELAYS_MAX);
    this.#relays.set(find.query, { peer: sender.id, until: after(ctx.now, RELAY_MS) });
    const { query, target, origin, purpose, port } = find;
    ctx.send(hop.remote, { t: 'find_successor', query, target, origin, purpose, port, hops: find.hops + 1 });
  }

  #busy(sender: Peer, find: Find): void {
    if (find.purpose !== 'lookup' && sender.remote !== undefined) {
      this.#ring.ctx.send(sender.remote, { t: 'busy', query: find.query });
    }
  }

  #answer(find: Find): void {
    const { ctx } = this.#ring;
    if (find.purpose === 'lookup') {
      return ctx.send({ address: ctx.addressOf(find.origin.id), port: find.port }, this.#foundFor(find));
    }
    const peer = this.#ring.up(find.origin.id);
    if (peer !== undefined && peer.record.incarnation >= find.origin.incarnation) return this.#found(find, peer);
    if (this.#waiting.size >= ANSWERS_MAX && !this.#waiting.has(find.origin.id)) return ctx.drop('table-full');
    this.#waiting.set(find.origin.id, { find, until: after(ctx.now, ANSWER_MS) });
    this.#neighbours.wantForAnswer(find.origin);
  }

  #found(find: Find, peer: Peer): void {
    if (peer.remote !== undefined) this.#ring.ctx.send(peer.remote, this.#foundFor(find));
  }

  #foundFor(find: Find): Omit<Message<'found'>, 'id' | 'incarnation'> {
    const { chord, ctx, phase } = this.#ring;
    const { query, target, origin } = find;
    const notOrigin = (record: NodeRecord): boolean => record.id !== origin.id;
    const common = { t: 'found', query, target, owner: ctx.self, hops: find.hops } as const;
    if (phase === 'forming') {
      const members = this.#ring
        .confirmed()
        .filter(notOrigin)
        .slice(0, RECORDS_PER_FOUND - 1);
      return { ...common, predecessor: null, successors: members, formed: false };
    }
    const before =
      chord.predecessor !== undefined && notOrigin(chord.predecessor)
        ? chord.predecessor
        : this.#ring.nearestBefore(origin.id);
    const count = Math.min(ctx.r - 1, RECORDS_PER_FOUND - 2);
    const successors = chord.successors.filter(notOrigin).slice(0, count);
    return { ...common, predecessor: before ?? null, successors, formed: true };
  }
}
