/** Rings far larger than those that fit into network namespaces: 100,000 nodes that ship, a million by arithmetic. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { OverlayError } from '../overlay/errors.ts';
import { systemClock } from '../overlay/lib/clock.ts';
import { seededRng } from '../overlay/lib/rng.ts';
import { HEARTBEAT_MS } from '../overlay/om-api.ts';
import type { Benchmark, Figure } from './benchmark.ts';
import { drawChart } from './chart.ts';
import type { ScaleRun } from './models/scale-run.ts';
import { StaticRing } from './models/static-ring.ts';
import { describeSetting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { quantile, rounded } from './statistics.ts';

const PROGRAM = fileURLToPath(new URL('./models/scale-run.ts', import.meta.url));
const SIZES = [1000, 10_000, 100_000] as const;
const PERIOD_S = 30;
const HEAP_MB = 19_000;
const STATIC_NODES = [10_000, 100_000, 1_000_000] as const;
const STATIC_LOOKUPS = 20_000;
const FAILED_PARTS = [0, 0.1, 0.3] as const;
const SUCCESSORS = 4;

async function simulate(nodes: number, say: (line: string) => void): Promise<ScaleRun> {
  const args = [`--max-old-space-size=${HEAP_MB}`, PROGRAM, String(nodes), String(PERIOD_S)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = (): void => void child.kill('SIGKILL');
  process.once('exit', stop);
  const ended = once(child, 'close');
  let [printed, last] = ['', ''];
  child.stdout.on('data', (text: Buffer) => {
    printed += text.toString();
  });
  for await (const line of createInterface(child.stderr)) {
    last = line;
    say(`${nodes} nodes: ${line}`);
  }
  const [code] = (await ended) as [number | null];
  process.off('exit', stop);
  if (code !== 0) throw new OverlayError('SYSTEM', `The simulation of ${nodes} nodes ended with ${code}: ${last}`);
  return JSON.parse(printed) as ScaleRun;
}

/** As many at once as there are processors, the largest first: it takes the longest by far. */
async function simulateAll(sizes: readonly number[], say: (line: string) => void): Promise<ScaleRun[]> {
  const left = [...sizes].sort((a, b) => b - a);
  const runs: ScaleRun[] = [];
  const lane = async (): Promise<void> => {
    for (let nodes = left.shift(); nodes !== undefined; nodes = left.shift()) runs.push(await simulate(nodes, say));
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), sizes.length) }, lane));
  return runs.sort((a, b) => a.nodes - b.nodes);
}

type StaticRun = {
  readonly nodes: number;
  readonly failed: number;
  readonly lookups: number;
  readonly lost: number;
  readonly median: number;
  readonly p99: number;
  readonly wallS: number;
};

function walkStatic(nodes: number, failed: number): StaticRun {
  const rng = seededRng(nodes);
  const started = systemClock.now();
  const rttMs = (): number => 1;
  const ring = new StaticRing({ nodes, seed: nodes, proximity: 'none', successors: SUCCESSORS, rttMs });
  ring.fail(failed);
  const walks = Array.from({ length: STATIC_LOOKUPS }, () => ring.randomWay(rng) ?? { hops: 0, isRight: true });
  const hops = walks.filter(({ isRight }) => isRight).map((walk) => walk.hops);
  return {
    nodes,
    failed,
    lookups: walks.length,
    lost: walks.length - hops.length,
    median: quantile(hops, 0.5),
    p99: quantile(hops, 0.99),
    wallS: (systemClock.now() - started) / 1000,
  };
}

