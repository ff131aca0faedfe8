/** What proximity saves in large rings at rest, on a model of the Internet's round-trip times. */
import { table } from '../cli/output.ts';
import { below, seededRng } from '../overlay/lib/rng.ts';
import { LatencyModel } from '../test/sim/latency.ts';
import { type Benchmark, type BenchmarkResult, chosen } from './benchmark.ts';
import { COLORS, drawChart, type Panel } from './chart.ts';
import { StaticRing } from './models/static-ring.ts';
import { describeSetting, type Setting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { median, quantile, rounded } from './statistics.ts';
import { MODES, type Mode, type Summary, summaryOf } from './stretch.ts';

const SIZES = [1000, 10_000] as const;
const SUCCESSORS = 4;
const WAYS = 20_000;
const ROUNDS = 3;
const MODEL_PAIRS = 200_000;

type Sample = Summary & {
  readonly nodes: number;
  readonly mode: Mode;
  readonly round: number;
  readonly neighbours: number;
};

type Model = { readonly nodes: number; readonly medianMs: number; readonly meanMs: number; readonly p90Ms: number } & {
  readonly p99Ms: number;
  /** Share of triples whose detour by the third node is shorter than the straight way. */
  readonly violations: number;
};

function modelOf(model: LatencyModel): Model {
  const rng = seededRng(1);
  const times: number[] = [];
  let violations = 0;
  for (let i = 0; i < MODEL_PAIRS; i++) {
    const [a, b, c] = [below(rng, model.nodes), below(rng, model.nodes), below(rng, model.nodes)];
    if (a === b) continue;
    const rttMs = model.rttMs(a, b);
    times.push(rttMs);
    if (c !== a && c !== b && model.rttMs(a, c) + model.rttMs(c, b) < rttMs) violations++;
  }
  return {
    nodes: model.nodes,
    medianMs: median(times),
    meanMs: times.reduce((sum, ms) => sum + ms, 0) / times.length,
    p90Ms: quantile(times, 0.9),
    p99Ms: quantile(times, 0.99),
    violations: violations / times.length,
  };
}

function sampleOf(model: LatencyModel, mode: Mode, round: number): Sample {
  const { nodes } = model;
  const rttMs = (a: number, b: number): number => model.rttMs(a, b);
  const ring = new StaticRing({ nodes, seed: round, proximity: mode, successors: SUCCESSORS, rttMs });
  // The same pairs in each mode.
  const rng = seededRng(1_000_000 + round);
  const ways = Array.from({ length: WAYS }, () => ring.randomWay(rng)).filter((way) => way !== undefined);
  if (ways.some(({ isRight }) => !isRight))
    throw new Error(`a packet did not arrive in a ring of ${nodes} nodes at rest`);
  return { nodes, mode, round, neighbours: ring.neighboursMean, ...summaryOf(ways) };
}

const HEADINGS = ['nodes', 'proximity', 'stretch, median', 'mean', '90 %', 'of means', 'path, ms', 'hops', 'tunnels'];

/** The median of the rounds, by size and mode. */
function rowsOf(samples: readonly Sample[]): (Omit<Sample, 'round'> & { cells: string[] })[] {
  const keys = [...new Set(samples.map(({ nodes, mode }) => `${nodes} ${mode}`))];
  return keys.map((key) => {
    const of = samples.filter(({ nodes, mode }) => `${nodes} ${mode}` === key);
    const middle = (field: Exclude<keyof Sample, 'mode'>): number => median(of.map((sample) => sample[field]));
    const { nodes, mode } = of[0] as Sample;
    const row = {
      nodes,
      mode,
      stretchMedian: middle('stretchMedian'),
      stretchMean: middle('stretchMean'),
      stretchP90: middle('stretchP90'),
      stretchOfMeans: middle('stretchOfMeans'),
      pathMs: middle('pathMs'),
      directMs: middle('directMs'),
      hops: middle('hops'),
      neighbours: middle('neighbours'),
    };
    const { stretchMedian, stretchMean, stretchP90, stretchOfMeans, pathMs, hops, neighbours } = row;
    const numbers = [stretchMedian, stretchMean, stretchP90, stretchOfMeans, pathMs, hops, neighbours];
    return { ...row, cells: [String(nodes), mode, ...numbers.map((value) => rounded(value))] };
  });
}

function reportOf(
  samples: readonly Sample[],
  models: readonly Model[],
  setting: Setting,
): NonNullable<BenchmarkResult['report']> {
  const rows = rowsOf(samples);
  const panels = [...new Set(rows.map(({ nodes }) => nodes))].flatMap((nodes): Panel[] => {
    const of = rows.filter((row) => row.nodes === nodes);
    const bars = (field: 'stretchMedian' | 'hops') =>
      of.map((row) => ({
        name: row.mode,
        value: Number(rounded(row[field])),
        color: row.mode === 'none' ? COLORS.others : COLORS.ours,
      }));
    return [
      { kind: 'bars', title: `${nodes} nodes: stretch, median`, bars: bars('stretchMedian') },
      { kind: 'bars', title: `${nodes} nodes: hops, mean`, bars: bars('hops') },
    ];
  });
  const modelRows = models.map(({ nodes, medianMs, meanMs, p90Ms, p99Ms, violations }) => [
    String(nodes),
    ...[medianMs, meanMs, p90Ms, p99Ms].map((ms) => rounded(ms)),
    `${rounded(100 * violations)} %`,
  ]);
  const markdown = `# Proximity in large rings

\`npm run bench -- proximity --results\`; what it does is said in [proximity.md](../proximity.md). ${describeSetting(setting)}

${markdownTable(
  HEADINGS,
  rows.map(({ cells }) => cells),
)}

Stretch: time on the overlay's path to the straight path's, pair by pair; "of means": mean path to mean straight path. Medians
of the rounds, ${WAYS} ways to random keys in each.

![stretch and hops](proximity.svg)

## The round-trip times

As drawn by [test/sim/latency.ts](../../test/sim/latency.ts), milliseconds; last the share of triples that break the triangle
inequality.

${markdownTable(['nodes', 'median', 'mean', '90 %', '99 %', 'triangle broken'], modelRows)}
`;
  return { markdown, svg: drawChart('Proximity: stretch and hops', panels) };
}

export const proximity: Benchmark = {
  name: 'proximity',
  about: `stretch and hops with and without proximity, rings of ${SIZES.join(' and ')} nodes, simulated`,
  async run(say, options) {
    const samples: Sample[] = [];
    const models: Model[] = [];
    const rounds = options.rounds ?? ROUNDS;
    const sizes = chosen(SIZES.map(String), options.only).map(Number);
    for (const nodes of sizes) {
      for (let round = 1; round <= rounds; round++) {
        const model = new LatencyModel({ seed: round, nodes });
        if (round === 1) models.push(modelOf(model));
        for (const mode of chosen(MODES, options.only)) {
          say(`${nodes} nodes, ${mode}, round ${round} of ${rounds}`);
          samples.push(sampleOf(model, mode, round));
        }
      }
    }
    const rows = rowsOf(samples);
    const figures = rows.flatMap((row) => [
      { name: `${row.nodes} nodes ${row.mode}: stretch, median`, value: row.stretchMedian, unit: '' },
      { name: `${row.nodes} nodes ${row.mode}: hops, mean`, value: row.hops, unit: '' },
    ]);
    return {
      name: 'proximity',
      figures,
      samples: { samples, models },
      table: table(
        HEADINGS,
        rows.map(({ cells }) => cells),
      ),
      report: reportOf(samples, models, await settingOf([])),
    };
  },
};
