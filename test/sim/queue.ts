/**
 * What is to happen, in the order of its instants and, where these are equal, of its making. An event is a few numbers
 * and at most one object, kept in typed arrays: hundreds of thousands wait at once, and none of them is a closure.
 */

/** One that has come to its turn; the same object each time, overwritten by the next. */
export type Event = { at: number; kind: number; node: number; extra: number; body: unknown };

const ARITY = 4;

export class EventQueue {
  #at: Float64Array = new Float64Array(1024);
  #order: Float64Array = new Float64Array(1024);
  #slot: Uint32Array = new Uint32Array(1024);
  #kind: Uint8Array = new Uint8Array(1024);
  #node: Int32Array = new Int32Array(1024);
  #extra: Int32Array = new Int32Array(1024);
  readonly #bodies: unknown[] = [];
  readonly #free: number[] = [];
  #size = 0;
  #orders = 0;
  #slots = 0;

  get size(): number {
    return this.#size;
  }

  /** When the first event is due; Infinity where there is none. */
  get next(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#at[0] as number);
  }

  push(at: number, kind: number, node: number, extra = 0, body?: unknown): void {
    const slot = this.#free.pop() ?? this.#slots++;
    if (slot >= this.#kind.length || this.#size >= this.#at.length) this.#grow();
    this.#kind[slot] = kind;
    this.#node[slot] = node;
    this.#extra[slot] = extra;
    this.#bodies[slot] = body;
    this.#rise(this.#size++, at, this.#orders++, slot);
  }

  /** Takes the first event out. There must be one. */
  pop(into: Event): void {
    const slot = this.#slot[0] as number;
    into.at = this.#at[0] as number;
    into.kind = this.#kind[slot] as number;
    into.node = this.#node[slot] as number;
    into.extra = this.#extra[slot] as number;
    into.body = this.#bodies[slot];
    this.#bodies[slot] = undefined;
    this.#free.push(slot);
    this.#size--;
    if (this.#size > 0) {
      this.#sink(this.#at[this.#size] as number, this.#order[this.#size] as number, this.#slot[this.#size] as number);
    }
  }

  #rise(hole: number, at: number, order: number, slot: number): void {
    const [ats, orders, slots] = [this.#at, this.#order, this.#slot];
    let i = hole;
    while (i > 0) {
      const parent = (i - 1) >> 2;
      // A later order never goes before an equal instant.
      if ((ats[parent] as number) <= at) break;
      ats[i] = ats[parent] as number;
      orders[i] = orders[parent] as number;
      slots[i] = slots[parent] as number;
      i = parent;
    }
    ats[i] = at;
    orders[i] = order;
    slots[i] = slot;
  }

  #sink(at: number, order: number, slot: number): void {
    const [ats, orders, slots, size] = [this.#at, this.#order, this.#slot, this.#size];
    let i = 0;
    for (;;) {
      const first = i * ARITY + 1;
      if (first >= size) break;
      let least = first;
      const end = Math.min(first + ARITY, size);
      for (let child = first + 1; child < end; child++) {
        const a = ats[child] as number;
        const b = ats[least] as number;
        if (a < b || (a === b && (orders[child] as number) < (orders[least] as number))) least = child;
      }
      const a = ats[least] as number;
      if (at < a || (at === a && order < (orders[least] as number))) break;
      ats[i] = a;
      orders[i] = orders[least] as number;
      slots[i] = slots[least] as number;
      i = least;
    }
    ats[i] = at;
    orders[i] = order;
    slots[i] = slot;
  }

  #grow(): void {
    const length = this.#at.length * 2;
    const float = (old: Float64Array): Float64Array => {
      const grown = new Float64Array(length);
      grown.set(old);
      return grown;
    };
    const int = (old: Int32Array): Int32Array => {
      const grown = new Int32Array(length);
      grown.set(old);
      return grown;
    };
    this.#at = float(this.#at);
    this.#order = float(this.#order);
    this.#node = int(this.#node);
    this.#extra = int(this.#extra);
    const slot = new Uint32Array(length);
    slot.set(this.#slot);
    this.#slot = slot;
    const kind = new Uint8Array(length);
    kind.set(this.#kind);
    this.#kind = kind;
  }
}
