/**
 * The overlay manager and its address server, as the simulated resource daemons see them: whom it names to those who
 * join, who may found the ring, and which link pairs are leased to whom.
 */
import { PairPool } from '../../om-server/store/pair-pool.ts';
import type { NodeRecord } from '../../overlay/fields.ts';
import { below, type Rng } from '../../overlay/lib/rng.ts';
import { FOUNDER_MS, HEARD_OF_MS, LEASE_MS } from '../../overlay/om-api.ts';

export const BOOTSTRAP_MAX = 8;
/** Of the largest pool for links. */
const PAIRS = 2 ** 23;

export type ManagerRequest =
  | { readonly kind: 'bootstrap' }
  | { readonly kind: 'lease'; readonly request: string; readonly count: number }
  | { readonly kind: 'keep'; readonly pairs: readonly number[] };

export type ManagerAnswer =
  | { readonly kind: 'bootstrap'; readonly nodes: NodeRecord[]; readonly found: boolean }
  | { readonly kind: 'lease' | 'keep'; readonly request: string; readonly pairs: readonly number[]; msLeft: number };

/** What it knows of a node without being told each time: a heartbeat comes while the node runs and can be reached. */
export type Presence = { readonly record: NodeRecord; readonly heardAt: number };

export class Manager {
  readonly #rng: Rng;
  readonly #now: () => number;
  readonly #presence: (machine: number) => Presence;
  isUp = true;
  /** Tests: a manager that does not know of some nodes. */
  hides: (asker: number, offered: number) => boolean = () => false;
  readonly #members: number[] = [];
  /** Machine → its place among the members. */
  readonly #places = new Map<number, number>();
  #founder = { machine: -1, until: Number.NEGATIVE_INFINITY };
  readonly #owners = new Map<number, number>();
  readonly #leases = new Map<number, Set<number>>();
  /** Answers to requests that may be repeated, by machine and request; the latest few of each. */
  readonly #granted = new Map<number, Map<string, readonly number[]>>();
  /** The product's: what comes back is handed out again, first of all. */
  readonly #pool = new PairPool(PAIRS, []);
  /** Pairs handed out and given back since the start. */
  leased = 0;
  freed = 0;
  /** Requests for pairs, and tellings of which are held. */
  leaseRequests = 0;
  bootstraps = 0;

  constructor(rng: Rng, now: () => number, presence: (machine: number) => Presence) {
    this.#rng = rng;
    this.#now = now;
    this.#presence = presence;
  }

  /** A heartbeat that says whether the node is on the ring. */
  beat(machine: number, isMember: boolean): void {
    const place = this.#places.get(machine);
    if (isMember === (place !== undefined)) return;
    if (place === undefined) {
      this.#places.set(machine, this.#members.length);
      this.#members.push(machine);
      return;
    }
    this.#places.delete(machine);
    const last = this.#members.pop() as number;
    if (last === machine) return;
    this.#members[place] = last;
    this.#places.set(last, place);
  }

  answer(machine: number, request: ManagerRequest): ManagerAnswer {
    if (request.kind === 'bootstrap') {
      this.bootstraps++;
      return this.#bootstrap(machine);
    }
    this.leaseRequests++;
    if (request.kind === 'keep') {
      return { kind: 'keep', request: '', pairs: this.#keep(machine, request.pairs), msLeft: LEASE_MS };
    }
    const pairs = this.#lease(machine, request.request, request.count);
    return { kind: 'lease', request: request.request, pairs, msLeft: LEASE_MS };
  }

  /** The node has left the ring, and its leases come back. */
  farewell(machine: number): void {
    this.beat(machine, false);
    this.#keep(machine, []);
  }

  ownerOf(pair: number): number | undefined {
    return this.#owners.get(pair);
  }

  leasesOf(machine: number): ReadonlySet<number> {
    return this.#leases.get(machine) ?? new Set();
  }

  #bootstrap(asker: number): ManagerAnswer {
    const nodes: NodeRecord[] = [];
    const drawn = new Set<number>();
    const members = this.#members;
    // Those not heard of for long are forgotten when they are drawn.
    for (let tries = 0; tries < 4 * BOOTSTRAP_MAX && nodes.length < BOOTSTRAP_MAX && members.length > 0; tries++) {
      const machine = members[below(this.#rng, members.length)] as number;
      if (machine === asker || drawn.has(machine) || this.hides(asker, machine)) continue;
      drawn.add(machine);
      const { record, heardAt } = this.#presence(machine);
      if (heardAt + HEARD_OF_MS > this.#now()) nodes.push(record);
      else this.beat(machine, false);
    }
    if (nodes.length > 0) return { kind: 'bootstrap', nodes, found: false };
    const now = this.#now();
    if (this.#founder.until <= now || this.#founder.machine === asker) {
      this.#founder = { machine: asker, until: now + FOUNDER_MS };
      return { kind: 'bootstrap', nodes: [], found: true };
    }
    return { kind: 'bootstrap', nodes: [this.#presence(this.#founder.machine).record], found: false };
  }

  #lease(machine: number, request: string, count: number): readonly number[] {
    let granted = this.#granted.get(machine);
    if (granted === undefined) this.#granted.set(machine, (granted = new Map()));
    const before = granted.get(request);
    if (before !== undefined) return before;
    const pairs = this.#pool.take(count);
    let leases = this.#leases.get(machine);
    if (leases === undefined) this.#leases.set(machine, (leases = new Set()));
    for (const pair of pairs) {
      this.#owners.set(pair, machine);
      leases.add(pair);
    }
    this.leased += pairs.length;
    if (granted.size >= 2) granted.delete(granted.keys().next().value as string);
    granted.set(request, pairs);
    return pairs;
  }

  #keep(machine: number, pairs: readonly number[]): readonly number[] {
    const kept = new Set(pairs);
    const leases = this.#leases.get(machine);
    for (const pair of leases ?? []) {
      if (kept.has(pair)) continue;
      leases?.delete(pair);
      this.#owners.delete(pair);
      this.#pool.giveBack(pair);
      this.freed++;
    }
    return pairs.filter((pair) => this.#owners.get(pair) === machine);
  }
}
