/** How fast a ring comes up and mends: joins one after another and all at once, a node's death. */
import { World } from '../cli/demo/world.ts';
import { systemClock } from '../overlay/lib/clock.ts';
import type { Benchmark, Figure } from './benchmark.ts';
import { median } from './statistics.ts';

const SIZES = [8, 24] as const;
const ROUNDS = 3;

type Sample = {
  readonly nodes: number;
  readonly order: 'sequential' | 'at once';
  readonly joinedMs: number;
  readonly idealMs: number;
  /** From the kill of one node's daemons until the others' ring is ideal without it. */
  readonly mendedMs: number;
  readonly tunnels: number;
};

async function sampleOf(nodes: number, order: Sample['order']): Promise<Sample> {
  const world = new World({ kind: 'pxb' });
  try {
    await world.create();
    const machines = await world.addMachines(nodes);
    await world.startOm();
    await world.createVi('ring');
    const invitation = await world.invite('ring', ['--uses', String(nodes)]);
    const started = systemClock.now();
    if (order === 'sequential') for (const machine of machines) await machine.mustJoin(invitation);
    else await Promise.all(machines.map((machine) => machine.mustJoin(invitation)));
    const joinedMs = systemClock.now() - started;
    await world.untilIdeal({ timeoutMs: 120_000 });
    const idealMs = systemClock.now() - started;
    const tunnels = (await world.nodes()).reduce((sum, node) => sum + node.tunnels, 0) / 2;
    const killed = systemClock.now();
    await machines[0]?.killDaemons();
    await world.untilIdeal({ machines: machines.slice(1) });
    return { nodes, order, joinedMs, idealMs, mendedMs: systemClock.now() - killed, tunnels };
  } finally {
    await world.remove();
  }
}

export const ring: Benchmark = {
  name: 'ring',
  about: `time until a ring of ${SIZES.join(' and ')} nodes is ideal, and until it has mended`,
  async run(say) {
    const samples: Sample[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      for (const nodes of SIZES) {
        for (const order of ['sequential', 'at once'] as const) {
          say(`round ${round} of ${ROUNDS}: ${nodes} nodes ${order}`);
          samples.push(await sampleOf(nodes, order));
        }
      }
    }
    const figures = SIZES.flatMap((nodes) =>
      (['sequential', 'at once'] as const).flatMap((order): Figure[] => {
        const of = samples.filter((sample) => sample.nodes === nodes && sample.order === order);
        const figure = (name: string, field: 'joinedMs' | 'idealMs' | 'mendedMs'): Figure => ({
          name: `${nodes} nodes ${order}: ${name}`,
          value: Math.round(median(of.map((sample) => sample[field]))),
          unit: 'ms',
        });
        return [
          figure('all joined', 'joinedMs'),
          figure('ideal', 'idealMs'),
          figure('ideal again after one was killed', 'mendedMs'),
          { name: `${nodes} nodes ${order}: tunnels`, value: median(of.map((sample) => sample.tunnels)), unit: '' },
        ];
      }),
    );
    return { name: 'ring', figures, samples };
  },
};
