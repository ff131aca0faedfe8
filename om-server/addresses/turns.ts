/** The order of each node's requests, and how many it may make: a counter and a bucket of requests for each node. */

/** Nodes that are remembered; one more costs the one that was silent longest its place. */
export const TURNS_MAX = 100_000;
/** A node may save up what it may ask in so long, milliseconds. */
const BURST_MS = 2000;

export type Turn =
  | { readonly kind: 'next' }
  | { readonly kind: 'stale'; readonly highest: number }
  | { readonly kind: 'too-many' };

type Node = { highest: number; requestsLeft: number; at: number };

const NEXT: Turn = { kind: 'next' };
const TOO_MANY: Turn = { kind: 'too-many' };

export class Turns {
  readonly #perSecond: number;
  /** The one that was silent longest first. */
  readonly #nodes = new Map<number, Node>();
  /** Of the nodes that are not remembered no counter was higher. */
  #forgotten = -1;

  constructor(requestsPerSecond: number) {
    this.#perSecond = requestsPerSecond;
  }

  /** Whether it is this request's turn; then no lower counter of the node is any more. `now`: milliseconds, monotonic. */
  take(key: number, counter: number, now: number): Turn {
    const burst = Math.max(1, (this.#perSecond * BURST_MS) / 1000);
    const node = this.#nodes.get(key) ?? { highest: this.#forgotten, requestsLeft: burst, at: now };
    node.requestsLeft = Math.min(burst, node.requestsLeft + ((now - node.at) * this.#perSecond) / 1000);
    node.at = now;
    this.#nodes.delete(key);
    this.#makeRoom();
    this.#nodes.set(key, node);
    if (node.requestsLeft < 1) return TOO_MANY;
    node.requestsLeft--;
    if (counter <= node.highest) return { kind: 'stale', highest: node.highest };
    node.highest = counter;
    return NEXT;
  }

  #makeRoom(): void {
    if (this.#nodes.size < TURNS_MAX) return;
    for (const [key, { highest }] of this.#nodes) {
      this.#forgotten = Math.max(this.#forgotten, highest);
      this.#nodes.delete(key);
      return;
    }
  }
}
