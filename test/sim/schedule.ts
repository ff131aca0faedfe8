/** Virtual time: events in the order of their instants, and of their making where these are equal. */
import type { Millis } from '../../overlay/lib/clock.ts';

type Event = { readonly at: Millis; readonly order: number; readonly run: () => void };

/** More events at one instant than this are a loop. */
const AT_ONCE_MAX = 20_000;

export class Schedule {
  readonly #heap: Event[] = [];
  #order = 0;
  now = 0 as Millis;

  after(ms: number, run: () => void): void {
    this.at((this.now + Math.max(0, ms)) as Millis, run);
  }

  at(instant: Millis, run: () => void): void {
    const heap = this.#heap;
    heap.push({ at: instant < this.now ? this.now : instant, order: this.#order++, run });
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.#isBefore(i, parent)) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  /** Runs what is due until `instant`, which is then the present. */
  runUntil(instant: number): void {
    let atOnce = 0;
    for (let first = this.#heap[0]; first !== undefined && first.at <= instant; first = this.#heap[0]) {
      this.#removeFirst();
      atOnce = first.at > this.now ? 0 : atOnce + 1;
      if (atOnce > AT_ONCE_MAX) throw new Error(`time stands still at ${this.now} ms`);
      this.now = first.at;
      first.run();
    }
    this.now = instant as Millis;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < heap.length && this.#isBefore(child, least)) least = child;
      if (least === i) return;
      this.#swap(i, least);
      i = least;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [x, y] = [this.#heap[a] as Event, this.#heap[b] as Event];
    return x.at < y.at || (x.at === y.at && x.order < y.order);
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    [heap[a], heap[b]] = [heap[b] as Event, heap[a] as Event];
  }
}
