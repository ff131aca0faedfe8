/** What every benchmark takes and gives. */

export type Figure = { readonly name: string; readonly value: number; readonly unit: string };

/** From the command line; what is absent is the benchmark's own default. */
export type BenchmarkOptions = {
  readonly rounds?: number;
  /** Length of one measurement of throughput. */
  readonly seconds?: number;
  /** Length of the soak. */
  readonly minutes?: number;
  /** Names of variants and of measures; empty: all of them. */
  readonly only: readonly string[];
};

/** For docs/results: NAME.md, and NAME.svg. */
export type Report = { readonly markdown: string; readonly svg?: string };

export type BenchmarkResult = {
  readonly name: string;
  readonly figures: readonly Figure[];
  /** Everything measured, from which the figures are made. */
  readonly samples: unknown;
  /** Printed in place of the figures. */
  readonly table?: string;
  readonly report?: Report;
  /** True: something that had to hold did not. */
  readonly failed?: boolean;
};

export type Benchmark = {
  readonly name: string;
  /** One line. */
  readonly about: string;
  readonly run: (say: (line: string) => void, options: BenchmarkOptions) => Promise<BenchmarkResult>;
};

/** The names among `all` that were asked for; all where none of them was. */
export function chosen<Name extends string>(all: readonly Name[], only: readonly string[]): readonly Name[] {
  const some = all.filter((name) => only.includes(name));
  return some.length === 0 ? all : some;
}
