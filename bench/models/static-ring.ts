/**
 * An ideal ring of any size, and what is left of it at the moment at which many nodes have failed and their neighbours
 * have noticed, before anybody has told anybody. Routes are those that `p2pd/core/routes.ts` makes of each node's view;
 * the views come from the ring's arithmetic, one at a time, so a million nodes are a sorted list of ids.
 */
import { distance, fingerTarget, type Id, ID_BITS, inRange, toId } from '../../overlay/id.ts';
import { below, fraction, type Rng } from '../../overlay/lib/rng.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import { ringRoutes } from '../../p2pd/core/routes.ts';

const HOPS_MAX = 64;

export type Walk = { readonly isRight: boolean; readonly hops: number };

export class StaticRing {
  readonly #ids: BigUint64Array;
  readonly #isDead: Uint8Array;
  readonly #successors: number;

  constructor(nodes: number, successors: number, rng: Rng) {
    const ids = new BigUint64Array(nodes);
    for (let i = 0; i < nodes; i++) ids[i] = (BigInt(rng.uint32()) << 32n) | BigInt(rng.uint32());
    this.#ids = ids.sort();
    this.#isDead = new Uint8Array(nodes);
    this.#successors = successors;
  }

  get size(): number {
    return this.#ids.length;
  }

  /** This part of all nodes fails at once. */
  fail(part: number, rng: Rng): void {
    for (let i = 0; i < this.size; i++) if (fraction(rng) < part) this.#isDead[i] = 1;
  }

  /** From a living node at random to the living owner of a key at random. */
  walk(rng: Rng): Walk {
    const key = toId((BigInt(rng.uint32()) << 32n) | BigInt(rng.uint32()));
    let at = below(rng, this.size);
    while (this.#isDead[at] === 1) at = below(rng, this.size);
    let owner = this.#ownerOf(key);
    while (this.#isDead[owner] === 1) owner = this.#next(owner, 1);
    for (let hops = 0; hops < HOPS_MAX; hops++) {
      const to = this.#routesOf(at).find((route) => inRange(route, key))?.to;
      if (to === undefined || to === this.#id(at)) return { isRight: at === owner, hops };
      at = this.#ownerOf(to);
    }
    return { isRight: false, hops: HOPS_MAX };
  }

  /** Nodes with which it has a tunnel because it wants one: half of what an ideal ring's node has on average. */
  neighbours(at: number): number {
    return new Set([...this.#list(at), ...this.#fingers(at)]).size;
  }

  #routesOf(at: number): readonly RdRoute[] {
    const self = this.#id(at);
    const successors = this.#list(at)
      .filter((index) => this.#isDead[index] === 0)
      .map((index) => ({ id: this.#id(index), up: true }));
    const others = this.#fingers(at)
      .filter((index) => this.#isDead[index] === 0)
      .map((index) => this.#id(index));
    let before = this.#next(at, -1);
    while (this.#isDead[before] === 1) before = this.#next(before, -1);
    return ringRoutes({ self, own: { after: this.#id(before), until: self }, successors, others, back: [] });
  }

  #list(at: number): number[] {
    return Array.from({ length: this.#successors }, (_, k) => this.#next(at, k + 1));
  }

  #fingers(at: number): number[] {
    const self = this.#id(at);
    const last = distance(self, this.#id(this.#next(at, this.#successors)));
    const fingers = new Set<number>();
    for (let bit = ID_BITS - 1; bit >= 0 && 1n << BigInt(bit) > last; bit--) {
      fingers.add(this.#ownerOf(fingerTarget(self, bit)));
    }
    fingers.delete(at);
    return [...fingers];
  }

  /** The first node at or after the id, living or dead. */
  #ownerOf(id: Id): number {
    let [low, high] = [0, this.size];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ids[middle] as bigint) < id) low = middle + 1;
      else high = middle;
    }
    return low === this.size ? 0 : low;
  }

  #next(at: number, steps: number): number {
    return (at + steps + this.size) % this.size;
  }

  #id(at: number): Id {
    return this.#ids[at] as Id;
  }
}
