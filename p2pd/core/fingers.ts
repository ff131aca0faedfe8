/**
 * The finger table: short cuts across the circle. Correctness does not rest on it, and it cannot touch the ring's
 * pointers. A finger is kept only for targets beyond the successor list and outside of our own range.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import { distance, fingerTarget, ID_BITS, type Id, inRange } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { jittered } from '../../overlay/lib/rng.ts';
import type { Message } from './io.ts';
import { FINGER_GAP_MS } from './limits.ts';
import type { Lookup } from './lookup.ts';
import type { Ring } from './ring.ts';

export class Fingers {
  readonly #ring: Ring;
  readonly #lookup: Lookup;
  /** The exact fingers: who is responsible for the own id plus a power of two. */
  readonly #table = new Map<number, NodeRecord>();
  /** Nodes of the same stretch that stand in for exact fingers, being nearer on the base network. */
  readonly #preferred = new Map<number, NodeRecord>();
  /** Bits whose finger is probably wrong, and better than none. */
  readonly #doubtful = new Set<number>();
  /** Bits still to do in this pass, lowest first. */
  #pass: number[] = [];
  /** Bits of this pass that nobody answered for, and that are missing: asked once more at its end, not in the next pass. */
  readonly #unanswered = new Set<number>();
  /** Questions asked in this pass, and in the one before. */
  #asked = 0;
  #askedBefore = 0;
  #asking = false;
  /** The pass is to begin anew when the question under way is answered. */
  #again = false;
  #due: Millis | undefined;
  #version = 0;

  constructor(ring: Ring, lookup: Lookup) {
    this.#ring = ring;
    this.#lookup = lookup;
  }

  /** Counts changes of the tables. */
  get version(): number {
    return this.#version;
  }

  /** Known fingers, lowest bit first. */
  get entries(): [number, NodeRecord][] {
    return [...new Map([...this.#table, ...this.#preferred])].sort(([a], [b]) => a - b);
  }

  nodes(): IterableIterator<NodeRecord> {
    // Most VIs prefer none, and this is asked for with every change of a pointer.
    if (this.#preferred.size === 0) return this.#table.values();
    return new Map([...this.#table, ...this.#preferred]).values();
  }

  /** The finger in use. */
  at(bit: number): NodeRecord | undefined {
    return this.#preferred.get(bit) ?? this.#table.get(bit);
  }

  /** Uses another node of the finger's stretch in its place. */
  prefer(bit: number, record: NodeRecord): void {
    if (this.at(bit) === record) return;
    if (this.#table.get(bit)?.id === record.id) this.#preferred.delete(bit);
    else this.#preferred.set(bit, record);
    this.#version++;
  }

  set(bit: number, record: NodeRecord): void {
    if (this.#table.get(bit) === record) return;
    this.#table.set(bit, record);
    this.#version++;
  }

  remove(id: Id): void {
    this.#prune((_, record) => record.id === id);
  }

  /** Bits whose fingers neither the successor list nor our own range makes superfluous. */
  bits(): number[] {
    const { chord, ctx } = this.#ring;
    const last = chord.successors.at(-1);
    if (last === undefined) return [];
    const own = this.#ring.ownRange();
    const bits: number[] = [];
    for (let bit = 0; bit < ID_BITS; bit++) {
      const target = fingerTarget(ctx.id, bit);
      if (!inRange({ after: ctx.id, until: last.id }, target) && !inRange(own, target)) bits.push(bit);
    }
    return bits;
  }

  /** `node` told its predecessor: fingers to `node` whose targets lie before that are someone else's. */
  doubt(node: Id, predecessor: Id): void {
    const { ctx } = this.#ring;
    let doubtful = false;
    for (const [bit, record] of this.#table) {
      if (record.id !== node || inRange({ after: predecessor, until: node }, fingerTarget(ctx.id, bit))) continue;
      this.#doubtful.add(bit);
      doubtful = true;
    }
    if (doubtful) this.hurry();
  }

  /** The ring's pointers changed: drops what has become superfluous, looks for what is missing. */
  revise(): void {
    const bits = new Set(this.#ring.formation.formed ? this.bits() : []);
    this.#prune((bit) => !bits.has(bit));
    if (bits.size > this.#table.size) this.hurry();
  }

  /** Starts over at once. */
  hurry(): void {
    this.#again = true;
    if (!this.#asking) this.#schedule();
  }

  tick(): void {
    const { ctx, phase } = this.#ring;
    if (phase !== 'formed' || this.#asking) return;
    if (this.#due === undefined || this.#due > ctx.now) return;
    if (this.#pass.length === 0) this.#begin();
    for (let bit = this.#pass.shift(); bit !== undefined; bit = this.#pass.shift()) {
      const lower = this.#table.get(bit - 1);
      this.#doubtful.delete(bit);
      if (lower === undefined || distance(ctx.id, lower.id) < 1n << BigInt(bit)) return this.#ask(bit);
      // The finger below already lies beyond this target, and nobody before it.
      this.set(bit, lower);
    }
    this.#schedule();
  }

  due(): Millis | undefined {
    return this.#asking || this.#ring.phase !== 'formed' ? undefined : this.#due;
  }

  #begin(): void {
    const { ctx } = this.#ring;
    this.#pass = this.bits();
    this.#unanswered.clear();
    this.#askedBefore = this.#asked;
    this.#asked = 0;
    // The base network may have given us another contact meanwhile.
    ctx.toRd({ t: 'contact.get', request: ctx.query() });
  }

  #ask(bit: number): void {
    const target = fingerTarget(this.#ring.ctx.id, bit);
    this.#asking = true;
    this.#asked++;
    this.#lookup.ask({
      // The answer to a lookup comes without a tunnel, and none is wanted to a finger that another stands in for.
      purpose: this.#preferred.has(bit) ? 'lookup' : 'finger',
      target,
      attempts: 2,
      done: (outcome) => {
        this.#asking = false;
        if ('found' in outcome) this.#found(bit, outcome.found);
        else this.#onUnanswered(bit);
        this.#schedule();
      },
    });
  }

  #onUnanswered(bit: number): void {
    if (this.#table.has(bit) || this.#unanswered.has(bit)) return;
    this.#unanswered.add(bit);
    this.#pass.push(bit);
  }

  #found(bit: number, found: Message<'found'>): void {
    const { owner, predecessor } = found;
    const reaches = distance(this.#ring.ctx.id, owner.id) >= 1n << BigInt(bit);
    if (!reaches || !this.#ring.alive(owner) || !this.bits().includes(bit)) return;
    this.set(bit, owner);
    if (predecessor !== null) this.doubt(owner.id, predecessor.id);
  }

  #prune(isOver: (bit: number, record: NodeRecord) => boolean): void {
    for (const table of [this.#table, this.#preferred]) {
      for (const [bit, record] of table) if (isOver(bit, record) && table.delete(bit)) this.#version++;
    }
  }

  /** As fast as answers come while some are missing; otherwise one pass in every period, spread over it. */
  #schedule(): void {
    const { ctx } = this.#ring;
    if (this.#again) this.#pass = [];
    const missing = this.#pass.some((bit) => !this.#table.has(bit) || this.#doubtful.has(bit));
    const steps = Math.max(1, this.#asked, this.#askedBefore);
    const pause = missing || this.#again ? FINGER_GAP_MS : jittered(ctx.rng, ctx.timers.fixFingersMs / steps);
    this.#again = false;
    this.#due = after(ctx.now, pause);
  }
}
