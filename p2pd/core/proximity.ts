/**
 * Proximity (paper, section II-E): gets to know nodes of the fingers' stretches, has them and the neighbours measured by
 * the resource daemon, and puts near nodes in the place of fingers. The ring itself, successors and predecessor, is not
 * subject to it: fingers are short cuts, and correctness does not rest on them.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import { type Id, toId } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import type { Rng } from '../../overlay/lib/rng.ts';
import type { ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { earlier } from './context.ts';
import type { Fingers } from './fingers.ts';
import {
  CANDIDATES_MAX,
  ERRAND_MS,
  MEASURE_AGAIN_CANDIDATE_MS,
  MEASURE_AGAIN_MS,
  MEASURE_GAP_MS,
  MEASURE_IDLE_MS,
  SAMPLE_FIRST_MS,
  SAMPLE_MS,
  SAMPLES_FIRST,
} from './limits.ts';
import type { Lookup } from './lookup.ts';
import { bitOf, nearest } from './near-fingers.ts';
import type { Neighbours } from './neighbours.ts';
import type { Ring } from './ring.ts';
import { RoundTrips } from './round-trips.ts';

export class Proximity {
  readonly #ring: Ring;
  readonly #fingers: Fingers;
  readonly #neighbours: Neighbours;
  readonly #lookup: Lookup;
  readonly #trips: RoundTrips;
  readonly #selectsNeighbours: boolean;
  readonly #selectsRoutes: boolean;
  /** Nodes that qualify as fingers, by bit. */
  readonly #candidates = new Map<number, Map<Id, NodeRecord>>();
  /** Those to which a tunnel is being made, so that they can take a finger's place. */
  readonly #wooed = new Map<number, { readonly id: Id; readonly until: Millis }>();
  #nextBit = 0;
  #samples = 0;
  #sampleDue: Millis;
  #measureDue: Millis;

  constructor(ring: Ring, fingers: Fingers, neighbours: Neighbours, lookup: Lookup) {
    this.#ring = ring;
    this.#fingers = fingers;
    this.#neighbours = neighbours;
    this.#lookup = lookup;
    this.#trips = new RoundTrips(ring.ctx);
    const { proximity } = ring.ctx.vi.definition;
    this.#selectsNeighbours = proximity === 'pns' || proximity === 'both';
    this.#selectsRoutes = proximity === 'prs' || proximity === 'both';
    this.#sampleDue = ring.ctx.now;
    this.#measureDue = ring.ctx.now;
  }

  /** Counts changes of the times that routes go by. */
  get version(): number {
    return this.#selectsRoutes ? this.#trips.version : 0;
  }

  /** For routes: the round-trip time to a neighbour; undefined where routes do not go by it, or it is not known. */
  rttForRoutes(id: Id): number | undefined {
    return this.#selectsRoutes ? this.#trips.of(id) : undefined;
  }

  /** Nodes that qualify as fingers and are known. */
  candidatesOf(bit: number): Iterable<NodeRecord> {
    return this.#candidates.get(bit)?.values() ?? [];
  }

  onMeasured(message: ToP2pd & { t: 'measured' }): void {
    const id = this.#trips.onMeasured(message);
    // A contact at which nobody answers is worth nothing; one that is busy is.
    if (id !== undefined && message.error !== undefined && message.error !== 'LIMIT_REACHED') this.#drop(id);
    this.#choose();
  }

  /** No tunnel could be made. */
  onFailed(id: Id): void {
    this.#drop(id);
  }

  onGone(id: Id): void {
    this.#drop(id);
    this.#trips.forget(id);
  }

  tick(): void {
    if (!this.#isActive) return;
    const { now } = this.#ring.ctx;
    this.#trips.tick();
    if (this.#selectsNeighbours && this.#sampleDue <= now) this.#sample();
    if (this.#measureDue <= now) this.#measureNext();
    if (this.#wooed.size > 0) this.#choose();
  }

  due(): Millis | undefined {
    if (!this.#isActive) return undefined;
    let due = this.#selectsNeighbours ? earlier(this.#sampleDue, this.#measureDue) : this.#measureDue;
    for (const { until } of this.#wooed.values()) due = earlier(due, until);
    return due;
  }

  get #isActive(): boolean {
    return (this.#selectsNeighbours || this.#selectsRoutes) && this.#ring.phase === 'formed';
  }

  /** Asks who is at a random place of one finger's stretch: the answer names that node and those round it. */
  #sample(): void {
    const { ctx, peers } = this.#ring;
    const bits = this.#fingers.bits();
    for (const bit of this.#candidates.keys()) if (!bits.includes(bit)) this.#candidates.delete(bit);
    // Those with a tunnel cost nothing.
    for (const peer of peers.all()) if (peer.remote !== undefined && this.#ring.isMember(peer)) this.#add(peer.record);
    const bit = bits[this.#nextBit++ % Math.max(1, bits.length)];
    const isFirst = this.#samples < SAMPLES_FIRST * bits.length;
    this.#sampleDue = after(ctx.now, isFirst ? SAMPLE_FIRST_MS : SAMPLE_MS);
    if (bit === undefined) return;
    this.#samples++;
    this.#lookup.ask({
      purpose: 'lookup',
      target: randomOf(ctx.rng, ctx.id, bit),
      attempts: 1,
      done: (outcome) => {
        if (!('found' in outcome)) return;
        const { owner, predecessor, successors } = outcome.found;
        for (const record of [owner, ...successors]) this.#add(record);
        if (predecessor !== null) this.#add(predecessor);
      },
    });
  }

  #add(record: NodeRecord): void {
    const { ctx, chord } = this.#ring;
    if (record.id === ctx.id || chord.has(record.id) || !this.#ring.alive(record)) return;
    const bit = bitOf(ctx.id, record.id);
    const exact = this.#fingers.at(bit);
    // Without a node in the stretch, as far as the ring knows, there is no finger of its own.
    if (exact === undefined || bitOf(ctx.id, exact.id) !== bit) return;
    const candidates = this.#candidates.get(bit) ?? new Map<Id, NodeRecord>();
    this.#candidates.set(bit, candidates);
    if ((candidates.get(record.id)?.incarnation ?? 0) > record.incarnation) return;
    if (!candidates.has(record.id) && candidates.size >= CANDIDATES_MAX && !this.#makeRoom(candidates, exact.id))
      return;
    candidates.set(record.id, record);
  }

  /** The slowest of those measured gives way, so that a full table goes on getting better. */
  #makeRoom(candidates: Map<Id, NodeRecord>, finger: Id): boolean {
    let slowest: Id | undefined;
    for (const id of candidates.keys()) {
      if (id === finger || this.#trips.of(id) === undefined) continue;
      if (slowest === undefined || (this.#trips.of(id) ?? 0) > (this.#trips.of(slowest) ?? 0)) slowest = id;
    }
    return slowest !== undefined && candidates.delete(slowest);
  }

  #drop(id: Id): void {
    for (const candidates of this.#candidates.values()) candidates.delete(id);
    for (const [bit, wooed] of this.#wooed) if (wooed.id === id) this.#wooed.delete(bit);
  }

  /** One at each occasion: what has never been measured first, then what was measured longest ago, if that is long. */
  #measureNext(): void {
    const { ctx } = this.#ring;
    this.#measureDue = after(ctx.now, MEASURE_GAP_MS);
    if (this.#trips.isBusy) return;
    let best: { record: NodeRecord; dueAt: number } | undefined;
    const consider = (record: NodeRecord, againMs: number): void => {
      const at = this.#trips.measuredAt(record.id);
      const dueAt = at === undefined ? Number.NEGATIVE_INFINITY : at + againMs;
      if (dueAt > ctx.now || dueAt >= (best?.dueAt ?? Number.POSITIVE_INFINITY)) return;
      if (this.#ring.alive(record) && !this.#trips.isMeasuring(record.id)) best = { record, dueAt };
    };
    for (const record of this.#neighbours.ofRing().values()) {
      if (this.#ring.up(record.id) !== undefined) consider(record, MEASURE_AGAIN_MS);
    }
    for (const candidates of this.#candidates.values()) {
      for (const record of candidates.values()) consider(record, MEASURE_AGAIN_CANDIDATE_MS);
    }
    if (best !== undefined) this.#trips.measure(best.record, this.#ring.up(best.record.id) !== undefined);
    else this.#measureDue = after(ctx.now, MEASURE_IDLE_MS);
  }

  /** Puts clearly nearer nodes in the fingers' places, each once its tunnel is up. */
  #choose(): void {
    if (!this.#selectsNeighbours || this.#ring.phase !== 'formed') return;
    const { ctx } = this.#ring;
    const bits = new Set(this.#fingers.bits());
    for (const [bit, { id, until }] of this.#wooed) {
      if (until <= ctx.now && this.#ring.up(id) === undefined) this.#drop(id);
      else if (until <= ctx.now || !bits.has(bit)) this.#wooed.delete(bit);
    }
    for (const [bit, candidates] of this.#candidates) {
      const finger = this.#fingers.at(bit);
      if (finger === undefined || !bits.has(bit)) continue;
      for (const record of candidates.values()) if (!this.#ring.alive(record)) candidates.delete(record.id);
      const best = nearest(finger.id, candidates.keys(), (id) => this.#trips.of(id));
      const record = best === finger.id ? undefined : candidates.get(best);
      const wooed = this.#wooed.get(bit);
      if (record === undefined) this.#wooed.delete(bit);
      else if (this.#ring.up(best) !== undefined) {
        this.#wooed.delete(bit);
        this.#fingers.prefer(bit, record);
      } else if (wooed?.id !== best) {
        this.#wooed.set(bit, { id: best, until: after(ctx.now, ERRAND_MS) });
        this.#neighbours.want(record);
      }
    }
  }
}

/** A place in the stretch of that finger. */
function randomOf(rng: Rng, self: Id, bit: number): Id {
  const random = (BigInt(rng.uint32()) << 32n) | BigInt(rng.uint32());
  const start = 1n << BigInt(bit);
  return toId(self + start + (random & (start - 1n)));
}
