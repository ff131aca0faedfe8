/**
 * A large ring in the simulator, as a process of its own with a heap of its own: scale-run.ts NODES PERIOD_S joined|laid.
 * Progress goes to standard error, the figures to standard output as JSON.
 */

import type { Id } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { below, seededRng } from '../../overlay/lib/rng.ts';
import { isIdeal, members, ownerOf, randomId } from '../../test/sim/checks.ts';
import type { SimNode } from '../../test/sim/sim-node.ts';
import { quantile } from '../statistics.ts';
import { CHURN_PER_MINUTE, SimulatedRing } from './simulated-ring.ts';
import { Traffic, type TrafficOfNode } from './traffic.ts';

export type ScaleRun = {
  readonly nodes: number;
  readonly periodS: number;
  /** Whether each node joined, or all were laid down as if they had. */
  readonly built: 'joined' | 'laid';
  /** When the last one had begun to join, or had been started; virtual seconds from the start, as idealS. */
  readonly joinedS: number;
  readonly idealS: number;
  readonly lookups: number;
  /** Answered with the node that was the owner when the question was put or when it was answered, or not. */
  readonly wrong: number;
  readonly unanswered: number;
  readonly hops: { readonly median: number; readonly p99: number; readonly most: number };
  /** Under churn. */
  readonly traffic: TrafficOfNode;
  readonly tunnels: { readonly mean: number; readonly p99: number; readonly most: number };
  /** Per second, all nodes together, under churn. */
  readonly bootstraps: number;
  readonly idealAgainS: number;
  readonly wallS: number;
  /** Of all threads of the simulation. */
  readonly processorS: number;
  readonly residentGb: number;
  readonly events: number;
  /** Of these, until the ring was ideal for the first time. */
  readonly eventsUntilIdeal: number;
};

const SEED = 100_000;
const JOINS_PER_S = 500;
const CHURN_S = 600;
const LOOKUPS_PER_S = 100;

const [nodes = 1000, periodS = 30] = process.argv.slice(2, 4).map(Number);
const laid = process.argv[4] === 'laid';
const started = systemClock.now();
const say = (text: string): void => {
  const seconds = Math.round((systemClock.now() - started) / 1000);
  const gigabytes = (process.memoryUsage().rss / 1e9).toFixed(1);
  process.stderr.write(`${seconds} s, ${gigabytes} GB: ${text}\n`);
};

const joinsPerS = JOINS_PER_S;
const ring = new SimulatedRing({ seed: SEED, nodes, periodS, links: 'unnumbered', joinsPerS, laid, say });
const { world } = ring;
const joinedS = world.now / 1000;
const idealS = joinedS + ring.untilIdeal() / 1000;
say(`the ring is ideal after ${idealS.toFixed(0)} virtual seconds`);
const eventsUntilIdeal = world.events;
// Fingers that were found while others joined are looked up once more.
if (!laid) world.run(5 * periodS * 1000);
say(`fingers are ${isIdeal(world) === true ? 'right' : `not all right: ${isIdeal(world)}`}`);

const traffic = new Traffic(world);
const rng = seededRng(SEED + 1);
const hops: number[] = [];
const open = new Map<number, { readonly node: SimNode; readonly id: Id; readonly owner: SimNode }>();
let [asked, wrong, answered] = [0, 0, 0];
let sorted = members(world);
world.onLookup = (node, request) => {
  const question = open.get(request);
  const answer = node.lookups.get(request);
  node.lookups.delete(request);
  if (question === undefined || answer === undefined || answer.owner === null) return;
  open.delete(request);
  answered++;
  if (answer.owner === question.owner.id || answer.owner === ownerOf(sorted, question.id).id) hops.push(answer.hops);
  else wrong++;
};
const bootstrapsBefore = world.manager.bootstraps;
const askingEnds = world.now + CHURN_S * 1000;
const ask = (): void => {
  if (world.now >= askingEnds) return;
  world.later(1000 / LOOKUPS_PER_S, ask);
  const node = ring.present[below(rng, ring.present.length)] as SimNode;
  if (!node.member) return;
  const id = randomId(rng);
  open.set(++asked, { node, id, owner: ownerOf(sorted, id) });
  world.lookup(node, asked, id);
};
const renew = (): void => {
  sorted = members(world);
  if (world.now < askingEnds) world.later(1000, renew);
};
renew();
ask();
const perMinute = nodes * CHURN_PER_MINUTE;
for (let minute = 1; minute <= CHURN_S / 60; minute++) {
  ring.churn((2 * perMinute) / 60, 60);
  say(`minute ${minute} of churn: ${asked} lookups`);
}
const underChurn = traffic.perNode(nodes, CHURN_S);
const bootstraps = (world.manager.bootstraps - bootstrapsBefore) / CHURN_S;
world.run(10_000);
const idealAgainS = 10 + ring.untilIdeal() / 1000;
const tunnels = ring.present.map((node) => node.tunnels.size);
const run: ScaleRun = {
  nodes,
  periodS,
  built: laid ? 'laid' : 'joined',
  joinedS,
  idealS,
  lookups: asked,
  wrong,
  unanswered: asked - answered,
  hops: { median: quantile(hops, 0.5), p99: quantile(hops, 0.99), most: Math.max(...hops) },
  traffic: underChurn,
  tunnels: {
    mean: tunnels.reduce((sum, count) => sum + count, 0) / tunnels.length,
    p99: quantile(tunnels, 0.99),
    most: tunnels.reduce((most, count) => Math.max(most, count), 0),
  },
  bootstraps,
  idealAgainS,
  wallS: (systemClock.now() - started) / 1000,
  processorS: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
  residentGb: process.memoryUsage().rss / 1e9,
  events: world.events,
  eventsUntilIdeal,
};
process.stdout.write(`${JSON.stringify(run)}\n`);
