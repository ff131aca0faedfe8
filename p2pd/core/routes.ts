/**
 * Ring state to routes: stretches of the circle, each into one tunnel or to this node itself. They are staged as
 * differences and committed together, so that the data plane never sees half a table.
 */
import { distance, type Id, type IdRange } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import { COMMIT_RETRY_MS } from './limits.ts';
import { nearRoutes } from './near-routes.ts';
import type { Neighbours } from './neighbours.ts';
import type { Ring } from './ring.ts';

export type RingView = {
  readonly self: Id;
  readonly own: IdRange;
  /** The successor list, in order; `up`: whether a tunnel leads there. */
  readonly successors: readonly { readonly id: Id; readonly up: boolean }[];
  /** Further neighbours with a tunnel, in any order. */
  readonly others: readonly Id[];
  /** Stretches up to our own range that go to the node at their end, in order. */
  readonly back: readonly IdRange[];
};

/**
 * The routes tile the circle. A successor gets what lies between its forerunner and itself; a successor without a
 * tunnel is reached through the nearest one before it, or, if there is none, through the next one after it, whose
 * predecessor it is. Every other neighbour gets what lies between itself and the next, as in Chord.
 */
export function ringRoutes(view: RingView): RdRoute[] {
  const { self, own } = view;
  if (own.after === own.until) return [{ after: self, until: self, to: self }];
  const end = distance(self, own.after);
  const routes: RdRoute[] = [];
  let cursor = self;
  let hop: Id | undefined;
  const extend = (until: Id, to: Id): void => {
    if (distance(self, until) <= distance(self, cursor)) return;
    const last = routes.at(-1);
    if (last?.to === to) routes[routes.length - 1] = { after: last.after, until, to };
    else routes.push({ after: cursor, until, to });
    cursor = until;
  };
  for (const successor of view.successors) {
    if (distance(self, successor.id) > end) continue;
    if (!successor.up) {
      // The one before it is its predecessor or knows it; those after it would send the packet round the ring.
      if (hop !== undefined) extend(successor.id, hop);
      continue;
    }
    extend(successor.id, successor.id);
    hop = successor.id;
  }
  const limit = view.back[0]?.after ?? own.after;
  const isBeyond = (id: Id): boolean =>
    distance(self, id) > distance(self, cursor) && distance(self, id) <= distance(self, limit);
  const beyond = view.others.filter(isBeyond).sort((a, b) => (distance(self, a) < distance(self, b) ? -1 : 1));
  for (const id of beyond) {
    extend(id, hop ?? id);
    hop = id;
  }
  if (hop === undefined) {
    // Every neighbour lies within what we take for our own range: the first of them knows better.
    hop = view.successors.find((successor) => successor.up)?.id;
    if (hop === undefined) return [];
  }
  extend(limit, hop);
  for (const { until } of view.back) extend(until, until);
  routes.push({ after: own.after, until: self, to: self });
  return routes;
}

export class Routes {
  readonly #ring: Ring;
  readonly #neighbours: Neighbours;
  readonly #rttOf: (id: Id) => number | undefined;
  #committed = new Map<string, RdRoute>();
  /** What is committed, or was sent to be; in the order in which it is wanted. */
  #effective: readonly RdRoute[] = [];
  /** What was sent and is not yet confirmed. */
  #pending: { readonly generation: number; readonly routes: Map<string, RdRoute> } | undefined;
  /** The resource daemon must be told all, even what has not changed. */
  #restage = true;
  #retryAt: Millis | undefined;
  /** Where our former range goes once we have left; the new owner. */
  #heir: Id | undefined;
  generation = 0;
  /** Counts changes of what is in effect, and of what has to be told. */
  version = 0;

  /** `rttOf`: round-trip time to a neighbour, milliseconds, where routes shall go by it. */
  constructor(ring: Ring, neighbours: Neighbours, rttOf: (id: Id) => number | undefined) {
    this.#ring = ring;
    this.#neighbours = neighbours;
    this.#rttOf = rttOf;
  }

  /** Everything wanted is in effect. */
  get settled(): boolean {
    return this.#pending === undefined && !this.#restage && this.#retryAt === undefined;
  }

