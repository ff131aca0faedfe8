/** How much longer overlay paths are than straight ones. */
import type { Proximity } from '../overlay/vi.ts';
import { median, quantile } from './statistics.ts';

export type Mode = Proximity;
export const MODES: readonly Mode[] = ['none', 'pns', 'prs', 'both'];

/** Times are one way, or all of them there and back. */
export type Path = { readonly hops?: number; readonly pathMs: number; readonly directMs: number };

export type Summary = {
  readonly stretchMedian: number;
  readonly stretchMean: number;
  readonly stretchP90: number;
  /** Mean path to mean straight path: short straight paths, whose stretch is large, count for little. */
  readonly stretchOfMeans: number;
  readonly pathMs: number;
  readonly directMs: number;
  /** Mean of those that are known; NaN where none is. */
  readonly hops: number;
};

export function summaryOf(paths: readonly Path[]): Summary {
  const stretches = paths.map(({ pathMs, directMs }) => pathMs / directMs);
  const pathMs = mean(paths.map((path) => path.pathMs));
  const directMs = mean(paths.map((path) => path.directMs));
  return {
    stretchMedian: median(stretches),
    stretchMean: mean(stretches),
    stretchP90: quantile(stretches, 0.9),
    stretchOfMeans: pathMs / directMs,
    pathMs,
    directMs,
    hops: mean(paths.flatMap(({ hops }) => hops ?? [])),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
