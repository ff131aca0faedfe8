/**
 * The base network between the simulated machines: how long a datagram takes, whether it is lost, doubled or overtaken,
 * and who cannot reach whom at the moment.
 */
import { fraction, type Rng } from '../../overlay/lib/rng.ts';

/** One way between two machines, milliseconds, without jitter. */
export type Latency = (from: number, to: number) => number;

export type Weather = {
  /** Part of datagrams lost, 0..1. */
  loss: number;
  /** Part of datagrams that arrive twice. */
  duplicate: number;
  /** Part of datagrams that take a detour and come late. */
  reorder: number;
  /** A delay is longer by up to so much, milliseconds, evenly spread. */
  jitterMs: number;
};

export const FAIR: Weather = { loss: 0, duplicate: 0, reorder: 0, jitterMs: 10 };

/** What a detour takes longer, milliseconds at most. */
const DETOUR_MS = 80;
/** The island of those that are on none. */
const MAINLAND = 0;

export function constantLatency(ms: number): Latency {
  return () => ms;
}

/** Machines at random places of a square `spanMs` across, each with up to 5 ms of its own to the first router. */
export function squareLatency(rng: Rng, spanMs: number): Latency {
  const places: { x: number; y: number; access: number }[] = [];
  const placeOf = (machine: number): { x: number; y: number; access: number } => {
    while (places.length <= machine) {
      places.push({ x: fraction(rng) * spanMs, y: fraction(rng) * spanMs, access: fraction(rng) * 5 });
    }
    return places[machine] as { x: number; y: number; access: number };
  };
  return (from, to) => {
    const [a, b] = [placeOf(from), placeOf(to)];
    return 0.5 + a.access + b.access + Math.hypot(a.x - b.x, a.y - b.y);
  };
}

export class BaseNetwork {
  readonly #rng: Rng;
  readonly #latency: Latency;
  weather: Weather;
  readonly #islands = new Map<number, number>();
  /** Directions in which nothing passes, by `from * 2^26 + to`. */
  readonly #cuts = new Set<number>();
  /** Machines that nobody reaches to whom they have not spoken: behind a NAT or a firewall. */
  readonly #hidden = new Set<number>();

  constructor(rng: Rng, latency: Latency, weather: Weather) {
    this.#rng = rng;
    this.#latency = latency;
    this.weather = { ...weather };
  }

  /** Whether datagrams of a running conversation pass in this direction. */
  passes(from: number, to: number): boolean {
    if (this.#islands.size > 0 && this.islandOf(from) !== this.islandOf(to)) return false;
    return this.#cuts.size === 0 || !this.#cuts.has(directionOf(from, to));
  }

  /** Whether one may begin a conversation with the other. */
  canBegin(from: number, to: number): boolean {
    return this.passes(from, to) && !this.#hidden.has(to);
  }

  /** How long a datagram takes, milliseconds; undefined if it does not arrive. */
  delay(from: number, to: number): number | undefined {
    if (!this.passes(from, to)) return undefined;
    const { loss, reorder } = this.weather;
    if (loss > 0 && fraction(this.#rng) < loss) return undefined;
    const detour = reorder > 0 && fraction(this.#rng) < reorder ? DETOUR_MS * fraction(this.#rng) : 0;
    return this.rawDelay(from, to) + detour;
  }

  /** The delay of one that surely arrives. */
  rawDelay(from: number, to: number): number {
    const { jitterMs } = this.weather;
    return this.#latency(from, to) + (jitterMs > 0 ? jitterMs * fraction(this.#rng) : 0);
  }

  /** Whether this datagram arrives a second time. */
  isDoubled(): boolean {
    return this.weather.duplicate > 0 && fraction(this.#rng) < this.weather.duplicate;
  }

  /** Machines of different islands do not reach each other; who is named in none is on the mainland. */
  setIslands(islands: readonly (readonly number[])[]): void {
    this.#islands.clear();
    islands.forEach((machines, i) => {
      for (const machine of machines) this.#islands.set(machine, i + 1);
    });
  }

  islandOf(machine: number): number {
    return this.#islands.get(machine) ?? MAINLAND;
  }

  onMainland(machine: number): boolean {
    return this.islandOf(machine) === MAINLAND;
  }

  cut(from: number, to: number): void {
    this.#cuts.add(directionOf(from, to));
  }

  mend(from: number, to: number): void {
    this.#cuts.delete(directionOf(from, to));
  }

  hide(machine: number): void {
    this.#hidden.add(machine);
  }

  show(machine: number): void {
    this.#hidden.delete(machine);
  }
}

function directionOf(from: number, to: number): number {
  return from * 2 ** 26 + to;
}
