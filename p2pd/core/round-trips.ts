/** What the resource daemon has measured to other nodes on the base network, and what it is measuring. */
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import type { ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import type { Context } from './context.ts';
import { evictOldest } from './graves.ts';
import { MEASURE_MS, MEASURING_MAX, ROUND_TRIPS_MAX } from './limits.ts';
import { isClearlyNearer } from './near-fingers.ts';

/** `rttMs` undefined: it could not be measured. */
type RoundTrip = { readonly rttMs: number | undefined; readonly at: Millis };

export class RoundTrips {
  readonly #ctx: Context;
  readonly #known = new Map<Id, RoundTrip>();
  readonly #measuring = new Map<number, { readonly id: Id; readonly until: Millis }>();

  /** Counts changes of the times. */
  version = 0;

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  /** Milliseconds; stays as it is while new measurements differ little, so that decisions that rest on it stay too. */
  of(id: Id): number | undefined {
    return this.#known.get(id)?.rttMs;
  }

  /** When it was last tried; undefined: never. */
  measuredAt(id: Id): Millis | undefined {
    return this.#known.get(id)?.at;
  }

  get isBusy(): boolean {
    return this.#measuring.size >= MEASURING_MAX;
  }

  isMeasuring(id: Id): boolean {
    for (const measuring of this.#measuring.values()) if (measuring.id === id) return true;
    return false;
  }

  /** `byTunnel`: there is a tunnel to it. */
  measure({ id, contact }: NodeRecord, byTunnel: boolean): void {
    const request = this.#ctx.query();
    this.#measuring.set(request, { id, until: after(this.#ctx.now, MEASURE_MS) });
    this.#ctx.toRd({ t: 'measure', request, target: byTunnel ? { key: id } : { contact }, what: 'rtt' });
  }

  /** The node that was measured; undefined if nobody asked. */
  onMeasured({ request, rttMs }: ToP2pd & { t: 'measured' }): Id | undefined {
    const measuring = this.#measuring.get(request);
    if (measuring === undefined) return undefined;
    this.#measuring.delete(request);
    this.#note(measuring.id, rttMs ?? undefined);
    return measuring.id;
  }

  forget(id: Id): void {
    if (this.#known.delete(id)) this.version++;
  }

  tick(): void {
    for (const [request, { id, until }] of this.#measuring) {
      if (until > this.#ctx.now) continue;
      this.#measuring.delete(request);
      this.#note(id, undefined);
    }
  }

  #note(id: Id, rttMs: number | undefined): void {
    const before = this.#known.get(id)?.rttMs;
    const differs =
      before === undefined || rttMs === undefined || isClearlyNearer(rttMs, before) || isClearlyNearer(before, rttMs);
    // What was known is better than nothing: the daemon may just have had too much to measure.
    const value = differs ? (rttMs ?? before) : before;
    if (value !== before || this.#known.size >= ROUND_TRIPS_MAX) this.version++;
    this.#known.delete(id);
    evictOldest(this.#known, ROUND_TRIPS_MAX);
    this.#known.set(id, { rttMs: value, at: this.#ctx.now });
  }
}
