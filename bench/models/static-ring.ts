/**
 * A ring of many nodes at rest, without messages and time: each has the successors and fingers that it would have come to,
 * and the routes that the P2P daemon makes of them. Neighbours and routes are chosen by the P2P daemon's own functions.
 * Nodes may fail: that is the moment at which all their neighbours have noticed, and nobody has told anybody.
 */
import { distance, fingerTarget, ID_BITS, type Id, inRange, toId } from '../../overlay/id.ts';
import { below, fraction, type Rng, seededRng } from '../../overlay/lib/rng.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import type { Proximity } from '../../overlay/vi.ts';
import { CANDIDATES_MAX } from '../../p2pd/core/limits.ts';
import { bitOf, nearest } from '../../p2pd/core/near-fingers.ts';
import { nearRoutes } from '../../p2pd/core/near-routes.ts';
import { ringRoutes } from '../../p2pd/core/routes.ts';

export type RingOptions = {
  readonly nodes: number;
  readonly seed: number;
  readonly proximity: Proximity;
  /** Length of the successor list. */
  readonly successors: number;
  /** Round-trip time between two nodes by their numbers, milliseconds. */
  readonly rttMs: (a: number, b: number) => number;
};

export type Way = {
  readonly hops: number;
  /** It ended at the first living node at or after the key. */
  readonly isRight: boolean;
  /** One way, by the routes and straight. */
  readonly pathMs: number;
  readonly directMs: number;
};

/** More hops than any ring that works has. */
const HOPS_MAX = 128;

export class StaticRing {
  readonly #options: RingOptions;
  readonly #ids: readonly Id[];
  readonly #numbers: ReadonlyMap<Id, number>;
  readonly #rng: Rng;
  readonly #isDead: Uint8Array;
  readonly #routes: (readonly RdRoute[] | undefined)[];
  #neighbours = 0;
  #compiled = 0;

  constructor(options: RingOptions) {
    this.#options = options;
    this.#rng = seededRng(options.seed);
    const ids = new Set<Id>();
    while (ids.size < options.nodes) ids.add(randomId(this.#rng));
    this.#ids = [...ids].sort((a, b) => (a < b ? -1 : 1));
    this.#numbers = new Map(this.#ids.map((id, number) => [id, number]));
    this.#isDead = new Uint8Array(options.nodes);
    this.#routes = Array.from({ length: options.nodes });
  }

  /** Mean number of nodes to which a node wants a tunnel, of those that packets have come by. */
  get neighboursMean(): number {
    return this.#neighbours / Math.max(1, this.#compiled);
  }

  /** This part of all nodes fails, each by chance. */
  fail(part: number): void {
    for (let node = 0; node < this.#ids.length; node++) if (fraction(this.#rng) < part) this.#isDead[node] = 1;
    this.#routes.fill(undefined);
  }

  /** A packet's way from a living node to the one responsible for a random key; undefined where that is the node itself. */
  randomWay(rng: Rng): Way | undefined {
    const from = this.#livingAt(below(rng, this.#ids.length), 1);
    const key = randomId(rng);
    const owner = this.#livingAt(this.#ownerOf(key), 1);
    if (owner === from) return undefined;
    let node = from;
    let hops = 0;
    let pathMs = 0;
    while (node !== owner && hops < HOPS_MAX) {
      const next = this.#nextHop(node, key);
      if (next === node) break;
      hops++;
      pathMs += this.#options.rttMs(node, next) / 2;
      node = next;
    }
    return { hops, isRight: node === owner, pathMs, directMs: this.#options.rttMs(from, owner) / 2 };
  }

  #nextHop(node: number, key: Id): number {
    const routes = (this.#routes[node] ??= this.#compile(node));
    const route = routes.find((other) => inRange(other, key));
    return this.#numbers.get(route?.to as Id) ?? node;
  }

  #compile(node: number): RdRoute[] {
    const { successors: r, proximity } = this.#options;
    const self = this.#id(node);
    // The nearest living member before it stands in for a predecessor that has died.
    const own = { after: this.#id(this.#livingAt(node - 1, -1)), until: self };
    const list = Array.from({ length: r }, (_, i) => node + 1 + i).filter((number) => this.#lives(number));
    const successors = list.map((number) => ({ id: this.#id(number), up: true }));
    const last = this.#id(node + r);
    const others = new Set<Id>([own.after, ...successors.map(({ id }) => id)]);
    for (let bit = 0; bit < ID_BITS; bit++) {
      const target = fingerTarget(self, bit);
      if (inRange({ after: self, until: last }, target) || inRange(own, target)) continue;
      const finger = this.#finger(node, bit);
      if (this.#lives(this.#numbers.get(finger) as number)) others.add(finger);
    }
    this.#neighbours += others.size;
    this.#compiled++;
    const routes = ringRoutes({ self, own, successors, others: [...others], back: [] });
    if (proximity !== 'prs' && proximity !== 'both') return routes;
    const hops = [...others].map((id) => ({ id, rttMs: this.#rttMs(node, id) }));
    return nearRoutes(routes, { self, hops, spacing: Number(distance(self, last)) / r });
  }

  #finger(node: number, bit: number): Id {
    const self = this.#id(node);
    const exact = this.#id(this.#ownerOf(fingerTarget(self, bit)));
    const { proximity } = this.#options;
    if ((proximity !== 'pns' && proximity !== 'both') || bitOf(self, exact) !== bit) return exact;
    return nearest(exact, this.#candidates(self, bit), (id) => this.#rttMs(node, id));
  }

  /** As many as a node keeps; all of the stretch where there are no more. */
  #candidates(self: Id, bit: number): Id[] {
    const first = this.#ownerOf(fingerTarget(self, bit));
    const beyond = bit === ID_BITS - 1 ? this.#numbers.get(self) : this.#ownerOf(fingerTarget(self, bit + 1));
    const count = ((beyond ?? 0) - first + this.#ids.length) % this.#ids.length;
    if (count <= CANDIDATES_MAX) return Array.from({ length: count }, (_, i) => this.#id(first + i));
    const chosen = new Set<Id>();
    while (chosen.size < CANDIDATES_MAX) chosen.add(this.#id(first + below(this.#rng, count)));
    return [...chosen];
  }

  #lives(number: number): boolean {
    return this.#isDead.at(number % this.#ids.length) === 0;
  }

  /** The node, or the next one in that direction that lives. */
  #livingAt(number: number, step: 1 | -1): number {
    let at = number;
    while (!this.#lives(at)) at += step;
    return (at + this.#ids.length) % this.#ids.length;
  }

  #rttMs(node: number, id: Id): number {
    return this.#options.rttMs(node, this.#numbers.get(id) as number);
  }

  #id(number: number): Id {
    return this.#ids.at(number % this.#ids.length) as Id;
  }

  /** The first node at or after that place. */
  #ownerOf(id: Id): number {
    let low = 0;
    let high = this.#ids.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#id(middle) < id) low = middle + 1;
      else high = middle;
    }
    return low % this.#ids.length;
  }
}

function randomId(rng: Rng): Id {
  return toId((BigInt(rng.uint32()) << 32n) | BigInt(rng.uint32()));
}
