/** The same churn on 32 real nodes in network namespaces and in the simulator, with the same measures: side by side. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { keyAddressOf } from '../cli/demo/check.ts';
import type { Machine } from '../cli/demo/machine.ts';
import { World as Lab } from '../cli/demo/world.ts';
import { idOfBytes } from '../overlay/id.ts';
import { systemClock } from '../overlay/lib/clock.ts';
import { below, seededRng } from '../overlay/lib/rng.ts';
import { constantLatency } from '../test/sim/base-network.ts';
import { follow, isIdeal, members, randomId } from '../test/sim/checks.ts';
import type { SimNode } from '../test/sim/sim-node.ts';
import { World } from '../test/sim/world.ts';
import type { Benchmark, Figure } from './benchmark.ts';
import { describeSetting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { median, rounded } from './statistics.ts';

const NODES = 32;
const STEPS = 16;
/** A step begins so long after the one before, or when the ring is ideal again if that is later. */
const STEP_MS = 5000;
const IDEAL_MS_MAX = 120_000;
const SEED = 32;
const KEY_EVERY_MS = 100;
/** A request for a key that is not answered by then has failed. */
const KEY_MS = 2000;
/** The kernel sends an unanswered SYN again after so long. */
const SYN_AGAIN_MS = 1000;
/** One way between two namespaces on one bridge. */
const LAB_LATENCY_MS = 0.1;

/** Power fails at a node, or returns to the one that has been without for longest. */
type Step = { readonly kind: 'fail'; readonly node: number } | { readonly kind: 'return'; readonly node: number };

type Measured = {
  /** From the first node's begin until the ring of all is ideal. */
  readonly joinedMs: number;
  /** From each failure, and each return, until the ring is ideal. */
  readonly mendedMs: readonly number[];
  readonly returnedMs: readonly number[];
  readonly keysAsked: number;
  readonly keysAnswered: number;
  readonly tunnels: number;
};

function script(): Step[] {
  const rng = seededRng(SEED);
  const down: number[] = [];
  return Array.from({ length: STEPS }, (_, i): Step => {
    if (i % 4 < 2) {
      let node = below(rng, NODES);
      while (down.includes(node)) node = below(rng, NODES);
      down.push(node);
      return { kind: 'fail', node };
    }
    return { kind: 'return', node: down.shift() ?? 0 };
  });
}

function simulated(steps: readonly Step[]): Measured {
  const world = new World({ seed: SEED, latency: constantLatency(LAB_LATENCY_MS) });
  for (let i = 0; i < NODES; i++) world.add();
  const untilIdeal = (): number => world.until('ideal', () => isIdeal(world), IDEAL_MS_MAX);
  const joinedMs = untilIdeal();
  const rng = seededRng(SEED + 1);
  let [keysAsked, keysAnswered, isOver] = [0, 0, false];
  const ask = (): void => {
    if (isOver) return;
    world.later(KEY_EVERY_MS, ask);
    const living = members(world);
    const from = living[below(rng, living.length)] as SimNode;
    const id = randomId(rng);
    keysAsked++;
    if (follow(world, from, id).owner !== undefined) keysAnswered++;
    else world.later(SYN_AGAIN_MS, () => void (follow(world, from, id).owner !== undefined && keysAnswered++));
  };
  ask();
  const [mendedMs, returnedMs]: number[][] = [[], []];
  for (const { kind, node: index } of steps) {
    const node = world.nodes[index] as SimNode;
    if (kind === 'fail') world.kill(node);
    else world.revive(node);
    const ms = untilIdeal();
    (kind === 'fail' ? mendedMs : returnedMs)?.push(ms);
    world.run(Math.max(0, STEP_MS - ms));
  }
  isOver = true;
  world.run(KEY_MS);
  const tunnels = members(world).reduce((sum, node) => sum + node.tunnels.size, 0) / members(world).length;
  return { joinedMs, mendedMs: mendedMs ?? [], returnedMs: returnedMs ?? [], keysAsked, keysAnswered, tunnels };
}

