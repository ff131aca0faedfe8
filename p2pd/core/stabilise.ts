/**
 * Stabilise and rectify, after Zave: ask the first successor for its predecessor and list, adopt, ask a predecessor
 * that lies between, adopt, notify. One question at a time. Beside it news are pushed as an unasked `state`: to the
 * predecessor in a formed ring, so that lists become right within round trips instead of periods; to all members while
 * the ring forms.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import { between, type Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { jittered } from '../../overlay/lib/rng.ts';
import { earlier } from './context.ts';
import type { Message } from './io.ts';
import { GOSSIP_GAP_MS, HEARD_PERIODS, MEMBERS_PER_NOTIFY, STABILISE_GAP_MS } from './limits.ts';
import type { Neighbours } from './neighbours.ts';
import type { Peer } from './peers.ts';
import type { Requests } from './requests.ts';
import { type Ring, readState, type Told } from './ring.ts';

export class Stabiliser {
  readonly #ring: Ring;
  readonly #neighbours: Neighbours;
  readonly #requests: Requests;
  #due: Millis;
  #roundAt: Millis;
  #query: { readonly number: number; readonly peer: Id } | undefined;
  /** A node that may lie between us and our successor, told of by others than the successor. */
  #hint: NodeRecord | undefined;
  #gossipDue: Millis | undefined;
  #gossipAt: Millis;
  #checkDue: Millis;
  /** Who claimed to be our predecessor while the old one is being asked whether it lives. */
  #claimant: NodeRecord | undefined;

  constructor(ring: Ring, neighbours: Neighbours, requests: Requests) {
    this.#ring = ring;
    this.#neighbours = neighbours;
    this.#requests = requests;
    const { now } = ring.ctx;
    this.#due = now;
    this.#roundAt = now;
    this.#gossipAt = now;
    this.#checkDue = now;
  }

  /** Something changed: do the next round as soon as the rate limit allows. */
  urge(): void {
    this.#due = after(this.#roundAt, STABILISE_GAP_MS);
  }

  /** Our pointers changed: tell whom it concerns, as soon as the rate limit allows. */
  urgeGossip(): void {
    this.#gossipDue ??= after(this.#gossipAt, GOSSIP_GAP_MS);
  }

  /** Tells every neighbour that we are a member, and what we know. */
  pushToAll(): void {
    for (const peer of this.#ring.peers.all()) this.push(peer.id);
  }

  hint(record: NodeRecord): void {
    const first = this.#ring.chord.first;
    if (first === undefined || !between(this.#ring.ctx.id, record.id, first.id) || !this.#ring.alive(record)) return;
    this.#hint = record;
    this.#neighbours.want(record);
    this.urge();
  }

  /** A node that was thought dead told what lies behind our id in its ring, which may not be ours. */
  onReunion(found: Message<'found'>): void {
    const { owner, predecessor, successors, formed } = found;
    if (this.#ring.phase === 'formed') {
      if (formed) this.hint(owner);
    } else if (this.#ring.phase === 'forming') {
      const told = { predecessor: predecessor ?? undefined, successors, members: [], formed, near: undefined };
      this.#ring.absorb(owner, told);
      this.urgeGossip();
    }
  }

  tick(): void {
    const { ctx, serving } = this.#ring;
    if (!serving) return;
    if (this.#query === undefined && this.#due <= ctx.now) this.#round();
    if (this.#gossipDue !== undefined && this.#gossipDue <= ctx.now) this.#gossip();
    if (this.#checkDue <= ctx.now) this.#checkPredecessor();
  }

  due(): Millis | undefined {
    if (!this.#ring.serving) return undefined;
    const round = this.#query === undefined ? this.#due : undefined;
    return earlier(earlier(round, this.#gossipDue), this.#checkDue);
  }

  onStateGet(sender: Peer, message: Message<'state.get'>): void {
    if (sender.remote === undefined) return;
    const { ctx, member } = this.#ring;
    // One that leaves is a member until it has told so: to drop it sooner would leave its keys unanswered.
    if (member) ctx.send(sender.remote, { t: 'state', query: message.query, ...this.#ring.describe(sender.id) });
    else ctx.send(sender.remote, { t: 'busy', query: message.query });
  }

  /** An answer to our question, or a push: of the member list, or of a successor that has a new predecessor. */
  onState(sender: Peer, message: Message<'state'>): void {
    const { ctx, serving } = this.#ring;
    if (!serving) return;
    sender.member = true;
    const told = readState(sender.id, message, ctx.r);
    const asked = this.#query?.number === message.query && this.#query.peer === sender.id;
    if (asked) {
      this.#query = undefined;
      this.#requests.answered(message.query, sender.id);
    }
    if (this.#ring.phase === 'forming') {
      this.#absorb(sender, told);
      if (asked) this.#notify(sender);
    } else if (asked) this.#adopt(sender, told);
    else if (sender.id === this.#ring.chord.first?.id) {
      this.#ring.adopt(sender.record, told.successors);
      const candidate = told.near ?? told.predecessor;
      if (candidate !== undefined) this.hint(candidate);
    }
  }

  /** Rectify: the sender believes to be our predecessor. */
  onNotify(sender: Peer, message: Message<'notify'>): void {
    const { ctx, chord, serving } = this.#ring;
    if (!serving || message.record.id !== sender.id || message.record.incarnation !== sender.record.incarnation) {
      return ctx.drop(serving ? 'unexpected' : 'not-member');
    }
    sender.member = true;
    this.#ring.refresh(sender, message.record);
    if (this.#ring.phase === 'forming') {
      const { members, formed } = message;
      this.#ring.absorb(message.record, { predecessor: undefined, successors: [], members, formed, near: undefined });
      return this.urgeGossip();
    }
    if (chord.predecessor?.id === sender.id) return;
    if (chord.isCloser(sender.id)) return this.#replacePredecessor(message.record);
    this.#claimant = message.record;
    this.#pingPredecessor();
  }

  onPing(sender: Peer, message: Message<'ping'>): void {
    if (sender.remote === undefined) return;
    const t = this.#ring.member ? 'pong' : 'busy';
    this.#ring.ctx.send(sender.remote, { t, query: message.query });
  }

  /** The predecessor lives. */
  onPong(): void {
    this.#claimant = undefined;
  }

  /** The node asked is no member (any more). */
  onBusy(sender: Peer, query: number): void {
    if (this.#query?.number === query) this.#query = undefined;
    this.#ring.remove(sender.id);
    this.urge();
  }

  onMiss(query: number): void {
    if (this.#query?.number !== query) return;
    this.#query = undefined;
    this.urge();
  }

  onGone(id: Id): void {
    if (this.#query?.peer === id) this.#query = undefined;
    if (this.#hint?.id === id) this.#hint = undefined;
    const claimant = this.#claimant;
    if (claimant === undefined || this.#ring.chord.predecessor !== undefined) return;
    this.#claimant = undefined;
    if (claimant.id !== id && this.#ring.alive(claimant) && this.#ring.phase === 'formed') {
      this.#replacePredecessor(claimant);
    }
  }

  /** After time without a resource daemon nothing that was asked will be answered. */
  reset(): void {
    this.#query = undefined;
    this.#roundAt = this.#ring.ctx.now;
    this.urge();
  }

  #round(): void {
    const { ctx, chord } = this.#ring;
    this.#roundAt = ctx.now;
    this.#due = after(ctx.now, jittered(ctx.rng, ctx.timers.stabiliseMs));
    if (this.#ring.phase === 'forming') this.urgeGossip();
    const { first } = chord;
    // Without a tunnel to it there is nothing to do but wait: its coming up or failing starts the next round.
    if (first !== undefined) this.#askState(first.id);
  }

  #askState(id: Id): boolean {
    const { ctx } = this.#ring;
    const peer = this.#ring.up(id);
    if (peer?.remote === undefined) return false;
    const number = ctx.query();
    if (!this.#requests.open(number, id, 'stabilise', ctx.now)) return false;
    this.#query = { number, peer: id };
    ctx.send(peer.remote, { t: 'state.get', query: number });
    return true;
  }

  #absorb(sender: Peer, told: Told): void {
    const { formation } = this.#ring;
    const before = formation.size;
    this.#ring.absorb(sender.record, told);
    // Views are taken from `state` only: a notification has room for fewer members.
    if (!told.formed) formation.noteView(sender.id, told.members);
    if (this.#ring.phase === 'forming') this.#ring.tryForm();
    if (this.#ring.phase === 'formed') this.urge();
    if (formation.size !== before) this.urgeGossip();
  }

  /** In a formed ring: what a node told that is, or lies before, our first successor. */
  #adopt(sender: Peer, told: Told): void {
    const { ctx, chord } = this.#ring;
    const { first } = chord;
    if (first === undefined) return;
    if (sender.id !== first.id && !between(ctx.id, sender.id, first.id)) return;
    this.#ring.adopt(sender.record, told.successors);
    const candidate = this.#closest(sender.id, told);
    if (this.#ring.phase === 'formed' && candidate !== undefined) {
      if (this.#askState(candidate.id)) return;
      this.#neighbours.want(candidate);
    }
    this.#notify(sender);
  }

  /** Who may lie between us and our successor, the closest to us. */
  #closest(successor: Id, { predecessor, near }: Told): NodeRecord | undefined {
    let best: NodeRecord | undefined;
    for (const record of [predecessor, near, this.#hint]) {
      if (record === undefined || !between(this.#ring.ctx.id, record.id, best?.id ?? successor)) continue;
      if (this.#ring.alive(record)) best = record;
    }
    if (best === this.#hint) this.#hint = undefined;
    return best;
  }

  #notify(peer: Peer): void {
    const { ctx, phase } = this.#ring;
    if (peer.remote === undefined || this.#ring.chord.first?.id !== peer.id) return;
    const members = phase === 'formed' ? [] : this.#ring.confirmed().slice(0, MEMBERS_PER_NOTIFY);
    ctx.send(peer.remote, { t: 'notify', record: ctx.self, formed: phase === 'formed', members });
  }

  #gossip(): void {
    const { ctx, chord, phase, formation } = this.#ring;
    this.#gossipDue = undefined;
    this.#gossipAt = ctx.now;
    if (phase === 'forming') for (const { id } of formation.others) this.push(id);
    else if (chord.predecessor !== undefined) this.push(chord.predecessor.id);
  }

  /** An unasked `state`: tells a neighbour that we are a member, and what we know. */
  push(id: Id): void {
    const { ctx } = this.#ring;
    const peer = this.#ring.peers.get(id);
    if (peer?.remote !== undefined)
      ctx.send(peer.remote, { t: 'state', query: ctx.query(), ...this.#ring.describe(id) });
  }

  #replacePredecessor(record: NodeRecord): void {
    this.#ring.replacePredecessor(record);
    this.#claimant = undefined;
    // The old predecessor would find its new successor at its next round only, and those who have us for a finger
    // would look for the new node in their next pass only.
    this.pushToAll();
  }

  #checkPredecessor(): void {
    const { ctx, chord } = this.#ring;
    this.#checkDue = after(ctx.now, jittered(ctx.rng, ctx.timers.stabiliseMs));
    if (chord.predecessor !== undefined) this.#pingPredecessor();
  }

  /** Asks the predecessor whether it lives, unless it has just been heard. */
  #pingPredecessor(): void {
    const { ctx, chord } = this.#ring;
    const { predecessor } = chord;
    const peer = predecessor === undefined ? undefined : this.#ring.up(predecessor.id);
    if (peer?.remote === undefined || this.#requests.isOpen(peer.id, 'ping')) return;
    if (ctx.now - peer.heardAt < HEARD_PERIODS * ctx.timers.stabiliseMs) {
      this.#claimant = undefined;
      return;
    }
    const query = ctx.query();
    if (this.#requests.open(query, peer.id, 'ping', ctx.now)) ctx.send(peer.remote, { t: 'ping', query });
  }
}
