/** A P2P daemon's range routes: staged one by one, checked and put into effect together. */
import { fail } from '../../overlay/errors.ts';
import { distance, type Id, type IdRange, inRange, toId } from '../../overlay/id.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import { ROUTES_MAX, STAGED_MAX } from './limits.ts';

/** Up to there our own range was another node's before; `undefined`: no other's that we know of. */
export type Former = { readonly until: Id; readonly owner: Id | undefined };

type Change = { readonly after: Id; readonly until: Id; readonly to: Id | undefined };

export class RouteTable {
  readonly #self: Id;
  /** Sorted by `until`; they tile the circle, or there are none. */
  #routes: readonly RdRoute[] = [];
  #formers: readonly Former[] = [];
  #generation = 0;
  #staged: Change[] = [];
  #overflown = false;

  constructor(self: Id) {
    this.#self = self;
  }

  get routes(): readonly RdRoute[] {
    return this.#routes;
  }

  /** The stretches of our own range, in its order: whose they were before. */
  get formers(): readonly Former[] {
    return this.#formers;
  }

  get generation(): number {
    return this.#generation;
  }

  add(route: RdRoute): void {
    this.#stage({ after: route.after, until: route.until, to: route.to });
  }

  delete(after: Id, until: Id): void {
    this.#stage({ after, until, to: undefined });
  }

  /** Forgets what is staged: its author has gone. */
  forget(): void {
    this.#staged = [];
    this.#overflown = false;
  }

  /**
   * Puts the staged changes into effect. LIMIT_REACHED, or CONFLICT where they leave a gap or an overlap, where their
   * number is not `count`, or where the generation is an old one; the staged changes are forgotten in every case.
   */
  commit(generation: number, count: number): Result<void> {
    const staged = this.#staged;
    const overflown = this.#overflown;
    this.forget();
    if (overflown || count > ROUTES_MAX) return fail('LIMIT_REACHED', 'There are too many routes.');
    const table = new Map(this.#routes.map((route) => [routeKey(route), route]));
    for (const { after, until, to } of staged) {
      if (to === undefined) table.delete(routeKey({ after, until }));
      else table.set(routeKey({ after, until }), { after, until, to });
    }
    const routes = [...table.values()].toSorted((a, b) => (a.until < b.until ? -1 : a.until > b.until ? 1 : 0));
    if (routes.length !== count) return fail('CONFLICT', `There are ${routes.length} routes, not ${count}.`);
    if (!tilesCircle(routes)) return fail('CONFLICT', 'The routes leave a gap or overlap.');
    if (generation < this.#generation || (generation === this.#generation && !sameRoutes(routes, this.#routes))) {
      return fail('CONFLICT', `Generation ${generation} is in effect already, with other routes.`);
    }
    this.#formers = this.#formersOf(routes);
    this.#routes = routes;
    this.#generation = generation;
    return ok();
  }

  #formersOf(routes: readonly RdRoute[]): Former[] {
    const own = routes.find(({ to }) => to === this.#self);
    if (own === undefined) return [];
    const ends = new Set<Id>([own.until]);
    for (const { until } of [...this.#routes, ...this.#formers]) if (inRange(own, until)) ends.add(until);
    const formers: Former[] = [];
    for (const until of [...ends].sort((a, b) => (offset(own, a) < offset(own, b) ? -1 : 1))) {
      const owner = this.#ownerBefore(until, routes);
      if (formers.at(-1)?.owner === owner) formers.pop();
      formers.push({ until, owner });
    }
    return formers;
  }

  #ownerBefore(id: Id, routes: readonly RdRoute[]): Id | undefined {
    // Before we were there, all that is ours was our successor's.
    const before = this.#routes.find((route) => inRange(route, id)) ?? routes.find(({ after }) => after === this.#self);
    if (before?.to !== this.#self) return before?.to;
    return this.#formers.find(({ until }) => offset(before, id) <= offset(before, until))?.owner;
  }

  #stage(change: Change): void {
    if (this.#staged.length < STAGED_MAX) this.#staged.push(change);
    else this.#overflown = true;
  }
}

/** Whether routes sorted by `until` cover every id exactly once, or nothing at all. */
export function tilesCircle(routes: readonly RdRoute[]): boolean {
  return routes.every((route, index) => {
    const before = routes.at(index - 1) as RdRoute;
    return route.after === before.until && (routes.length === 1 || route.after !== route.until);
  });
}

/** Place of an id in a range, counted from its beginning; the whole circle's last is its `until`. */
function offset(range: IdRange, id: Id): bigint {
  return distance(toId(range.after + 1n), id);
}

function sameRoutes(a: readonly RdRoute[], b: readonly RdRoute[]): boolean {
  return (
    a.length === b.length &&
    a.every(
      (route, index) => route.after === b[index]?.after && route.until === b[index].until && route.to === b[index].to,
    )
  );
}

function routeKey(range: { after: Id; until: Id }): string {
  return `${range.after}/${range.until}`;
}
