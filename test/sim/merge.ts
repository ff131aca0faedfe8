/** How long a ring that broke in two takes to become one again, when nobody helps. */
import { seededRng } from '../../overlay/lib/rng.ts';
import { squareLatency } from './base-network.ts';
import { isIdeal, members, routesAreRight } from './checks.ts';
import { World } from './world.ts';

const MERGE_MS_MAX = 300_000;

/**
 * Every second node is on another island for so long; the overlay manager is out of reach from then on. Milliseconds
 * from when the islands are joined until the ring is ideal; throws if that takes more than five minutes.
 */
export function mergeMs(nodes: number, apartMs: number, seed: number): number {
  const world = new World({
    seed,
    latency: squareLatency(seededRng(seed), 40),
    definition: nodes > 1000 ? { links: 'unnumbered' } : {},
  });
  for (let i = 0; i < nodes; i++) world.add();
  world.until('the ring is ideal', () => isIdeal(world, false), 120_000);
  world.run(10_000);
  world.managerUp(false);
  world.islands([members(world).filter((_, i) => i % 2 === 0)]);
  world.run(apartMs);
  if (isIdeal(world, false) === true) throw new Error(`seed ${seed}: the ring did not break`);
  world.islands([]);
  const ms = world.until(`${nodes} nodes are one ring`, () => isIdeal(world, false), MERGE_MS_MAX, 200);
  world.until('keys reach their owners', () => routesAreRight(world, 10), 10_000);
  return ms;
}
