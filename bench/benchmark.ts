/** What every benchmark is and gives. */

export type Figure = { readonly name: string; readonly value: number; readonly unit: string };

export type BenchmarkResult = {
  readonly name: string;
  readonly figures: readonly Figure[];
  /** Everything measured, from which the figures are made. */
  readonly samples: unknown;
};

export type Benchmark = {
  readonly name: string;
  /** One line. */
  readonly about: string;
  readonly run: (say: (line: string) => void) => Promise<BenchmarkResult>;
};

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('there is no median of nothing');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}
