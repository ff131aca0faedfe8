/**
 * What a node knows of the ring, and the events that change it: Chord's pointers, the member list of a ring that is
 * still forming, and who is dead.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import { between, distance, type Id, type IdRange } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { SUCCESSORS_MAX } from '../../overlay/messages/p2pd-p2pd.ts';
import type { RingReportMessage } from '../../overlay/messages/p2pd-rd.ts';
import { Chord, sortOut } from './chord.ts';
import type { Context } from './context.ts';
import { Formation } from './formation.ts';
import { type Cause, Graves } from './graves.ts';
import type { Message } from './io.ts';
import { FORMER_PERIODS, RECORDS_PER_STATE } from './limits.ts';
import { type Peer, Peers } from './peers.ts';

export type Phase = RingReportMessage['phase'];

/** A neighbour's state as it told it, the same for forming and formed rings. */
export type Told = {
  readonly predecessor: NodeRecord | undefined;
  readonly successors: readonly NodeRecord[];
  readonly members: readonly NodeRecord[];
  readonly formed: boolean;
  /** In a formed ring: a member that lies between us and the teller, as near to us as the teller knows one. */
  readonly near: NodeRecord | undefined;
};

export class Ring {
  readonly ctx: Context;
  readonly chord: Chord;
  readonly formation: Formation;
  readonly peers: Peers = new Peers();
  readonly graves: Graves;
  phase: Phase = 'starting';
  readonly #gone: (id: Id) => void;
  #formersUntil: Millis | undefined;

  /** `gone` is told of every node that is taken out of the ring's state. */
  constructor(ctx: Context, gone: (id: Id) => void) {
    this.ctx = ctx;
    this.graves = new Graves(ctx.rng);
    this.chord = new Chord(ctx.id, ctx.r);
    this.formation = new Formation(ctx.id, ctx.r);
    this.#gone = gone;
  }

  /** A member that answers for its range. */
  get serving(): boolean {
    return this.phase === 'forming' || this.phase === 'formed';
  }

  /** One that has routes. */
  get member(): boolean {
    return this.serving || this.phase === 'leaving';
  }

  /** Another number whenever something has changed that routes and tunnels depend on, time aside. */
  get version(): number {
    const { chord, formation, graves, peers } = this;
    return chord.version + chord.details + formation.version + graves.version + peers.version;
  }

  get alone(): boolean {
    return this.chord.first === undefined;
  }

  alive(record: { readonly id: Id; readonly incarnation: number }): boolean {
    return !this.graves.has(record, this.ctx.now);
  }

  up(id: Id): Peer | undefined {
    return this.peers.up(id, this.ctx.now);
  }

  isMember(peer: Peer): boolean {
    return (peer.member || this.chord.has(peer.id) || this.formation.has(peer.id)) && this.alive(peer.record);
  }

  /** The keys this node answers for. A node alone answers for all. */
  ownRange(): IdRange {
    const { chord, ctx } = this;
    if (chord.predecessor !== undefined) return { after: chord.predecessor.id, until: ctx.id };
    // The predecessor died or has not spoken yet. Waiting for it would leave its keys unanswered, so the nearest member
    // before us that is known stands in; it is the true one as long as its successor list reaches us.
    const nearest = this.nearestBefore()?.id;
    const assumed = chord.assumed;
    const start =
      assumed === undefined || (nearest !== undefined && between(assumed, nearest, ctx.id)) ? nearest : assumed;
    return { after: start ?? chord.successors.at(-1)?.id ?? ctx.id, until: ctx.id };
  }

  /** The member with a tunnel that is nearest before us on the circle. */
  nearestBefore(except?: Id): NodeRecord | undefined {
    let best: Peer | undefined;
    for (const peer of this.peers.all()) {
      if (peer.remote === undefined || peer.id === except || !this.isMember(peer)) continue;
      if (best === undefined || between(best.id, peer.id, this.ctx.id)) best = peer;
    }
    return best?.record;
  }

  /** Adopts the list of `head`, our first successor from now on. */
  adopt(head: NodeRecord, list: readonly NodeRecord[]): void {
    const { list: rest, wrapped } = sortOut(this.ctx.id, head.id, list, (record) => this.alive(record));
    if (this.phase === 'formed' && wrapped && 1 + rest.length < this.ctx.r) return this.#shrink([head, ...rest]);
    this.chord.adopt(head, rest);
  }

  /** A nearer predecessor; the old one may not know of it yet. */
  replacePredecessor(record: NodeRecord): void {
    const { ctx, chord } = this;
    const known = chord.predecessor === undefined ? chord.assumed : chord.predecessor.id;
    const { after: last } = this.ownRange();
    chord.replacePredecessor(record, known === undefined || known === last ? [last] : [known, last]);
    this.#formersUntil = after(ctx.now, FORMER_PERIODS * ctx.timers.stabiliseMs);
  }

  /** Stretches before our own range that former predecessors may still send here, in order, and whose they are. */
  backRanges(): IdRange[] {
    const { assumed, formers, predecessor } = this.chord;
    const last = this.ownRange().after;
    if (predecessor === undefined) {
      return assumed === undefined || assumed === last ? [] : [{ after: assumed, until: last }];
    }
    const ends = [...formers, last];
    return formers.map((former, i) => ({ after: former, until: ends[i + 1] as Id }));
  }

