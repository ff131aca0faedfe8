/** What proximity saves between real nodes, in namespaces that are as far from each other as a model of the Internet says. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inParallel, keyAddressOf } from '../cli/demo/check.ts';
import type { Machine } from '../cli/demo/machine.ts';
import { run as runCommand, within } from '../cli/demo/namespaces.ts';
import { World } from '../cli/demo/world.ts';
import { table } from '../cli/output.ts';
import { ownerOf } from '../cli/ring-picture.ts';
import type { Id } from '../overlay/id.ts';
import { toId } from '../overlay/id.ts';
import { type Rng, seededRng } from '../overlay/lib/rng.ts';
import type { NodeStatus } from '../overlay/messages/control.ts';
import { LatencyModel } from '../test/sim/latency.ts';
import { type Benchmark, chosen } from './benchmark.ts';
import { COLORS, drawChart } from './chart.ts';
import { layDistances } from './lab/distances.ts';
import { inWorld } from './lab/lab.ts';
import { parsePing } from './measure/round-trip.ts';
import { describeSetting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { median, rounded } from './statistics.ts';
import { MODES, type Mode, type Path, type Summary, summaryOf } from './stretch.ts';

const NODES = 24;
const SIZES = [16, 24, 32] as const;
const VI = 'far';
/** Few, so that a small ring has use for fingers. */
const SUCCESSORS = 2;
const SETTLE_SECONDS = 90;
const KEYS_PER_NODE = 12;
const PINGS = 5;
const PING_SECONDS = 0.2;
const WAIT_SECONDS = 3;
const AT_ONCE = 4;
const SEED = 1;

type Sample = Summary & { readonly mode: Mode; readonly unanswered: number; readonly paths: readonly Path[] };

/** The least of some round-trip times, as what is left is the way; undefined where none was answered. */
async function leastMs(machine: Machine, address: string): Promise<number | undefined> {
  const command = ['ping', '-n', '-c', String(PINGS), '-i', String(PING_SECONDS), '-W', String(WAIT_SECONDS), address];
  const { stdout } = await runCommand(within(machine.namespace, command));
  const times = parsePing(stdout);
  return times.length === 0 ? undefined : Math.min(...times);
}

function randomId(rng: Rng): Id {
  return toId((BigInt(rng.uint32()) << 32n) | BigInt(rng.uint32()));
}

/** Pings of random keys through the overlay, and of the machines that answer for them straight. */
async function pathsOf(machines: readonly Machine[], nodes: readonly NodeStatus[]): Promise<(Path | undefined)[]> {
  const rng = seededRng(SEED);
  const jobs = nodes.flatMap((from, i) =>
    Array.from({ length: KEYS_PER_NODE }, () => randomId(rng)).flatMap((key) => {
      const owner = nodes.findIndex((node) => node.id === ownerOf(nodes, key)?.id);
      const [here, there] = [machines[i], machines[owner]];
      if (here === undefined || there === undefined || owner === i) return [];
      return [
        async (): Promise<Path | undefined> => {
          const pathMs = await leastMs(here, keyAddressOf(from, key));
          const directMs = await leastMs(here, there.ipv4);
          return pathMs === undefined || directMs === undefined ? undefined : { pathMs, directMs };
        },
      ];
    }),
  );
  return inParallel(jobs, AT_ONCE);
}

function sampleOf(mode: Mode, count: number, settleSeconds: number, say: (line: string) => void): Promise<Sample> {
  return inWorld(new World({ kind: 'pxb' }), async (world) => {
    await world.create();
    const machines = await world.addMachines(count);
    const model = new LatencyModel({ seed: SEED, nodes: count });
    await layDistances(world, machines, (a, b) => model.rttMs(a, b));
    await world.startOm();
    await world.createVi(VI, { proximity: mode, successors: SUCCESSORS });
    const invitation = await world.invite(VI, ['--uses', String(count)]);
    say(`${mode}: ${count} nodes join`);
    for (const machine of machines) await machine.mustJoin(invitation);
    await world.untilIdeal({ timeoutMs: 180_000 });
    say(`${mode}: measuring each other for ${settleSeconds} s`);
    await sleep(settleSeconds * 1000);
    const nodes = await world.untilIdeal({ timeoutMs: 60_000 });
    say(`${mode}: pinging ${KEYS_PER_NODE} keys from each`);
    const all = await pathsOf(machines, nodes);
    const paths = all.filter((path) => path !== undefined);
    return { mode, unanswered: all.length - paths.length, paths, ...summaryOf(paths) };
  });
}

const HEADINGS = ['proximity', 'stretch, median', 'mean', '90 %', 'of means', 'path, ms', 'straight, ms', 'unanswered'];

function cellsOf(sample: Sample): string[] {
  const { mode, stretchMedian, stretchMean, stretchP90, stretchOfMeans, pathMs, directMs, unanswered } = sample;
  const numbers = [stretchMedian, stretchMean, stretchP90, stretchOfMeans, pathMs, directMs];
  return [mode, ...numbers.map((value) => rounded(value)), String(unanswered)];
}

export const proximityLive: Benchmark = {
  name: 'proximity-live',
  about: `stretch by pings with and without proximity, ${NODES} real nodes (--only ${SIZES.join(' or ')}) far apart`,
  async run(say, options) {
    const count = SIZES.find((size) => options.only.includes(String(size))) ?? NODES;
    const samples: Sample[] = [];
    for (let round = 1; round <= (options.rounds ?? 1); round++) {
      for (const mode of chosen(MODES, options.only)) {
        samples.push(await sampleOf(mode, count, options.seconds ?? SETTLE_SECONDS, say));
      }
    }
    const rows = samples.map(cellsOf);
    const bars = [...new Set(samples.map(({ mode }) => mode))].map((mode) => ({
      name: mode,
      value: Number(
        rounded(median(samples.filter((sample) => sample.mode === mode).map((sample) => sample.stretchMedian))),
      ),
      color: mode === 'none' ? COLORS.others : COLORS.ours,
    }));
    const markdown = `# Proximity between real nodes

\`npm run bench -- proximity-live --results\`; what it does is said in [proximity.md](../proximity.md). ${count} nodes, ${SUCCESSORS}
successors. ${describeSetting(await settingOf([]))}

${markdownTable(HEADINGS, rows)}

![stretch](proximity-live.svg)
`;
    return {
      name: 'proximity-live',
      figures: samples.map(({ mode, stretchMedian }) => ({
        name: `${count} nodes ${mode}: stretch, median`,
        value: stretchMedian,
        unit: '',
      })),
      samples,
      table: table(HEADINGS, rows),
      report: {
        markdown,
        svg: drawChart('Proximity: stretch between real nodes', [
          { kind: 'bars', title: `${count} nodes: stretch, median`, bars },
        ]),
      },
      failed: samples.some(({ unanswered }) => unanswered > 0),
    };
  },
};
