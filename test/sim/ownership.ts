/**
 * Who delivers which keys, by the images in effect: stretches of the circle that nobody delivers, or more than one node,
 * each with the instant since which that has been so.
 */
import { between, distance, type Id, type IdRange, inRange } from '../../overlay/id.ts';
import type { SimNode } from './sim-node.ts';

export type Stretch = {
  readonly after: Id;
  readonly until: Id;
  /** Number of nodes that deliver it. */
  readonly owners: number;
  readonly since: number;
};

export class Ownership {
  #wrong: readonly Stretch[] = [];

  get wrong(): readonly Stretch[] {
    return this.#wrong;
  }

  /** To be called when an image or a life has changed. */
  renew(nodes: readonly SimNode[], now: number): void {
    const before = this.#wrong;
    const present = stretches(nodes).filter(({ owners }) => owners !== 1);
    this.#wrong = present.map((stretch) => {
      let since = now;
      for (const old of before) {
        const isSame = (old.owners === 0) === (stretch.owners === 0);
        if (isSame && old.since < since && overlap(old, stretch)) since = old.since;
      }
      return { ...stretch, since };
    });
  }
}

function stretches(nodes: readonly SimNode[]): Omit<Stretch, 'since'>[] {
  const ranges = nodes.flatMap(({ forwards, forwarding }) => {
    const own = forwards ? forwarding?.own : undefined;
    return own === undefined ? [] : [own];
  });
  if (ranges.length === 0) return [];
  const ends = new Set<Id>(ranges.flatMap(({ after, until }) => [after, until]));
  const sorted = [...ends].sort((a, b) => (a < b ? -1 : 1));
  const changes = new Map<Id, number>();
  let owners = 0;
  const last = sorted.at(-1) as Id;
  for (const { after, until } of ranges) {
    // The stretch that the loop begins with is the one that ends at the first point, after the last.
    if (inRange({ after, until }, sorted[0] as Id) || (after === until && sorted.length === 1)) owners++;
    if (after === until) continue;
    changes.set(after, (changes.get(after) ?? 0) + 1);
    changes.set(until, (changes.get(until) ?? 0) - 1);
  }
  const result: Omit<Stretch, 'since'>[] = [];
  let previous = last;
  for (const end of sorted) {
    result.push({ after: previous, until: end, owners });
    owners += changes.get(end) ?? 0;
    previous = end;
  }
  return result;
}

function overlap(a: IdRange, b: IdRange): boolean {
  const begins = (x: IdRange, y: IdRange): boolean => x.after === y.after || between(y.after, x.after, y.until);
  return begins(a, b) || begins(b, a) || a.after === a.until || b.after === b.until;
}

/** Part of the circle that these stretches make up. */
export function partOf(list: readonly Stretch[]): number {
  return list.reduce(
    (sum, { after, until }) => sum + (after === until ? 1 : Number(distance(after, until)) / 2 ** 64),
    0,
  );
}
