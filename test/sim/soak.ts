/**
 * Random lives of a cluster: `node test/sim/soak.ts [--seed N] [--runs N] [--steps N]`. Nodes join, die, leave, return,
 * daemons are restarted, answers are lost so that living nodes are suspected; at the end the ring must become ideal.
 * Counts how often Zave's invariants did not hold in between: her proof does not cover suspecting the living. A failure
 * names its seed, which repeats it.
 */
import { parseArgs } from 'node:util';
import { below, seededRng } from '../../overlay/lib/rng.ts';
import { invariantsHold, isIdeal, members, ownersAreUnique, routesAreRight } from './checks.ts';
import { Cluster, type SimNode } from './cluster.ts';

export type Life = {
  readonly seed: number;
  readonly steps: number;
  /** Moments looked at, and those at which an invariant did not hold. */
  readonly looks: number;
  readonly broken: number;
  /** How long it took to become ideal after the last event, milliseconds. */
  readonly healMs: number;
};

const LOOK_MS = 50;

/** Throws with the seed if the ring does not become ideal in the end. */
export function live(seed: number, steps: number): Life {
  const rng = seededRng(seed);
  const successors = 2 + below(rng, 4);
  const loss = [0, 0, 0.02, 0.05][below(rng, 4)] as number;
  const cluster = new Cluster({ seed, loss, delayMs: [1, 5 + below(rng, 60)], definition: { successors } });
  for (let i = 0; i < successors + 2 + below(rng, 16); i++) cluster.add();
  cluster.until('the ring is ideal', () => isIdeal(cluster, false), 30_000);
  let looks = 0;
  let broken = 0;
  const look = (ms: number): void => {
    for (let at = 0; at < ms; at += LOOK_MS) {
      cluster.run(LOOK_MS);
      looks++;
      if (invariantsHold(cluster) !== true) broken++;
    }
  };
  const down: SimNode[] = [];
  for (let step = 0; step < steps; step++) {
    happen(cluster, down, rng);
    look(below(rng, 4) === 0 ? 50 : 3500);
  }
  cluster.muted.clear();
  const healMs = cluster.until('the ring is ideal in the end', () => isIdeal(cluster), 120_000);
  cluster.loss = 0;
  cluster.until('keys reach their owners', () => routesAreRight(cluster, 10), 15_000);
  cluster.until('keys have one owner', () => ownersAreUnique(cluster, 50), 15_000);
  return { seed, steps, looks, broken, healMs };
}

function happen(cluster: Cluster, down: SimNode[], rng: ReturnType<typeof seededRng>): void {
  const sorted = members(cluster);
  const node = sorted[below(rng, Math.max(1, sorted.length))];
  const spare = sorted.length > cluster.vi.definition.successors + 2;
  if (node === undefined) return;
  switch (below(rng, 8)) {
    case 0:
    case 1:
      cluster.add();
      return;
    case 2:
      if (!spare) return;
      cluster.kill(node);
      down.push(node);
      return;
    case 3:
      if (spare) cluster.leave(node);
      return;
    case 4: {
      const back = down.shift();
      if (back !== undefined) cluster.revive(back);
      return;
    }
    case 5:
      return cluster.restartP2pd(node, below(rng, 1500));
    case 6:
      return spare ? cluster.restartRd(node, below(rng, 3000)) : undefined;
    default: {
      const other = sorted[below(rng, sorted.length)] as SimNode;
      const next = sorted[(sorted.indexOf(node) + 1) % sorted.length] as SimNode;
      cluster.muted.clear();
      for (const deaf of [other, next]) cluster.muted.add(`${node.id}>${deaf.id}`);
    }
  }
}

if (import.meta.main) {
  const text = { type: 'string' } as const;
  const {
    seed = '1',
    runs = '20',
    steps = '30',
  } = parseArgs({ options: { seed: text, runs: text, steps: text } }).values;
  let failed = 0;
  for (let i = 0; i < Number(runs); i++) {
    try {
      process.stdout.write(`${JSON.stringify(live(Number(seed) + i, Number(steps)))}\n`);
    } catch (error) {
      failed++;
      process.stdout.write(`${(error as Error).message}\n`);
    }
  }
  process.exitCode = failed === 0 ? 0 : 1;
}
