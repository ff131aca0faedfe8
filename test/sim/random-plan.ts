/** A plan for every seed: a setting, a ring that comes up, and what befalls it. */
import { below, fraction, type Rng, seededRng } from '../../overlay/lib/rng.ts';
import type { Proximity } from '../../overlay/vi.ts';
import type { Plan, Setting, Step } from './plan.ts';

export type PlanOptions = {
  readonly minutes: number;
  /** The ring's size; drawn from 5 to 64 where nothing is said. */
  readonly nodes?: number | undefined;
  /** Of the minutes, seconds at the end in which nothing befalls the ring; CALM_S where nothing is said. */
  readonly calmS?: number | undefined;
};

export const NODES_LEAST = 5;
export const NODES_MOST = 64;
/** Time for the ring to come up. */
export const START_S = 20;
/** At the end: as long as a ring may take to become ideal again, and a little. */
export const CALM_S = 135;
const START_MS = START_S * 1000;
/** Failures that the proof allows are so far apart that each is repaired before the next. */
const REPAIR_MS = 20_000;

/** `proven`: only what the proof allows. `churn`: daemons come and go. `trouble`: all that can happen, a few at a time. */
const MOODS = ['proven', 'churn', 'churn', 'trouble', 'trouble', 'islands'] as const;

export function randomPlan(seed: number, options: PlanOptions): Plan {
  const rng = seededRng(seed ^ 0x5eed);
  const mood = MOODS[below(rng, MOODS.length)] as (typeof MOODS)[number];
  const nodes = options.nodes ?? Math.round(NODES_LEAST * (NODES_MOST / NODES_LEAST) ** fraction(rng));
  const isProven = mood === 'proven';
  const setting = { ...randomSetting(rng, nodes, isProven), proximity: randomProximity(seed) };
  const until = options.minutes * 60_000 - (options.calmS ?? CALM_S) * 1000;
  const steps = arrivals(rng, nodes);
  const draw = new Drawer(rng, setting, nodes);
  let at = START_MS;
  // How much happens at once differs from seed to seed: seldom, or all the time.
  const pauseMs = isProven ? REPAIR_MS : ([500, 2000, 6000, 15_000][below(rng, 4)] ?? 2000);
  for (;;) {
    at += pauseMs * (isProven ? 1 : 2 * fraction(rng));
    if (at >= until) break;
    const step = isProven ? draw.allowed(at) : draw.any(at, mood, until - at);
    if (step !== undefined) steps.push(step);
  }
  return {
    plan: 'p2pxbone simulation, format 1',
    seed,
    setting,
    minutes: options.minutes,
    proven: isProven,
    steps: steps.map(rounded),
  };
}

function randomSetting(rng: Rng, nodes: number, isProven: boolean): Setting {
  const isBad = !isProven && below(rng, 3) === 0;
  return {
    nodes,
    successors: 2 + below(rng, isProven ? 3 : 5),
    links: below(rng, 4) === 0 ? 'unnumbered' : 'numbered',
    stabiliseMs: [500, 1000, 1000, 1000, 2000, 5000][below(rng, isProven ? 4 : 5)] as number,
    spanMs: [2, 10, 40, 120][below(rng, 4)] as number,
    weather: {
      loss: isBad ? ([0.01, 0.05, 0.1][below(rng, 3)] as number) : 0,
      duplicate: isBad ? 0.02 : 0,
      reorder: isBad ? 0.05 : 0,
      jitterMs: [1, 10, 30][below(rng, 3)] as number,
    },
    secure: below(rng, 4) === 0,
    wire: below(rng, 8) === 0,
  };
}

/** By numbers of its own: what else a seed brings is the same without it. */
function randomProximity(seed: number): Proximity {
  const settings = ['none', 'none', 'none', 'pns', 'prs', 'both'] as const;
  return settings[below(seededRng(seed ^ 0x9ea7), settings.length)] as Proximity;
}

function arrivals(rng: Rng, nodes: number): Step[] {
  const spreadMs = [0, 1000, 10_000][below(rng, 3)] as number;
  return Array.from({ length: nodes }, (_, node) => ({ at: spreadMs * fraction(rng), do: 'join' as const, node }));
}

class Drawer {
  readonly #rng: Rng;
  readonly #setting: Setting;
  /** Machines that were named so far, the present and the gone. */
  #named: number;
  readonly #gone: number[] = [];
  readonly #present: number[];

  constructor(rng: Rng, setting: Setting, nodes: number) {
    this.#rng = rng;
    this.#setting = setting;
    this.#named = nodes;
    this.#present = Array.from({ length: nodes }, (_, node) => node);
  }

