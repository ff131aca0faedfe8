/** Things that may be wrong for a while, and for how long each has been. */
export class Spells {
  #since = new Map<string, number>();

  /** What is wrong now, and nothing else; returns since when each has been. */
  renew(wrong: Iterable<string>, now: number): ReadonlyMap<string, number> {
    const since = new Map<string, number>();
    for (const what of wrong) since.set(what, this.#since.get(what) ?? now);
    this.#since = since;
    return since;
  }

  get current(): ReadonlyMap<string, number> {
    return this.#since;
  }
}
