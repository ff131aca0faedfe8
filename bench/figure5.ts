/**
 * The paper's figure 5: part of all pairs of nodes with a path between them, against time since 100 nodes began to join,
 * for three periods of stabilisation; published Chord, the same driving tunnels, and what ships.
 */
import { setImmediate } from 'node:timers/promises';
import { idOfNode } from '../overlay/id.ts';
import { below, fraction, type Rng, seededRng } from '../overlay/lib/rng.ts';
import { type Latency, squareLatency } from '../test/sim/base-network.ts';
import { follow } from '../test/sim/checks.ts';
import { World } from '../test/sim/world.ts';
import type { Benchmark, Figure } from './benchmark.ts';
import { drawChart, type LinePanel } from './chart.ts';
import { PublishedChord } from './models/published-chord.ts';
import { measureSetUp, type SetUpDelay } from './models/set-up-delay.ts';
import { describeSetting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { median } from './statistics.ts';

const NODES = 100;
const PERIODS_S = [1, 5, 30] as const;
const SEEDS = 5;
/** All nodes begin within this, milliseconds. */
const BEGIN_MS = 1000;
/** One way between nodes at opposite corners, without their own access, milliseconds. */
const SPAN_MS = 40;
const PAIRS = 1000;
const SAMPLES = 60;
/** Curves go on for so many periods, with instants that lie further and further apart. */
const PERIODS_SHOWN = 100;
const FIRST_MS = 500;

const SYSTEMS = ['plain Chord', 'Chord driving tunnels', 'p2pxbone'] as const;
type System = (typeof SYSTEMS)[number];

/** What all three are given alike. */
type Scene = {
  readonly seed: number;
  readonly latency: Latency;
  readonly periodMs: number;
  readonly beginsMs: readonly number[];
  readonly delay: SetUpDelay;
};

/** A ring coming up: time, and part of the pairs that have a path. */
type Ring = { readonly runUntil: (ms: number) => void; readonly hasPath: (from: number, to: number) => boolean };

function publishedRing({ seed, latency, periodMs, beginsMs, delay }: Scene, hasTunnels: boolean): Ring {
  const ids = beginsMs.map((_, index) => idOfNode(Uint8Array.of(10, 77, index >> 8, index & 0xff), `figure5-${seed}`));
  const setUpMs = delay.contactMs + delay.tunnelMs;
  const chord = new PublishedChord({ seed, ids, latency, periodMs, ...(hasTunnels ? { setUpMs } : {}) });
  let next = 0;
  const order = beginsMs.map((_, index) => index).sort((a, b) => (beginsMs[a] as number) - (beginsMs[b] as number));
  return {
    runUntil(ms) {
      for (; next < order.length && (beginsMs[order[next] as number] as number) <= ms; next++) {
        const index = order[next] as number;
        chord.runUntil(beginsMs[index] as number);
        chord.join(index);
      }
      chord.runUntil(ms);
    },
    hasPath: (from, to) => chord.hasPath(from, to),
  };
}

function ourRing({ seed, latency, periodMs, beginsMs, delay }: Scene): Ring {
  const timers = { stabiliseMs: periodMs, fixFingersMs: 5 * periodMs, keepAliveMs: 500, silenceMs: 2000 };
  const world = new World({ seed, latency, definition: { timers } });
  for (const [index, ms] of beginsMs.entries()) {
    const node = world.create();
    // Everything that a daemon does takes as long as half of a set-up, which has one message each way: more than it is.
    node.lagMs = delay.tunnelMs / 2;
    world.later(ms, () => world.start(world.nodes[index] as typeof node));
  }
  const at = (index: number): World['nodes'][number] => world.nodes[index] as World['nodes'][number];
  return {
    runUntil: (ms) => world.runUntil(ms),
    hasPath: (from, to) => from === to || follow(world, at(from), at(to).id).owner === at(to),
  };
}

const makeRing: Record<System, (scene: Scene) => Ring> = {
  'plain Chord': (scene) => publishedRing(scene, false),
  'Chord driving tunnels': (scene) => publishedRing(scene, true),
  p2pxbone: ourRing,
};

function partOfPairs(ring: Ring, rng: Rng): number {
  let found = 0;
  for (let i = 0; i < PAIRS; i++) {
    const from = below(rng, NODES);
    const to = (from + 1 + below(rng, NODES - 1)) % NODES;
    if (ring.hasPath(from, to)) found++;
  }
  return found / PAIRS;
}

type Curve = { readonly system: System; readonly periodS: number; readonly seed: number; readonly parts: number[] };

/** When the curves of a period are looked at, milliseconds. */
function instantsOf(periodS: number): number[] {
  const last = periodS * PERIODS_SHOWN * 1000;
  return Array.from({ length: SAMPLES }, (_, i) => FIRST_MS * (last / FIRST_MS) ** (i / (SAMPLES - 1)));
}

function curveOf(system: System, periodS: number, seed: number, delay: SetUpDelay): Curve {
  const rng = seededRng(seed);
  const latency = squareLatency(seededRng(rng.uint32()), SPAN_MS);
  const beginsMs = Array.from({ length: NODES }, () => fraction(rng) * BEGIN_MS);
  const ring = makeRing[system]({ seed, latency, periodMs: periodS * 1000, beginsMs, delay });
  const parts = instantsOf(periodS).map((ms) => {
    ring.runUntil(ms);
    return partOfPairs(ring, rng);
  });
  return { system, periodS, seed, parts };
}

/** When this part was reached for good, seconds; undefined: not in the time shown. */
function reachedAt({ parts, periodS }: Curve, part: number): number | undefined {
  const last = parts.findLastIndex((value) => value < part);
  const ms = instantsOf(periodS)[last + 1];
  return ms === undefined ? undefined : ms / 1000;
}

function medianReached(curves: readonly Curve[], part: number): number | undefined {
  const times = curves.map((curve) => reachedAt(curve, part) ?? Number.POSITIVE_INFINITY);
  const middle = median(times);
  return Number.isFinite(middle) ? middle : undefined;
}

export const figure5: Benchmark = {
  name: 'figure5',
  about: 'the paper’s figure 5: paths against time while 100 nodes join, three periods of stabilisation',
  async run(say) {
    const delay = await measureSetUp(say);
    const curves: Curve[] = [];
    for (const periodS of PERIODS_S) {
      for (const system of SYSTEMS) {
        say(`period ${periodS} s: ${system}`);
        for (let seed = 1; seed <= SEEDS; seed++) {
          curves.push(curveOf(system, periodS, seed, delay));
          // So that an interrupt is heard.
          await setImmediate();
        }
      }
    }
    const of = (system: System, periodS: number): Curve[] =>
      curves.filter((curve) => curve.system === system && curve.periodS === periodS);
    const panels = PERIODS_S.map(
      (periodS): LinePanel => ({
        kind: 'lines',
        title: `period ${periodS} s: part of pairs with a path`,
        xTitle: 's',
        x: instantsOf(periodS).map((ms) => (ms / 1000).toFixed(1)),
        lines: SYSTEMS.map((name) => ({
          name,
          values: Array.from({ length: SAMPLES }, (_, i) =>
            median(of(name, periodS).map(({ parts }) => parts[i] ?? 0)),
          ),
        })),
      }),
    );
    const parts = [0.5, 0.99, 1];
    const seconds = (value: number | undefined): string => (value === undefined ? 'not yet' : value.toFixed(1));
    const rows = PERIODS_S.flatMap((periodS) =>
      SYSTEMS.map((system) => [
        `${periodS} s`,
        system,
        ...parts.map((part) => seconds(medianReached(of(system, periodS), part))),
      ]),
    );
    const figures = PERIODS_S.flatMap((periodS) =>
      SYSTEMS.map(
        (system): Figure => ({
          name: `period ${periodS} s, ${system}: 99 % of pairs`,
          value: medianReached(of(system, periodS), 0.99) ?? Number.NaN,
          unit: 's',
        }),
      ),
    );
    const table = markdownTable(['period', '', '50 % of pairs after', '99 %', '100 %'], rows);
    const markdown = `# Convergence: the paper's figure 5

\`npm run bench -- figure5 --results\`. ${describeSetting(await settingOf([]))}

${NODES} nodes begin to join within ${BEGIN_MS / 1000} s. Every ${PAIRS} times, two nodes are drawn, and a packet from the one to the
other is followed by the tables that all nodes have at that moment: does it get there? Seconds until so many of them did, and did so
from then on; medians of ${SEEDS} seeds.

${table}

![Part of pairs with a path against time](figure5.svg)

- **plain Chord** is \`bench/models/published-chord.ts\`: stabilise, notify and one finger in each period, no tunnels.
- **Chord driving tunnels** is the same as the paper evaluated it: whoever finds a neighbour idles until its tunnel is there.
- **p2pxbone** is the code that ships, in the simulator (\`docs/simulation.md\`), every message of a node late by half a set-up.

A set-up is what real resource daemons took when ${delay.count} tunnels came up between real nodes on one machine: ${delay.tunnelMs.toFixed(1)} ms from
tunnel.add to the addresses in the kernel (mean), and ${delay.contactMs.toFixed(1)} ms for the contact. The base network is a square ${SPAN_MS} ms across.

Published Chord needs about one period for each node that began beside others: nodes that begin at once are given the same few
successors, and each period corrects one step. The paper found that tunnels slow it down where the period is short; with set-ups as
short as ours the two curves of Chord are near each other. What ships does not wait for the period: whatever changes a node's
neighbours is told to those whom it concerns at once, neighbours name the member nearest to who asks, and nodes that begin at the same
time agree on a list of members before they call themselves a ring, so that the first pointers are right ones. The period is left for
what was lost.
`;
    return {
      name: 'figure5',
      figures,
      samples: { delay, curves },
      report: { markdown, svg: drawChart('Part of pairs with a path while 100 nodes join', panels) },
    };
  },
};
