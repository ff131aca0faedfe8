/** The latest events in a node's life, for whoever wants to know how it came to be as it is. Older ones are forgotten. */
import type { Id } from '../../overlay/id.ts';
import type { Clock } from '../../overlay/lib/clock.ts';
import type { HistoryEvent } from '../../overlay/messages/control.ts';

export const HISTORY_EVENTS_MAX = 512;

type Kept = Omit<HistoryEvent, 'agoMs'> & { readonly at: number };

export class History {
  readonly #clock: Clock;
  readonly #events: Kept[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An event that says the same as the latest of its kind and peer is not kept. */
  note(what: HistoryEvent['what'], peer: Id | null = null, neighbours: readonly Id[] = []): void {
    const latest = this.#events.findLast((event) => event.what === what && event.peer === peer);
    if (what === 'ring' && latest !== undefined && String(latest.neighbours) === String(neighbours)) return;
    if (this.#events.length >= HISTORY_EVENTS_MAX) this.#events.shift();
    this.#events.push({ at: this.#clock.now(), what, peer, neighbours: [...neighbours] });
  }

  /** Notes that something is in this state, unless that is what was noted of it last. */
  noteState(what: readonly [on: HistoryEvent['what'], off: HistoryEvent['what']], isOn: boolean): void {
    const latest = this.#events.findLast((event) => what.includes(event.what));
    const now = isOn ? what[0] : what[1];
    if (latest === undefined ? !isOn : latest.what !== now) this.note(now);
  }

  /** Oldest first. */
  get events(): HistoryEvent[] {
    const now = this.#clock.now();
    return this.#events.map(({ at, ...event }) => ({ agoMs: Math.max(0, Math.round(now - at)), ...event }));
  }
}
