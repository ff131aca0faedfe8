/**
 * Round-trip times between the nodes of a made-up Internet, for simulations.
 *
 * As in Vivaldi (Dabek, Cox, Kaashoek, Morris, "Vivaldi: A Decentralized Network Coordinate System", SIGCOMM 2004), the
 * time between two nodes is the distance of their places in a plane, which stands for the core of the network, and the
 * heights of both above it, which stand for their access links: rtt = (distance + height a + height b) · deviation.
 *
 * - Places: a mixture of regions. The regions lie within a disc; nodes gather round them, in some more than in others.
 * - Heights: lognormal, so some nodes have a slow access link, whoever they speak to.
 * - Deviation: lognormal for each pair, the same both ways and at all times. Real routes are no straight lines; this is
 *   what breaks the triangle inequality, as it is broken in the Internet.
 *
 * The parameters are chosen by hand, for a median of 75 to 80 ms and a tail to many hundreds: the order of what was
 * measured between name servers (Gummadi, Saroiu, Gribble, "King: Estimating Latency between Arbitrary Internet End
 * Hosts", IMW 2002) and between the hosts of test beds, for which medians from about 75 to 160 ms are published. They are
 * fitted to no matrix. `npm run bench -- proximity` prints what a drawn set has. It is a model: absolute times of real
 * networks are not to be read from it, comparisons of ways to choose neighbours are.
 */
import { fraction, type Rng, seededRng } from '../../overlay/lib/rng.ts';

export type LatencyOptions = { readonly seed: number; readonly nodes: number };

const REGIONS = 9;
/** Radius of the disc of regions, and spread of nodes round the middle of theirs, milliseconds of round-trip time. */
const WORLD_MS = 72;
const REGION_MS = 9;
/** Of the access link: median and spread of the logarithm. */
const HEIGHT_MS = 6;
const HEIGHT_SIGMA = 1.2;
const DEVIATION_SIGMA = 0.3;
/** Two nodes of one place are not nearer than this. */
const RTT_MS_MIN = 0.3;

export class LatencyModel {
  readonly nodes: number;
  readonly #x: Float64Array;
  readonly #y: Float64Array;
  readonly #height: Float64Array;
  readonly #seed: number;

  constructor({ seed, nodes }: LatencyOptions) {
    this.nodes = nodes;
    this.#seed = seed;
    this.#x = new Float64Array(nodes);
    this.#y = new Float64Array(nodes);
    this.#height = new Float64Array(nodes);
    const rng = seededRng(seed);
    const regions = Array.from({ length: REGIONS }, () => {
      const [radius, angle] = [WORLD_MS * Math.sqrt(fraction(rng)), 2 * Math.PI * fraction(rng)];
      return { x: radius * Math.cos(angle), y: radius * Math.sin(angle), weight: 0.2 + fraction(rng) };
    });
    const total = regions.reduce((sum, { weight }) => sum + weight, 0);
    for (let i = 0; i < nodes; i++) {
      let left = fraction(rng) * total;
      const region = regions.find(({ weight }) => (left -= weight) <= 0) ?? regions[0];
      this.#x[i] = (region?.x ?? 0) + REGION_MS * gaussian(rng);
      this.#y[i] = (region?.y ?? 0) + REGION_MS * gaussian(rng);
      this.#height[i] = HEIGHT_MS * Math.exp(HEIGHT_SIGMA * gaussian(rng));
    }
  }

  /** Between two nodes by their numbers, 0 to nodes - 1; milliseconds; 0 for a node and itself. */
  rttMs(a: number, b: number): number {
    if (a === b) return 0;
    const [low, high] = a < b ? [a, b] : [b, a];
    const [x, y] = [at(this.#x, low) - at(this.#x, high), at(this.#y, low) - at(this.#y, high)];
    const straight = Math.hypot(x, y) + at(this.#height, low) + at(this.#height, high);
    // Drawn anew each time from a seed of the pair's own: there are too many pairs to remember.
    const rng = seededRng(this.#seed ^ Math.imul(low + 1, 0x9e3779b1) ^ Math.imul(high + 1, 0x85ebca77));
    rng.uint32();
    return Math.max(RTT_MS_MIN, straight * Math.exp(DEVIATION_SIGMA * gaussian(rng)));
  }
}

function at(values: Float64Array, index: number): number {
  const value = values[index];
  if (value === undefined) throw new RangeError(`there is no node ${index}`);
  return value;
}

/** Standard normal, by Box and Muller. */
function gaussian(rng: Rng): number {
  return Math.sqrt(-2 * Math.log(1 - fraction(rng))) * Math.cos(2 * Math.PI * fraction(rng));
}
