/** The few statistics that the benchmarks use. */

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear between the two nearest of the sorted values; `share` 0 is the least, 1 the largest. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('there is no quantile of nothing');
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const lower = sorted[Math.floor(at)] as number;
  const upper = sorted[Math.ceil(at)] as number;
  return lower + (upper - lower) * (at - Math.floor(at));
}

/**
 * Median of the ratios round by round: what slows the whole machine for a round slows both, and cancels out. Rounds in
 * which either is missing do not count; null where none is left.
 */
export function medianRatio(
  numerators: readonly (number | undefined)[],
  denominators: readonly (number | undefined)[],
): number | null {
  const ratios = numerators.flatMap((numerator, round) => {
    const denominator = denominators[round];
    return numerator === undefined || denominator === undefined || denominator === 0 ? [] : [numerator / denominator];
  });
  return ratios.length === 0 ? null : median(ratios);
}

/** Median of those that are there; undefined where none is. */
export function medianOf(values: readonly (number | undefined)[]): number | undefined {
  const present = values.filter((value) => value !== undefined);
  return present.length === 0 ? undefined : median(present);
}

/** Three significant digits, without an exponent. */
export function rounded(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '-';
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 6));
}
