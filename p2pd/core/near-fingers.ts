/**
 * Proximity neighbour selection: a finger for the stretch from 2^bit to 2^(bit+1) may be any node of the stretch, and of
 * those that are known the nearest on the base network is taken.
 */
import { distance, type Id } from '../../overlay/id.ts';
import { NEARER_MS, NEARER_SHARE } from './limits.ts';

/** The bit of the finger for whose stretch `id` qualifies; `id` is not `self`. */
export function bitOf(self: Id, id: Id): number {
  return distance(self, id).toString(2).length - 1;
}

/** Whether `rttMs` is so much less than `thanMs` that a change is worth its cost; near ties would flap. */
export function isClearlyNearer(rttMs: number, thanMs: number): boolean {
  return rttMs <= thanMs * NEARER_SHARE && rttMs <= thanMs - NEARER_MS;
}

/**
 * The nearest of `candidates` if it is clearly nearer than `current`, else `current`. One whose round-trip time is not
 * known is neither taken nor given up.
 */
export function nearest(current: Id, candidates: Iterable<Id>, rttOf: (id: Id) => number | undefined): Id {
  const currentMs = rttOf(current);
  if (currentMs === undefined) return current;
  let best = current;
  let bestMs = currentMs;
  for (const id of candidates) {
    const rttMs = rttOf(id);
    if (rttMs === undefined || rttMs >= bestMs) continue;
    best = id;
    bestMs = rttMs;
  }
  return isClearlyNearer(bestMs, currentMs) ? best : current;
}