function simulatedTable(runs: readonly ScaleRun[]): string {
  const row = (name: string, of: (run: ScaleRun) => string): string[] => [name, ...runs.map(of)];
  return markdownTable(
    ['nodes', ...runs.map(({ nodes }) => nodes.toLocaleString('en'))],
    [
      row('all had begun to join after, s', ({ joinedS }) => joinedS.toFixed(0)),
      row('ideal after, s', ({ idealS }) => idealS.toFixed(0)),
      row('½·log2 N', ({ nodes }) => (Math.log2(nodes) / 2).toFixed(1)),
      row('hops of a lookup: median, 99th percentile, most', ({ hops }) => `${hops.median}, ${hops.p99}, ${hops.most}`),
      row('lookups under churn', ({ lookups }) => String(lookups)),
      row('of these not answered, or with a wrong owner', ({ unanswered, wrong }) => `${unanswered}, ${wrong}`),
      row('datagrams of a node, per second', ({ datagrams }) => rounded(datagrams)),
      row('bytes of a node, per second', ({ bytes }) => rounded(bytes)),
      row('tunnels of a node: mean, 99th percentile, most', ({ tunnels }) =>
        [tunnels.mean.toFixed(1), tunnels.p99, tunnels.most].join(', '),
      ),
      row('bootstrap requests to the overlay manager, per second', ({ bootstraps }) => rounded(bootstraps)),
      row('heartbeats to it, per second', ({ nodes }) => rounded((nodes * 1000) / HEARTBEAT_MS)),
      row('ideal after the churn, s', ({ idealAgainS }) => idealAgainS.toFixed(0)),
      row('processor time of the simulation, s', ({ processorS }) => processorS.toFixed(0)),
      row('memory of the simulator, GB', ({ residentGb }) => residentGb.toFixed(1)),
    ],
  );
}

export const scale: Benchmark = {
  name: 'scale',
  about: `rings of up to ${SIZES.at(-1)?.toLocaleString('en')} nodes under churn, simulated; lookups in a million`,
  async run(say, { only }) {
    const sizes = SIZES.filter((size) => only.length === 0 || only.includes(String(size)));
    const runs = await simulateAll(sizes, say);
    const statics: StaticRun[] = [];
    for (const nodes of STATIC_NODES) {
      for (const failed of FAILED_PARTS) {
        say(`${nodes} nodes by arithmetic, ${100 * failed} % of them failed`);
        statics.push(walkStatic(nodes, failed));
        // So that an interrupt is heard.
        await setImmediate();
      }
    }
    const staticTable = markdownTable(
      ['nodes', 'failed at once', 'lookups', 'lost', 'hops: median', '99th percentile'],
      statics.map(({ nodes, failed, lookups, lost, median, p99 }) => [
        nodes.toLocaleString('en'),
        `${100 * failed} %`,
        String(lookups),
        String(lost),
        String(median),
        String(p99),
      ]),
    );
    const markdown = `# Large rings

\`npm run bench -- scale --results\`. ${describeSetting(await settingOf([]))}

## Under churn, simulated

The code that ships, in the simulator (\`docs/simulation.md\`): unnumbered links, period of stabilisation ${PERIOD_S} s, every finger
looked up once in ${5 * PERIOD_S} s. 500 nodes a second begin to join. Then 10 minutes in which 1 % of the nodes lose power in each
minute and as many join, and 100 lookups a second, of random keys from random members. An owner counts as right if it was that when the
question was put or when it was answered. The sizes run at the same time, each on a processor.

${simulatedTable(runs)}

## By arithmetic

Each node's routes by the same code from an ideal ring's view of that node, successor lists of ${SUCCESSORS}. Failed nodes are missing from the
routes of their neighbours, and nothing has been repaired: the moment at which all have noticed. Lost: a lookup that did not end at the
first living node after the key.

${staticTable}

![Hops of a lookup](scale.svg)
`;
    const bars = [
      ...runs.map(({ nodes, hops }) => ({ name: `${nodes} simulated`, value: hops.median })),
      ...statics
        .filter(({ failed }) => failed === 0)
        .map((run) => ({ name: `${run.nodes} static`, value: run.median })),
    ];
    const figures = runs.flatMap((run): Figure[] => [
      { name: `${run.nodes} nodes: hops`, value: run.hops.median, unit: '' },
      { name: `${run.nodes} nodes: lookups unanswered or wrong`, value: run.unanswered + run.wrong, unit: '' },
      { name: `${run.nodes} nodes: processor time`, value: run.processorS, unit: 's' },
    ]);
    const svg = drawChart('Hops of a lookup, median', [{ kind: 'bars', title: 'hops', bars }]);
    return { name: 'scale', figures, samples: { runs, statics }, report: { markdown, svg } };
  },
};
