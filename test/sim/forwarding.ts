/** A data plane's tables as its resource daemon published them, and where a packet goes by them. */
import type { Id } from '../../overlay/id.ts';
import type { Hop, Image, TunnelPlan } from '../../rd/core/io.ts';

/** A datagram of a P2P daemon on its way through the VI. */
export type Packet<Message> = {
  readonly message: Message;
  readonly from: string;
  readonly to: string;
  readonly port: number;
  /** The source is a link address: it counts only where it comes by its own tunnel. */
  readonly byLink: boolean;
  hops: number;
};

const UNREACHABLE: Hop = { kind: 'unreachable' };

export class Forwarding {
  readonly image: Image;
  readonly #placeOf: (address: string) => Id | undefined;
  readonly #untils: readonly Id[];

  /** `placeOf`: the place on the circle of an address, if it is of the VI's prefix. */
  constructor(image: Image, placeOf: (address: string) => Id | undefined) {
    this.image = image;
    this.#placeOf = placeOf;
    this.#untils = image.ranges.map(({ until }) => until);
  }

  to(address: string): Hop {
    const exact = this.image.exact.get(address);
    if (exact !== undefined) return exact;
    if (this.image.prefixes.length === 0) return UNREACHABLE;
    const id = this.#placeOf(address);
    return id === undefined ? UNREACHABLE : this.toId(id);
  }

  /** By its place on the circle. */
  toId(id: Id): Hop {
    const untils = this.#untils;
    let [low, high] = [0, untils.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((untils[middle] as Id) < id) low = middle + 1;
      else high = middle;
    }
    return this.image.ranges[low === untils.length ? 0 : low]?.hop ?? UNREACHABLE;
  }

  /** The range that is delivered here, if there is one: (after, until]. Its pieces differ in whose they were before. */
  get own(): { readonly after: Id; readonly until: Id } | undefined {
    const { ranges } = this.image;
    const isLocal = (index: number): boolean => ranges.at(index % ranges.length)?.hop.kind === 'local';
    const first = ranges.findIndex((_, index) => isLocal(index) && (ranges.length === 1 || !isLocal(index - 1)));
    if (first < 0) return ranges.length > 0 && isLocal(0) ? whole(ranges) : undefined;
    let last = first;
    while (last + 1 < first + ranges.length && isLocal(last + 1)) last++;
    const at = (index: number): Id => (ranges.at(index % ranges.length) as (typeof ranges)[number]).until;
    return { after: at(first - 1), until: at(last) };
  }
}

/** All pieces are delivered here: the circle ends where the last one does. */
function whole(ranges: Image['ranges']): { readonly after: Id; readonly until: Id } {
  const { until } = ranges.at(-1) as (typeof ranges)[number];
  return { after: until, until };
}

/** A tunnel as the data plane has it, with the machine at its other end. */
export type LaidTunnel = { readonly plan: TunnelPlan; readonly machine: number };
