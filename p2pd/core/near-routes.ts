/**
 * Proximity route selection: Chord's routes, each stretch of which may go to another neighbour than the last one before
 * it, if that promises a shorter way in milliseconds.
 *
 * It cannot make loops. A route is changed only where plain Chord sends (after, until] to a node at or before `after`, and
 * only to neighbours that lie there too: clockwise from this node and before every id of the stretch. So each hop gets
 * strictly nearer to the id on the circle, as each hop of plain Chord does, and no id comes by one node twice. Where a
 * stretch goes to the node at its own end, which answers for it, nothing is chosen. At least PROGRESS_SHARE of the plain
 * hop's progress is demanded, so that the number of hops stays logarithmic.
 */
import { between, distance, type Id, toId } from '../../overlay/id.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import { PIECES, PROGRESS_SHARE } from './limits.ts';

export type NearView = {
  readonly self: Id;
  /** Neighbours with a tunnel and their round-trip times, milliseconds. */
  readonly hops: readonly { readonly id: Id; readonly rttMs: number }[];
  /** Estimated distance between two members that follow each other. */
  readonly spacing: number;
};

type Hop = { readonly id: Id; readonly away: bigint; readonly at: number; readonly rttMs: number };

/** The same stretches or parts of them, and perhaps other neighbours. */
export function nearRoutes(routes: readonly RdRoute[], view: NearView): RdRoute[] {
  const { self } = view;
  const hops = view.hops
    .map(({ id, rttMs }): Hop => ({ id, away: distance(self, id), at: Number(distance(self, id)), rttMs }))
    .filter(({ away }) => away > 0n)
    .sort((a, b) => a.at - b.at);
  if (hops.length < 2) return [...routes];
  const usualMs = medianRtt(hops);
  const near: RdRoute[] = [];
  const add = (route: RdRoute): void => {
    const last = near.at(-1);
    if (last?.to === route.to && last.until === route.after) near[near.length - 1] = { ...last, until: route.until };
    else near.push(route);
  };
  for (const route of routes) {
    const { after, until, to } = route;
    // What comes up to the neighbour itself is its own; what lies beyond it is a matter of choice.
    const isPassed = after !== self && (to === after || between(self, to, after));
    const isChoice = to !== self && (isPassed || between(after, to, until));
    const plain = isChoice ? hops.find(({ id }) => id === to) : undefined;
    if (plain === undefined) {
      add(route);
      continue;
    }
    const start = isPassed ? after : to;
    if (start !== after) add({ after, until: start, to });
    for (const piece of piecesOf(start, until)) {
      const middle = Number(distance(self, piece.after)) + Number(distance(piece.after, piece.until)) / 2;
      add({ ...piece, to: choose(plain, hops, distance(self, piece.after), middle, usualMs, view.spacing).id });
    }
  }
  return near;
}

/** The way is the hop's own time, and the usual time for each hop that is then expected to remain. */
function choose(
  plain: Hop,
  hops: readonly Hop[],
  before: bigint,
  target: number,
  usualMs: number,
  spacing: number,
): Hop {
  const costOf = (hop: Hop): number => hop.rttMs + usualMs * hopsLeft(target - hop.at, spacing);
  let best = plain;
  let bestCost = costOf(plain);
  for (const hop of hops) {
    if (hop.away > before) break;
    if (hop.at < plain.at * PROGRESS_SHARE) continue;
    const cost = costOf(hop);
    if (cost >= bestCost) continue;
    best = hop;
    bestCost = cost;
  }
  return best;
}

/** Chord halves the distance in half of its hops. */
function hopsLeft(away: number, spacing: number): number {
  return away <= spacing ? 1 : 1 + Math.log2(away / spacing) / 2;
}

/** A stretch is cut into parts, since what is best at its beginning need not be so at its end. */
function piecesOf(after: Id, until: Id): { after: Id; until: Id }[] {
  const length = distance(after, until);
  if (length < BigInt(PIECES)) return [{ after, until }];
  const ends = Array.from({ length: PIECES }, (_, i) => toId(after + (length * BigInt(i + 1)) / BigInt(PIECES)));
  return ends.map((end, i) => ({ after: ends[i - 1] ?? after, until: end }));
}

function medianRtt(hops: readonly Hop[]): number {
  const times = hops.map(({ rttMs }) => rttMs).sort((a, b) => a - b);
  return times[Math.floor(times.length / 2)] as number;
}
