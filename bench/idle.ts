/** What an idle VI costs: processor time and memory of resource and P2P daemons. */
import { setTimeout as sleep } from 'node:timers/promises';
import { World } from '../cli/demo/world.ts';
import { systemClock } from '../overlay/lib/clock.ts';
import type { Benchmark, Figure } from './benchmark.ts';
import { processSeconds, residentMegabytes } from './measure/processor.ts';

const NODES = 8;
/** After this the tunnels by which answers travelled are gone and the fingers have been looked up. */
const SETTLE_MS = 15_000;
const WINDOW_MS = 20_000;

type Sample = { readonly pid: number; readonly corePercent: number; readonly residentMb: number };

async function measure(pids: readonly number[]): Promise<Sample[]> {
  const before = pids.map((pid) => processSeconds([pid]));
  const started = systemClock.now();
  await sleep(WINDOW_MS);
  const seconds = (systemClock.now() - started) / 1000;
  return pids.map((pid, i) => ({
    pid,
    corePercent: ((processSeconds([pid]) - (before[i] ?? 0)) / seconds) * 100,
    residentMb: residentMegabytes(pid),
  }));
}

function figuresOf(daemon: string, samples: readonly Sample[]): Figure[] {
  const mean = samples.reduce((sum, { corePercent }) => sum + corePercent, 0) / samples.length;
  return [
    { name: `${daemon}: processor time, mean`, value: Number(mean.toFixed(2)), unit: '% of a core' },
    {
      name: `${daemon}: processor time, worst`,
      value: Number(Math.max(...samples.map(({ corePercent }) => corePercent)).toFixed(2)),
      unit: '% of a core',
    },
    {
      name: `${daemon}: resident memory, worst`,
      value: Number(Math.max(...samples.map(({ residentMb }) => residentMb)).toFixed(1)),
      unit: 'MB',
    },
  ];
}

async function run(say: (line: string) => void): Promise<{ rd: Sample[]; p2pd: Sample[] }> {
  const world = new World({ kind: 'pxb' });
  try {
    await world.create();
    const machines = await world.addMachines(NODES);
    await world.startOm();
    await world.createVi('idle');
    const invitation = await world.invite('idle', ['--uses', String(NODES)]);
    await Promise.all(machines.map((machine) => machine.mustJoin(invitation)));
    await world.untilIdeal();
    say(`${NODES} nodes are up; measuring for ${WINDOW_MS / 1000} s after ${SETTLE_MS / 1000} s of rest`);
    await sleep(SETTLE_MS);
    const states = await Promise.all(machines.map((machine) => machine.status()));
    const p2pds = states.flatMap(({ nodes }) => nodes.flatMap(({ p2pdPid }) => (p2pdPid === null ? [] : [p2pdPid])));
    const [rd, p2pd] = await Promise.all([measure(states.map(({ pid }) => pid)), measure(p2pds)]);
    return { rd, p2pd };
  } finally {
    await world.remove();
  }
}

export const idle: Benchmark = {
  name: 'idle',
  about: `processor time and memory of the daemons of ${NODES} idle nodes, over ${WINDOW_MS / 1000} s`,
  async run(say) {
    const samples = await run(say);
    return {
      name: 'idle',
      figures: [...figuresOf('resource daemon', samples.rd), ...figuresOf('P2P daemon', samples.p2pd)],
      samples,
    };
  },
};