  /** One failure, departure or arrival that the proof allows. Who starts anew is no member for a moment. */
  allowed(at: number): Step | undefined {
    const spare = this.#present.length > this.#setting.successors + 2;
    const choice = below(this.#rng, 4);
    if (choice === 0 && spare) return { at, do: 'leave', node: this.#take() };
    if (choice === 1 && spare) return { at, do: 'crash', node: this.#take(), state: true };
    if (choice === 2 && spare) return { at, do: 'p2pd', node: this.#one(), forMs: this.#ms(100, 1500) };
    return this.#join(at);
  }

  any(at: number, mood: 'churn' | 'trouble' | 'islands' | 'proven', leftMs: number): Step | undefined {
    const forMs = (least: number, most: number): number => Math.min(leftMs, this.#ms(least, most));
    const node = this.#one();
    const isChurn = mood === 'churn' || below(this.#rng, 3) === 0;
    if (isChurn) return this.#churn(at, node, forMs);
    if (mood === 'islands' && below(this.#rng, 4) === 0) {
      return { at, do: 'islands', islands: this.#islands(), forMs: forMs(1000, 60_000) };
    }
    return this.#trouble(at, node, forMs);
  }

  #churn(at: number, node: number, forMs: (least: number, most: number) => number): Step | undefined {
    const state = below(this.#rng, 4) !== 0;
    const spare = this.#present.length > 3;
    switch (below(this.#rng, 8)) {
      case 0:
      case 1:
        return this.#join(at);
      case 2:
        return spare ? { at, do: 'crash', node: this.#take(), state } : undefined;
      case 3:
        return { at, do: 'crash', node, forMs: forMs(100, 10_000), state };
      case 4:
        return spare ? { at, do: 'leave', node: this.#take() } : undefined;
      case 5:
        return { at, do: 'p2pd', node, forMs: forMs(50, 5000) };
      case 6:
        return { at, do: 'rd', node, forMs: forMs(100, 8000) };
      default:
        return { at, do: 'crash', node, forMs: forMs(10_000, 60_000), state };
    }
  }

  #trouble(at: number, node: number, forMs: (least: number, most: number) => number): Step | undefined {
    const other = this.#one();
    switch (below(this.#rng, 10)) {
      case 0: {
        const which = (['p2pd', 'rd', 'both', 'both'] as const)[below(this.#rng, 4)] ?? 'both';
        return { at, do: 'pause', node, which, forMs: forMs(1000, 60_000) };
      }
      case 1:
        return { at, do: 'slow', node, lagMs: this.#ms(20, 700), forMs: forMs(2000, 40_000) };
      case 2:
        return { at, do: 'drift', node, rate: 1 + (fraction(this.#rng) - 0.5) * 0.02 };
      case 3:
      case 4:
        return node === other ? undefined : { at, do: 'cut', from: node, to: other, forMs: forMs(500, 30_000) };
      case 5:
      case 6:
        return node === other ? undefined : { at, do: 'mute', from: node, to: other, forMs: forMs(500, 30_000) };
      case 7:
        return { at, do: 'hide', node, forMs: forMs(2000, 40_000) };
      case 8: {
        const bad = { loss: 0.3 * fraction(this.#rng), duplicate: 0.1, reorder: 0.2, jitterMs: this.#ms(5, 100) };
        return { at, do: 'weather', ...bad, forMs: forMs(1000, 20_000) };
      }
      default:
        return { at, do: 'manager', forMs: forMs(2000, 60_000) };
    }
  }

  /** Two or three parts of those present; who is not named stays with the overlay manager. */
  #islands(): number[][] {
    const count = 1 + below(this.#rng, 2);
    const islands: number[][] = Array.from({ length: count }, () => []);
    for (const node of this.#present) {
      const island = below(this.#rng, count + 1);
      if (island < count) islands[island]?.push(node);
    }
    return islands;
  }

  #join(at: number): Step {
    const back = below(this.#rng, 3) === 0 ? this.#gone.shift() : undefined;
    const node = back ?? this.#named++;
    this.#present.push(node);
    return { at, do: 'join', node };
  }

  #one(): number {
    return this.#present[below(this.#rng, this.#present.length)] as number;
  }

  /** One that goes. */
  #take(): number {
    const place = below(this.#rng, this.#present.length);
    const [node] = this.#present.splice(place, 1) as [number];
    this.#gone.push(node);
    return node;
  }

  /** More often short than long. */
  #ms(least: number, most: number): number {
    return least * (most / least) ** fraction(this.#rng);
  }
}

/** Whole milliseconds are read more easily. */
function rounded(step: Step): Step {
  const round = (value: unknown): unknown =>
    typeof value === 'number' && value > 2
      ? Math.round(value)
      : typeof value === 'number'
        ? Number(value.toFixed(4))
        : value;
  return Object.fromEntries(Object.entries(step).map(([name, value]) => [name, round(value)])) as Step;
}