  tick(): void {
    if (this.#formersUntil === undefined || this.#formersUntil > this.ctx.now) return;
    this.#formersUntil = undefined;
    this.chord.forgetFormers();
  }

  due(): Millis | undefined {
    return this.#formersUntil;
  }

  /**
   * The members of a forming ring to whom we have a tunnel. Others are told of these only: one that has died would be told
   * from node to node for ever, each learning it anew from those that had not forgotten it yet.
   */
  confirmed(): NodeRecord[] {
    return this.formation.others.filter(({ id }) => this.peers.get(id)?.remote !== undefined);
  }

  /** Takes in what a member told, while this node has its pointers from the member list. */
  absorb(teller: NodeRecord, told: Told): void {
    const records = [teller, ...told.members, ...told.successors];
    if (told.predecessor !== undefined) records.push(told.predecessor);
    const changed = this.formation.merge(records.filter((record) => this.alive(record)));
    if (changed) this.#place();
    if (this.formation.full && (told.formed || this.formation.overfull)) this.#form();
  }

  /** Ends the forming if everybody agrees. */
  tryForm(): void {
    if (this.phase === 'forming' && this.formation.agreed(this.chord.successors)) this.#form();
  }

  /** Becomes a member with the pointers and members gathered while joining. */
  enter(formed: boolean): void {
    this.phase = formed ? 'formed' : 'forming';
    this.formation.formed = formed;
    if (!formed) this.#place();
    if (this.alone) this.#beAlone();
  }

  /** Takes a node out of everything; nothing keeps it from coming back. */
  remove(id: Id): void {
    this.chord.remove(id);
    const wasMember = this.formation.remove(id);
    const peer = this.peers.get(id);
    if (peer !== undefined) peer.member = false;
    this.#gone(id);
    if (this.phase === 'forming' && wasMember) this.#place();
    if (this.serving && this.alone) this.#recover();
  }

  bury(record: NodeRecord, cause: Cause): void {
    this.graves.bury(record, cause, this.ctx.now);
    this.remove(record.id);
  }

  /** A valid word came from the peer over its tunnel. */
  heard(peer: Peer): void {
    peer.heardAt = this.ctx.now;
    peer.misses = 0;
    this.graves.lift(peer.record);
  }

  /** A node's own words of itself, from it or from the resource daemon. */
  refresh(peer: Peer, record: NodeRecord): void {
    peer.record = record;
    this.chord.refresh(record);
    this.formation.refresh(record);
  }

  /** The member with a tunnel that is nearest to `id` between it and us, other than our predecessor. */
  #nearestAfter(id: Id): NodeRecord | undefined {
    const { ctx, chord, peers } = this;
    let best: Peer | undefined;
    for (const peer of peers.all()) {
      if (!between(id, peer.id, best?.id ?? ctx.id) || peer.remote === undefined || !this.isMember(peer)) continue;
      best = peer;
    }
    return best === undefined || best.id === chord.predecessor?.id ? undefined : best.record;
  }

  /**
   * What we tell `asker` of our pointers; fits into one datagram. Where many have joined at once there are many between
   * it and us, and our predecessor is the last of them: the one nearest to it that we know saves it most of the way.
   */
  describe(asker: Id): {
    predecessor: NodeRecord | null;
    successors: NodeRecord[];
    formed: boolean;
    members: NodeRecord[];
  } {
    if (!this.formation.formed) {
      return {
        predecessor: null,
        successors: [],
        formed: false,
        members: this.confirmed().slice(0, SUCCESSORS_MAX),
      };
    }
    // Whoever adopts our list puts us at its head and so has room for one less.
    const near = this.#nearestAfter(asker);
    const count = Math.min(this.ctx.r - 1, RECORDS_PER_STATE - (near === undefined ? 1 : 2));
    return {
      predecessor: this.chord.predecessor ?? null,
      successors: this.chord.successors.slice(0, count),
      formed: true,
      members: near === undefined ? [] : [near],
    };
  }

  #place(): void {
    this.chord.place(this.formation.others);
  }

  #form(): void {
    this.phase = 'formed';
    this.formation.formed = true;
    this.formation.clear();
  }

  /**
   * Fewer than r + 1 members are left, as the list of our successor says: the ring is forming again. A member that the
   * list lacks but that speaks to us is not forgotten with it: the successor may have taken it for dead, and then this
   * node is the one through which the two parts find each other.
   */
  #shrink(others: readonly NodeRecord[]): void {
    const known = [...others];
    for (const peer of this.peers.all()) if (peer.remote !== undefined && this.isMember(peer)) known.push(peer.record);
    this.phase = 'forming';
    this.formation.formed = false;
    this.formation.clear();
    this.formation.merge(known);
    this.#place();
  }

  /** The whole list died at once. Outside of what is proven; any member still known is better than none. */
  #recover(): void {
    let best: Peer | undefined;
    for (const peer of this.peers.all()) {
      if (peer.remote === undefined || !this.isMember(peer)) continue;
      if (best === undefined || distance(this.ctx.id, peer.id) < distance(this.ctx.id, best.id)) best = peer;
    }
    if (best === undefined) this.#beAlone();
    else if (this.phase === 'formed') this.chord.adopt(best.record, []);
    else {
      this.formation.merge([best.record]);
      this.#place();
    }
  }

  #beAlone(): void {
    this.phase = 'forming';
    this.formation.formed = false;
    this.formation.clear();
    this.#place();
  }
}

/** Reads a neighbour's `state`: while it is forming, its pointers follow from its member list. */
export function readState(teller: Id, message: Message<'state'>, r: number): Told {
  const { members, formed } = message;
  if (formed || members.length === 0) {
    const { predecessor, successors } = message;
    return { predecessor: predecessor ?? undefined, successors, members: [], formed, near: members[0] };
  }
  const sorted = members
    .filter((record) => record.id !== teller)
    .sort((a, b) => (distance(teller, a.id) < distance(teller, b.id) ? -1 : 1));
  const [predecessor, successors] = [sorted.at(-1), sorted.slice(0, r)];
  return { predecessor, successors, members: sorted, formed, near: undefined };
}
