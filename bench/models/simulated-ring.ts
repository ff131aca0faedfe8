/** Large rings of the simulator as the benchmarks use them: brought up at a steady rate, then under churn. */
import { below, type Rng, seededRng } from '../../overlay/lib/rng.ts';
import type { ViDefinition } from '../../overlay/vi.ts';
import { squareLatency } from '../../test/sim/base-network.ts';
import { isIdeal } from '../../test/sim/checks.ts';
import type { SimNode } from '../../test/sim/sim-node.ts';
import { World } from '../../test/sim/world.ts';
import { layRing } from './laid-ring.ts';

/** One way between nodes at opposite corners of the base network, milliseconds. */
export const SPAN_MS = 40;
/** Of all nodes; departures are power failures, and as many join. */
export const CHURN_PER_MINUTE = 0.01;
const JOINS_PER_S = 100;
/** The first nodes come one by one. */
const FIRST_PER_S = 2;
/** A ring of few cannot take a hundred in a second: so many for each that is there, at most. */
const GROWTH_PER_S = 5;
const IDEAL_MS_MAX = 1_800_000;
const STEP_MS = 100;
const SAY_MS = 10_000;

export type RingOptions = {
  readonly seed: number;
  readonly nodes: number;
  readonly periodS: number;
  readonly links: ViDefinition['links'];
  readonly joinsPerS?: number;
  /** All at once, as if they had joined long ago. */
  readonly laid?: boolean;
  /** Told while they come, every few virtual seconds. */
  readonly say?: (text: string) => void;
};

/** Default proportions between the timers, whatever the period of stabilisation. */
export function timersOf(periodS: number): ViDefinition['timers'] {
  return { stabiliseMs: periodS * 1000, fixFingersMs: periodS * 5000, keepAliveMs: 500, silenceMs: 2000 };
}

export class SimulatedRing {
  readonly world: World;
  readonly #rng: Rng;
  /** Those that are meant to be on the ring. */
  readonly #present: SimNode[] = [];

  constructor({ seed, nodes, periodS, links, joinsPerS = JOINS_PER_S, laid, say }: RingOptions) {
    this.#rng = seededRng(seed);
    const linkPool = '12.0.0.0/8';
    const definition = { links, linkPool, ipv4Pool: '11.0.0.0/8', timers: timersOf(periodS) };
    this.world = new World({ seed, latency: squareLatency(seededRng(seed ^ 0x5ca1e), SPAN_MS), definition });
    if (laid === true) {
      this.#present.push(...layRing(this.world, nodes, say ?? (() => undefined)));
      return;
    }
    const grow = (): void => {
      this.add();
      const count = this.#present.length;
      const perS = Math.min(joinsPerS, Math.max(FIRST_PER_S, count * GROWTH_PER_S));
      if (count < nodes) this.world.later(1000 / perS, grow);
    };
    grow();
    // In steps that are short beside what is measured: it ends with the step in which the last one has begun.
    while (this.#present.length < nodes) {
      this.world.run(STEP_MS);
      if (this.world.now % SAY_MS === 0)
        say?.(`${this.#present.length} of ${nodes} nodes have begun to join, ${this.world.events} events`);
    }
  }

  get present(): readonly SimNode[] {
    return this.#present;
  }

  add(): void {
    this.#present.push(this.world.add());
  }

  random(): SimNode {
    return this.#present[below(this.#rng, this.#present.length)] as SimNode;
  }

  /** Power fails at a node at random. */
  kill(): void {
    const at = below(this.#rng, this.#present.length);
    const node = this.#present[at] as SimNode;
    this.#present[at] = this.#present.at(-1) as SimNode;
    this.#present.pop();
    this.world.kill(node);
  }

  /** Milliseconds until pointers and lists are right at every node. */
  untilIdeal(): number {
    return this.world.until('the ring is ideal', () => isIdeal(this.world, false), IDEAL_MS_MAX, 1000);
  }

  /** Joins and departures in turn, so many together in a second, for so long. */
  churn(perSecond: number, seconds: number): void {
    for (let i = 0; i < perSecond * seconds; i++) {
      this.world.later((i * 1000) / perSecond, () => (i % 2 === 0 ? this.kill() : this.add()));
    }
    this.world.run(seconds * 1000);
  }
}
