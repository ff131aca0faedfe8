/** Rings far larger than those that fit into network namespaces: 100,000 nodes that ship, a million by arithmetic. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, totalmem } from 'node:os';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { OverlayError } from '../overlay/errors.ts';
import { systemClock } from '../overlay/lib/clock.ts';
import { seededRng } from '../overlay/lib/rng.ts';
import type { Benchmark, Figure } from './benchmark.ts';
import { MachineSettings } from './lab/machine-settings.ts';
import { measureManager } from './lab/manager-load.ts';
import type { ScaleRun } from './models/scale-run.ts';
import { StaticRing } from './models/static-ring.ts';
import { reportOf, type StaticRun } from './report/large-rings.ts';
import { settingOf } from './report/machine.ts';
import { quantile } from './statistics.ts';

const PROGRAM = fileURLToPath(new URL('./models/scale-run.ts', import.meta.url));
const SIZES = [1000, 10_000, 100_000] as const;
/** Joins to larger rings take longer than all the rest. */
const JOINED_MAX = 10_000;
const PERIOD_S = 60;
/** What a ring takes in all, about: 100,000 nodes keep 11 GB, and most of a ring's making is garbage, scattered among them. */
const memoryMbOf = (nodes: number): number => 500 + 0.19 * nodes;
/** Near the bound of its heap, the engine would do nothing but look for garbage. It is the machine that bounds it here. */
const BOUND_FACTOR = 1.5;
/** It looks for garbage whenever the heap has grown by so much; left to itself it would wait for twice the size. */
const GROWING_PERCENT = 20;
/** More would save a fifth of the time, and take half as much memory again. */
const YOUNG_MB = 32;
/** The engine maps its heap in pieces of 256 KB; the system's usual bound on maps of a process ends it at 16 GB. */
const MAPS = 262_144;
const STATIC_NODES = [10_000, 100_000, 1_000_000] as const;
const STATIC_LOOKUPS = 20_000;
const FAILED_PARTS = [0, 0.1, 0.3] as const;
const SUCCESSORS = 4;
const MANAGER_SECONDS = 5;

type Size = { readonly nodes: number; readonly built: ScaleRun['built'] };

async function simulate({ nodes, built }: Size, say: (line: string) => void): Promise<ScaleRun> {
  const args = [
    `--max-old-space-size=${Math.round(BOUND_FACTOR * memoryMbOf(nodes))}`,
    `--max-semi-space-size=${YOUNG_MB}`,
    `--heap-growing-percent=${GROWING_PERCENT}`,
    PROGRAM,
    String(nodes),
    String(PERIOD_S),
    built,
  ];
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
    say(`${nodes} nodes, ${built}: ${line}`);
  }
  const [code] = (await ended) as [number | null];
  process.off('exit', stop);
  if (code !== 0) throw new OverlayError('SYSTEM', `The simulation of ${nodes} nodes ended with ${code}: ${last}`);
  return JSON.parse(printed) as ScaleRun;
}

/** Those that take most of the memory one by one, then as many at once as there are processors. */
async function simulateAll(sizes: readonly Size[], say: (line: string) => void): Promise<ScaleRun[]> {
  const isAlone = ({ nodes }: Size): boolean => memoryMbOf(nodes) * 1e6 > totalmem() / 2;
  const left = sizes.filter((size) => !isAlone(size)).sort((a, b) => b.nodes - a.nodes);
  const runs: ScaleRun[] = [];
  const settings = new MachineSettings();
  settings.raise('vm.max_map_count', MAPS);
  const restore = (): void => settings.restore();
  process.once('exit', restore);
  const lane = async (): Promise<void> => {
    for (let size = left.shift(); size !== undefined; size = left.shift()) runs.push(await simulate(size, say));
  };
  try {
    for (const size of sizes.filter(isAlone)) runs.push(await simulate(size, say));
    await Promise.all(Array.from({ length: Math.min(availableParallelism(), sizes.length) }, lane));
  } finally {
    process.off('exit', restore);
    restore();
  }
  return runs.sort((a, b) => a.nodes - b.nodes || a.built.localeCompare(b.built));
}

function nameOf({ nodes, built }: ScaleRun): string {
  return `${nodes} nodes, ${built}`;
}

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

/** The largest that joins is laid as well: the two must not differ in what is measured. */
function waysOf(nodes: number): Size[] {
  if (nodes < JOINED_MAX) return [{ nodes, built: 'joined' }];
  const laid = { nodes, built: 'laid' } as const;
  return nodes === JOINED_MAX ? [{ nodes, built: 'joined' }, laid] : [laid];
}

export const scale: Benchmark = {
  name: 'scale',
  about: `rings of up to ${SIZES.at(-1)?.toLocaleString('en')} nodes under churn, simulated; lookups in a million`,
  async run(say, { only }) {
    const sizes = SIZES.filter((size) => only.length === 0 || only.includes(String(size))).flatMap(waysOf);
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
    say('a real overlay manager');
    const manager = await measureManager(MANAGER_SECONDS);
    const figures = runs.flatMap((run): Figure[] => [
      { name: `${nameOf(run)}: hops`, value: run.hops.median, unit: '' },
      { name: `${nameOf(run)}: lookups unanswered or wrong`, value: run.unanswered + run.wrong, unit: '' },
      { name: `${nameOf(run)}: processor time`, value: run.processorS, unit: 's' },
    ]);
    const measured = { periodS: PERIOD_S, successors: SUCCESSORS, runs, statics, manager };
    const report = reportOf(measured, await settingOf([]));
    return { name: 'scale', figures, samples: { runs, statics, manager }, report };
  },
};
