/** Finds the lowest free index of a pool without walking over the taken ones again and again. */
export class LowestFree {
  readonly #floors = new Map<string, number>();

  /**
   * The lowest free indexes of a pool, at most `count` of them, ascending, each below `capacity`. Changes nothing:
   * report with `taken` what was really given, once it is committed.
   */
  find(pool: string, count: number, capacity: number, isTaken: (index: number) => boolean): number[] {
    const found: number[] = [];
    for (let index = this.#floors.get(pool) ?? 0; index < capacity && found.length < count; index++) {
      if (!isTaken(index)) found.push(index);
    }
    return found;
  }

  /** All indexes up to this one are taken. */
  taken(pool: string, index: number): void {
    this.#floors.set(pool, Math.max(this.#floors.get(pool) ?? 0, index + 1));
  }

  freed(pool: string, index: number): void {
    const floor = this.#floors.get(pool);
    if (floor !== undefined && index < floor) this.#floors.set(pool, index);
  }

  forget(pool: string): void {
    this.#floors.delete(pool);
  }
}
