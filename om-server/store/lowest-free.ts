/** Finds the lowest free indexes of a pool without walking over the taken ones again and again. */
import { MinHeap } from './min-heap.ts';

/** Every free index is in `freed`, or at least `floor`. Those in `freed` are lower; some may be taken again. */
type Pool = { floor: number; readonly freed: MinHeap };

export class LowestFree {
  readonly #pools = new Map<string, Pool>();

  /**
   * At most `count` of them, ascending, each below `capacity`. They are found again until `isTaken` says that they were
   * given. What was taken in a transaction that is not committed must not be seen as taken.
   */
  find(name: string, count: number, capacity: number, isTaken: (index: number) => boolean): number[] {
    const pool = this.#poolOf(name);
    const found: number[] = [];
    while (found.length < count) {
      const index = pool.freed.pop();
      if (index === undefined) break;
      if (index !== found.at(-1) && !isTaken(index)) found.push(index);
    }
    for (const index of found) pool.freed.push(index);
    for (let index = pool.floor; index < capacity && found.length < count; index++) {
      if (!isTaken(index)) found.push(index);
      else if (index === pool.floor) pool.floor++;
    }
    return found;
  }

  /** Saying so of an index that is taken does no harm. */
  freed(name: string, index: number): void {
    const pool = this.#poolOf(name);
    if (index < pool.floor) pool.freed.push(index);
  }

  forget(name: string): void {
    this.#pools.delete(name);
  }

  #poolOf(name: string): Pool {
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = { floor: 0, freed: new MinHeap() };
      this.#pools.set(name, pool);
    }
    return pool;
  }
}
