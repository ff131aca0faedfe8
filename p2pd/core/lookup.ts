/** Our own questions for the node responsible for an id, until they are answered. */
import type { Id } from '../../overlay/id.ts';
import { inRange } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { earlier } from './context.ts';
import type { Message } from './io.ts';
import { ASK_ATTEMPTS, ASK_MS, ASKS_MAX } from './limits.ts';
import { nextHop } from './next-hop.ts';
import type { Peer } from './peers.ts';
import type { Ring } from './ring.ts';

export type Purpose = Message<'find_successor'>['purpose'];
export type Outcome = { readonly found: Message<'found'> } | { readonly failed: 'busy' | 'timeout' };

type Ask = {
  readonly purpose: Purpose;
  readonly target: Id;
  /** The neighbour to ask; the nearest before the target where none is named. */
  readonly via: Id | undefined;
  readonly done: (outcome: Outcome) => void;
  attempts: number;
  due: Millis;
};

export type Question = {
  readonly purpose: Purpose;
  readonly target: Id;
  readonly via?: Id;
  readonly attempts?: number;
  readonly done: (outcome: Outcome) => void;
};

export class Lookup {
  readonly #ring: Ring;
  readonly #asks = new Map<number, Ask>();

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  /** Questions that wait for an answer. */
  get size(): number {
    return this.#asks.size;
  }

  ask(question: Question): void {
    const { ctx } = this.#ring;
    if (this.#asks.size >= ASKS_MAX) {
      ctx.drop('table-full');
      return question.done({ failed: 'busy' });
    }
    const ask: Ask = {
      purpose: question.purpose,
      target: question.target,
      via: question.via,
      done: question.done,
      attempts: question.attempts ?? ASK_ATTEMPTS,
      due: ctx.now,
    };
    this.#send(ask);
  }

  /** `lookup` of the resource daemon: who owns this id? */
  onRdLookup(request: number, id: Id): void {
    const { ctx } = this.#ring;
    if (!this.#ring.serving) {
      return ctx.toRd({ t: 'lookup.answer', request, owner: null, hops: 0, error: 'NOT_READY' });
    }
    if (inRange(this.#ring.ownRange(), id)) {
      return ctx.toRd({ t: 'lookup.answer', request, owner: ctx.id, hops: 0 });
    }
    this.ask({
      purpose: 'lookup',
      target: id,
      done: (outcome) =>
        'found' in outcome
          ? ctx.toRd({
              t: 'lookup.answer',
              request,
              owner: outcome.found.owner.id,
              hops: Math.min(outcome.found.hops, 255),
            })
          : ctx.toRd({ t: 'lookup.answer', request, owner: null, hops: 0, error: 'TIMEOUT' }),
    });
  }

  /** Whether an answer may come from a node with which there is no tunnel. */
  expectsStranger(query: number): boolean {
    return this.#asks.get(query)?.purpose === 'lookup';
  }

  /** True if the answer was waited for. */
  onFound(message: Message<'found'>): boolean {
    const ask = this.#asks.get(message.query);
    if (ask === undefined || ask.target !== message.target || message.owner.id === this.#ring.ctx.id) return false;
    this.#asks.delete(message.query);
    ask.done({ found: message });
    return true;
  }

  onBusy(query: number): boolean {
    const ask = this.#asks.get(query);
    if (ask === undefined) return false;
    this.#asks.delete(query);
    ask.done({ failed: 'busy' });
    return true;
  }

  tick(): void {
    for (const [query, ask] of this.#asks) {
      if (ask.due > this.#ring.ctx.now || !this.#asks.delete(query)) continue;
      if (ask.attempts > 0) this.#send(ask);
      else ask.done({ failed: 'timeout' });
    }
  }

  due(): Millis | undefined {
    let due: Millis | undefined;
    for (const ask of this.#asks.values()) due = earlier(due, ask.due);
    return due;
  }

  #send(ask: Ask): void {
    const { ctx } = this.#ring;
    const query = ctx.query();
    ask.attempts--;
    ask.due = after(ctx.now, ASK_MS);
    this.#asks.set(query, ask);
    const hop: Peer | undefined = ask.via === undefined ? nextHop(this.#ring, ask.target) : this.#ring.up(ask.via);
    if (hop?.remote === undefined) return ctx.drop('no-next-hop');
    ctx.send(hop.remote, {
      t: 'find_successor',
      query,
      target: ask.target,
      origin: ctx.self,
      purpose: ask.purpose,
      port: ctx.port,
      hops: 0,
    });
  }
}
