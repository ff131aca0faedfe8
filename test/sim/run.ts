/** One simulated life of a ring, from its plan to its verdict. */

import { parseId } from '../../overlay/id.ts';
import { below, seededRng } from '../../overlay/lib/rng.ts';
import { squareLatency } from './base-network.ts';
import { isIdeal, members, ownerOf, ownersAreUnique, randomId, routesAreRight } from './checks.ts';
import { Faults } from './faults.ts';
import { forgottenLeases } from './pairing.ts';
import { endOf, type Plan } from './plan.ts';
import { Broken, type Findings, Referee } from './referee.ts';
import type { SimNode } from './sim-node.ts';
import { World } from './world.ts';

/** After the last step is over the ring is ideal within this, milliseconds. */
export const IDEAL_MS_MAX = 120_000;
/** It counts as ideal when it has been so for this long. */
const SETTLE_MS = 10_000;
/** Where a tenth of all datagrams is lost, neighbours suspect each other now and then; the ring has mended after this. */
const FALSE_ALARM_MS_MAX = 20_000;
const LOOKUP_EVERY_MS = 500;
const STEP_MS = 500;

export type Outcome = {
  readonly seed: number;
  /** What was wrong first, and when; undefined: nothing. */
  readonly failure: { readonly what: string; readonly atMs: number } | undefined;
  /** Of all that happened, in its order. */
  readonly hash: string;
  /** How long it took to become ideal after the last step was over, milliseconds. */
  readonly idealMs: number | undefined;
  readonly lookups: { readonly asked: number; readonly right: number };
  readonly events: number;
  readonly findings: Findings;
};

export function runPlan(plan: Plan, inspect: (world: World) => void = () => undefined): Outcome {
  const world = worldOf(plan);
  const faults = new Faults(world, plan);
  const referee = new Referee(world, faults, plan.proven);
  const lookups = new Lookups(world);
  let failure: Outcome['failure'];
  let idealMs: number | undefined;
  try {
    const end = endOf(plan.steps);
    referee.run(end);
    idealMs = untilIdeal(world, referee);
    lookups.stop();
    untilQuiet(world, referee);
    referee.run(Math.max(0, plan.minutes * 60_000 - world.now));
    untilQuiet(world, referee);
    const forgotten = forgottenLeases(world);
    if (forgotten !== undefined) throw new Broken(forgotten);
  } catch (error) {
    const what = error instanceof Broken ? error.message : ((error as Error).stack ?? String(error));
    failure = { what, atMs: Math.round(world.now) };
  }
  inspect(world);
  const { events, trace } = world;
  const { asked, right } = lookups;
  const { findings } = referee;
  return { seed: plan.seed, failure, hash: trace.hash, idealMs, lookups: { asked, right }, events, findings };
}

function worldOf({ seed, setting, steps }: Plan): World {
  const { successors, links, stabiliseMs, spanMs, weather, proximity, wire, secure } = setting;
  const world = new World({
    seed,
    weather,
    wire,
    latency: squareLatency(seededRng(seed ^ 0x1a7e), spanMs),
    definition: {
      successors,
      links,
      proximity: proximity ?? 'none',
      timers: { stabiliseMs, fixFingersMs: 5 * stabiliseMs, keepAliveMs: 500, silenceMs: 2000 },
    },
  });
  const last = steps.reduce((most, step) => ('node' in step ? Math.max(most, step.node) : most), setting.nodes - 1);
  for (let index = 0; index <= last; index++) {
    const node = world.create(parseId(setting.ids?.[index] ?? ''));
    if (secure) node.groups = ['all'];
  }
  return world;
}

/** When it became ideal and stayed so: what a fault leads to may come out after its end only. */
function untilIdeal(world: World, referee: Referee): number {
  const start = world.now;
  let since: number | undefined;
  for (;;) {
    const ideal = isIdeal(world);
    since = ideal === true ? (since ?? world.now) : undefined;
    if (since !== undefined && world.now - since >= SETTLE_MS) return since - start;
    if (since === undefined && world.now - start > IDEAL_MS_MAX) {
      throw new Broken(`not ideal ${IDEAL_MS_MAX} ms after the last step: ${ideal}`);
    }
    referee.run(STEP_MS);
  }
}

/** What must be so of an ideal ring some time later: at once, or as soon as a false alarm can be over. */
function untilQuiet(world: World, referee: Referee): void {
  const end = world.now + FALSE_ALARM_MS_MAX;
  for (;;) {
    const verdicts = [isIdeal(world), routesAreRight(world, 10), ownersAreUnique(world, 50)];
    const wrong = verdicts.find((verdict) => verdict !== true);
    if (wrong === undefined) return;
    if (world.now >= end) throw new Broken(`some time after the ring was ideal: ${wrong}`);
    referee.run(STEP_MS);
  }
}

/** Asks for the owners of random keys all the time, from random members. */
class Lookups {
  readonly #world: World;
  readonly #rng: ReturnType<typeof seededRng>;
  readonly #open = new Map<number, { readonly node: SimNode; readonly owner: SimNode }>();
  #stopped = false;
  #request = 0;
  asked = 0;
  right = 0;

  constructor(world: World) {
    this.#world = world;
    this.#rng = seededRng(world.seed ^ 0x100c);
    world.onLookup = (node, request) => {
      const open = this.#open.get(request);
      if (open?.node !== node) return;
      this.#open.delete(request);
      if (node.lookups.get(request)?.owner === open.owner.id) this.right++;
      node.lookups.delete(request);
    };
    world.later(LOOKUP_EVERY_MS, () => this.#ask());
  }

  stop(): void {
    this.#stopped = true;
  }

  #ask(): void {
    if (this.#stopped) return;
    this.#world.later(LOOKUP_EVERY_MS, () => this.#ask());
    const sorted = members(this.#world);
    const node = sorted[below(this.#rng, Math.max(1, sorted.length))];
    if (node === undefined) return;
    const id = randomId(this.#rng);
    this.#open.set(++this.#request, { node, owner: ownerOf(sorted, id) });
    this.asked++;
    this.#world.lookup(node, this.#request, id);
  }
}
