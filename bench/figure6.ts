/**
 * The paper's figure 6: what the address server has to do, against the number of nodes and against how often nodes come
 * and go, for three periods of stabilisation.
 */
import { availableParallelism } from 'node:os';
import { runCrew } from '../test/sim/crew.ts';
import type { Benchmark } from './benchmark.ts';
import { drawChart, type LinePanel } from './chart.ts';
import { type Load, MEASURED_S, type Scene, SETTLE_PERIODS } from './models/address-load.ts';
import { describeSetting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { rounded } from './statistics.ts';

const PERIODS_S = [1, 5, 30] as const;
const SIZES = [100, 300, 1000, 3000, 10_000] as const;
const SIZE_OF_CHURN = 1000;
/** Joins and departures together, per second. */
const RATES = [0.1, 0.3, 1, 3, 10, 30, 100] as const;
const WORKER = new URL('./models/address-load-worker.ts', import.meta.url);

const numbered = (nodes: number, periodS: number, perSecond: number): Scene => ({
  nodes,
  periodS,
  perSecond,
  links: 'numbered',
});
const BY_SIZE = PERIODS_S.map((periodS) => SIZES.map((nodes) => numbered(nodes, periodS, 1)));
const BY_RATE = PERIODS_S.map((periodS) => RATES.map((rate) => numbered(SIZE_OF_CHURN, periodS, rate)));
const UNNUMBERED: Scene = { nodes: SIZE_OF_CHURN, periodS: 1, perSecond: 10, links: 'unnumbered' };

/** On all processors; those that take long come first. */
async function measureAll(say: (line: string) => void): Promise<ReadonlyMap<Scene, Load>> {
  const scenes = [...BY_SIZE.flat(), ...BY_RATE.flat(), UNNUMBERED];
  const tasks = scenes.toSorted((a, b) => b.nodes / b.periodS - a.nodes / a.periodS);
  const loads = new Map<Scene, Load>();
  const ended = (load: Load, scene: Scene): void => {
    loads.set(scene, load);
    const { nodes, periodS, perSecond, links } = scene;
    const what = `${nodes} nodes, ${links}, period ${periodS} s, ${perSecond} joins and departures per second`;
    say(`${loads.size} of ${scenes.length}: ${what}: ${rounded(load.blocks)} requests per second`);
  };
  say(`${scenes.length} rings, the largest first`);
  await runCrew({ program: WORKER, tasks, workers: availableParallelism(), ended });
  return loads;
}

function panel(title: string, xTitle: string, x: readonly number[], loads: readonly (readonly Load[])[]): LinePanel {
  const lines = PERIODS_S.flatMap((periodS, i) => [
    { name: `${periodS} s, one for each tunnel`, values: (loads[i] ?? []).map(({ perTunnel }) => perTunnel) },
    { name: `${periodS} s, blocks`, values: (loads[i] ?? []).map(({ blocks }) => blocks) },
  ]);
  return { kind: 'lines', title, xTitle, x: x.map(String), lines };
}

export const figure6: Benchmark = {
  name: 'figure6',
  about: 'the paper’s figure 6: address requests against the number of nodes and against churn, simulated',
  async run(say) {
    const loads = await measureAll(say);
    const bySize = BY_SIZE.map((scenes) => scenes.map((scene) => loads.get(scene) as Load));
    const byRate = BY_RATE.map((scenes) => scenes.map((scene) => loads.get(scene) as Load));
    const unnumbered = loads.get(UNNUMBERED) as Load;
    const cells = (loads: readonly (readonly Load[])[], at: number): string[] =>
      loads.flatMap((list) => [rounded(list[at]?.perTunnel), rounded(list[at]?.blocks)]);
    const headings = (first: string): string[] => [
      first,
      ...PERIODS_S.flatMap((periodS) => [`${periodS} s: per tunnel`, 'blocks']),
    ];
    const sizes = markdownTable(
      headings('nodes'),
      SIZES.map((nodes, at) => [String(nodes), ...cells(bySize, at)]),
    );
    const rates = markdownTable(
      headings('per second'),
      RATES.map((rate, at) => [String(rate), ...cells(byRate, at)]),
    );
    const markdown = `# Load of the address server: the paper's figure 6

\`npm run bench -- figure6 --results\`. ${describeSetting(await settingOf([]))}

Requests and releases per second, in the simulator (\`docs/simulation.md\`), ${MEASURED_S} s of each. Rings begin as if their nodes had joined long
ago; then churn goes on for ${SETTLE_PERIODS} periods before it is measured. Departures are power failures; joins and departures take turns. **per
tunnel**: one for each tunnel that is made and one for each that goes, which is how the paper's resource daemons asked.
**blocks**: what ours ask, which lease link pairs in blocks and keep them. Unnumbered VIs ask for none (${rounded(unnumbered.blocks)} per second were
counted with ${SIZE_OF_CHURN} nodes, a period of 1 s and 10 joins and departures per second).

## Against the number of nodes, one join or departure per second

${sizes}

## Against joins and departures per second, ${SIZE_OF_CHURN} nodes

${rates}

![Requests and releases per second](figure6.svg)
`;
    const panels = [
      panel('requests per second, one join or departure per second', 'nodes', SIZES, bySize),
      panel(`requests per second, ${SIZE_OF_CHURN} nodes`, 'joins and departures per second', RATES, byRate),
    ];
    const figures = [bySize, byRate].flat(2).map(({ nodes, periodS, perSecond, blocks }) => ({
      name: `${nodes} nodes, period ${periodS} s, ${perSecond}/s: requests`,
      value: blocks,
      unit: '/s',
    }));
    const report = { markdown, svg: drawChart('What the address server is asked', panels) };
    return { name: 'figure6', figures, samples: { bySize, byRate, unnumbered }, report };
  },
};