  uses(id: Id): boolean {
    for (const route of this.#committed.values()) if (route.to === id) return true;
    for (const route of this.#pending?.routes.values() ?? []) if (route.to === id) return true;
    return false;
  }

  /** After a reconnect: what the resource daemon has in effect. All that is wanted is told again, changed or not. */
  resync(generation: number, routes: readonly RdRoute[]): void {
    this.version++;
    this.generation = Math.max(this.generation, generation);
    this.#committed = new Map(routes.map((route) => [keyOf(route), route]));
    this.#pending = undefined;
    this.#restage = true;
    this.#retryAt = undefined;
  }

  bequeath(heir: Id): void {
    this.version++;
    this.#heir = heir;
  }

  onCommitted(generation: number): void {
    if (this.#pending?.generation !== generation) return;
    this.version++;
    this.#committed = this.#pending.routes;
    this.#pending = undefined;
  }

  onRefused(generation: number): void {
    if (this.#pending?.generation !== generation) return;
    this.version++;
    this.#pending = undefined;
    this.#restage = true;
    this.#retryAt = after(this.#ring.ctx.now, COMMIT_RETRY_MS);
  }

  due(): Millis | undefined {
    return this.#retryAt;
  }

  /** Commits the difference, if there is one and no commit is under way. */
  settle(): void {
    const { ctx } = this.#ring;
    if (this.#retryAt !== undefined && this.#retryAt > ctx.now) return;
    this.#retryAt = undefined;
    if (this.#pending !== undefined || !this.#ring.member) return;
    const list = this.#wanted();
    if (list.length === 0 || (!this.#restage && sameRoutes(list, this.#effective))) return;
    const wanted = new Map(list.map((route) => [keyOf(route), route]));
    let changed = this.#restage;
    for (const [key, route] of this.#committed) {
      if (wanted.get(key)?.to === route.to) continue;
      ctx.toRd({ t: 'route.delete', after: route.after, until: route.until });
      changed = true;
    }
    for (const [key, route] of wanted) {
      if (!this.#restage && this.#committed.get(key)?.to === route.to) continue;
      ctx.toRd({ t: 'route.add', ...route });
      changed = true;
    }
    this.#effective = list;
    if (!changed) return;
    this.#restage = false;
    this.generation++;
    this.#pending = { generation: this.generation, routes: wanted };
    ctx.toRd({ t: 'routes.commit', generation: this.generation, count: wanted.size });
  }

  #wanted(): RdRoute[] {
    const { ctx, chord } = this.#ring;
    const isUp = (id: Id): boolean => this.#ring.up(id)?.ready === true;
    const others: Id[] = [];
    for (const [id, record] of this.#neighbours.ofRing()) if (isUp(id) && this.#ring.alive(record)) others.push(id);
    const own = this.#ring.ownRange();
    const back = this.#ring.backRanges();
    const plain = ringRoutes({
      self: ctx.id,
      own,
      successors: chord.successors.map(({ id }) => ({ id, up: isUp(id) })),
      others,
      back: back.every(({ until }) => isUp(until)) ? back : [],
    });
    const routes = this.#near(plain, others);
    const heir = this.#heir;
    return heir === undefined ? routes : routes.map((route) => (route.to === ctx.id ? { ...route, to: heir } : route));
  }

  #near(routes: RdRoute[], neighbours: readonly Id[]): RdRoute[] {
    const { ctx, chord } = this.#ring;
    const last = chord.successors.at(-1);
    const hops = neighbours.flatMap((id) => {
      const rttMs = this.#rttOf(id);
      return rttMs === undefined ? [] : [{ id, rttMs }];
    });
    if (hops.length === 0 || last === undefined) return routes;
    const spacing = Number(distance(ctx.id, last.id)) / chord.successors.length;
    return nearRoutes(routes, { self: ctx.id, hops, spacing });
  }
}

/** Comparing them in order is much cheaper than naming each, and they rarely change. */
function sameRoutes(a: readonly RdRoute[], b: readonly RdRoute[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as RdRoute, b[i] as RdRoute];
    if (x.to !== y.to || x.until !== y.until || x.after !== y.after) return false;
  }
  return true;
}

function keyOf(route: IdRange): string {
  return `${route.after}-${route.until}`;
}
