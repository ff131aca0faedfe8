/** The free pairs of one VI's link pool, the lowest first. */
import { MinHeap } from './min-heap.ts';

export class PairPool {
  readonly #capacity: number;
  /** Every pair from here on is free; of those below, the ones in `#gaps`. */
  #floor = 0;
  readonly #gaps = new MinHeap();

  /** `taken`: ascending, each once. */
  constructor(capacity: number, taken: Iterable<number>) {
    this.#capacity = capacity;
    for (const pair of taken) {
      for (let free = this.#floor; free < pair; free++) this.#gaps.push(free);
      this.#floor = pair + 1;
    }
  }

  get taken(): number {
    return this.#floor - this.#gaps.size;
  }

  /** As many as there are, at most `count`. */
  take(count: number): number[] {
    const pairs: number[] = [];
    while (pairs.length < count) {
      const pair = this.#gaps.pop() ?? (this.#floor < this.#capacity ? this.#floor++ : undefined);
      if (pair === undefined) break;
      pairs.push(pair);
    }
    return pairs;
  }

  /** Only of a pair that was taken. */
  giveBack(pair: number): void {
    this.#gaps.push(pair);
  }
}