async function live(steps: readonly Step[], say: (line: string) => void): Promise<Measured> {
  const lab = new Lab({ kind: 'pxb' });
  try {
    await lab.create();
    const machines = await lab.addMachines(NODES);
    await lab.startOm();
    await lab.createVi('churn');
    const invitation = await lab.invite('churn', ['--uses', String(NODES)]);
    say(`${NODES} real nodes join`);
    const begun = systemClock.now();
    await Promise.all(machines.map((machine) => machine.mustJoin(invitation)));
    await lab.untilIdeal({ timeoutMs: IDEAL_MS_MAX });
    const joinedMs = systemClock.now() - begun;
    const living = new Set<Machine>(machines);
    await Promise.all(machines.map((machine) => machine.agent()));
    const keys = new LiveKeys(living);
    const asking = keys.run(await (machines[0] as Machine).node());
    const [mendedMs, returnedMs]: number[][] = [[], []];
    for (const [i, { kind, node: index }] of steps.entries()) {
      say(`step ${i + 1} of ${steps.length}: ${kind}`);
      const machine = machines[index] as Machine;
      if (kind === 'fail') living.delete(machine);
      const since = systemClock.now();
      if (kind === 'fail') await machine.killDaemons();
      else await machine.startRd();
      if (kind === 'return') living.add(machine);
      await lab.untilIdeal({ machines: [...living], timeoutMs: IDEAL_MS_MAX });
      const ms = systemClock.now() - since;
      (kind === 'fail' ? mendedMs : returnedMs)?.push(ms);
      await sleep(Math.max(0, STEP_MS - ms));
    }
    keys.stop();
    await asking;
    const nodes = await lab.nodes([...living]);
    const tunnels = nodes.reduce((sum, node) => sum + node.tunnels, 0) / nodes.length;
    const { asked: keysAsked, answered: keysAnswered } = keys;
    return { joinedMs, mendedMs: mendedMs ?? [], returnedMs: returnedMs ?? [], keysAsked, keysAnswered, tunnels };
  } finally {
    await lab.remove();
  }
}

/** Requests random keys by HTTP from living machines at random, all the time. */
class LiveKeys {
  readonly #living: ReadonlySet<Machine>;
  #isOver = false;
  asked = 0;
  answered = 0;

  constructor(living: ReadonlySet<Machine>) {
    this.#living = living;
  }

  stop(): void {
    this.#isOver = true;
  }

  async run(node: Parameters<typeof keyAddressOf>[0]): Promise<void> {
    const rng = seededRng(SEED + 1);
    const open: Promise<void>[] = [];
    while (!this.#isOver) {
      const machines = [...this.#living];
      const from = machines[below(rng, machines.length)] as Machine;
      open.push(this.#ask(from, keyAddressOf(node, idOfBytes(randomBytes(8)))));
      await sleep(KEY_EVERY_MS);
    }
    await Promise.all(open);
  }

  async #ask(from: Machine, address: string): Promise<void> {
    const { by } = await (await from.agent()).fetchOne(address, KEY_MS);
    // What a machine asks whose own power failed in the meantime does not count.
    if (by === null && !this.#living.has(from)) return;
    this.asked++;
    if (by !== null) this.answered++;
  }
}

const spread = (values: readonly number[]): string =>
  `${rounded(median(values) / 1000)} (${rounded(Math.max(...values) / 1000)})`;

const figuresOf = (name: string, { joinedMs, mendedMs, returnedMs }: Measured): Figure[] => [
  { name: `${name}: ideal`, value: joinedMs / 1000, unit: 's' },
  { name: `${name}: mended, median`, value: median(mendedMs) / 1000, unit: 's' },
  { name: `${name}: returned, median`, value: median(returnedMs) / 1000, unit: 's' },
];

export const churn: Benchmark = {
  name: 'churn',
  about: `${NODES} nodes that lose power and return: real ones and simulated ones, side by side`,
  async run(say) {
    const steps = script();
    const real = await live(steps, say);
    say('the same in the simulator');
    const model = simulated(steps);
    const row = (name: string, of: (measured: Measured) => string): string[] => [name, of(real), of(model)];
    const table = markdownTable(
      ['', 'real', 'simulated'],
      [
        row('all begin at once; ideal after, s', ({ joinedMs }) => rounded(joinedMs / 1000)),
        row('power fails at one; ideal after, s: median (longest)', ({ mendedMs }) => spread(mendedMs)),
        row('power returns to one; ideal after, s', ({ returnedMs }) => spread(returnedMs)),
        row('keys asked for meanwhile', ({ keysAsked }) => String(keysAsked)),
        row(
          `of these answered within ${KEY_MS / 1000} s`,
          (measured) => `${((100 * measured.keysAnswered) / measured.keysAsked).toFixed(2)} %`,
        ),
        row('tunnels of a node', ({ tunnels }) => tunnels.toFixed(1)),
      ],
    );
    const markdown = `# The same churn, real and simulated

\`npm run bench -- churn --results\`. ${describeSetting(await settingOf([]))}

${NODES} nodes begin at once; then ${STEPS} steps, at least ${STEP_MS / 1000} s apart and each when the ring is ideal again: power fails at two nodes in
turn, and returns to both. Real nodes are all processes of the product, in network namespaces on one bridge; a key is asked for every
${KEY_EVERY_MS} ms by HTTP. Simulated ones are the same cores (\`docs/simulation.md\`), ${LAB_LATENCY_MS} ms apart; a packet to a key goes by the tables of
its moment, and once more after ${SYN_AGAIN_MS / 1000} s, as a SYN does.

${table}

The simulator has no processors: that ${NODES} times three processes start, load their code and make interfaces on a few cores is not in its times.
A return has the start of a real daemon in it.
`;
    const figures = [...figuresOf('real', real), ...figuresOf('simulated', model)];
    return { name: 'churn', figures, samples: { steps, real, model }, table, report: { markdown } };
  },
};
