/** The data plane's counters at one moment, found by handle: an answer about a thousand tunnels asks a thousand times. */
import type { Counters, TunnelCounters, TunnelHandle } from '../../native/index.ts';
import type { AssociationRef } from '../core/io.ts';

export type AssociationReading = Counters['associations'][number];

export class Readings {
  readonly counters: Counters;
  readonly #tunnels: ReadonlyMap<TunnelHandle, TunnelCounters>;
  readonly #associations: ReadonlyMap<number, AssociationReading>;

  constructor(counters: Counters) {
    this.counters = counters;
    this.#tunnels = new Map(counters.tunnels.map((row) => [row.tunnel, row]));
    this.#associations = new Map(counters.associations.map((row) => [Number(row.association), row]));
  }

  tunnel(handle: TunnelHandle): TunnelCounters | undefined {
    return this.#tunnels.get(handle);
  }

  association(ref: AssociationRef | undefined): AssociationReading | undefined {
    return ref === undefined ? undefined : this.#associations.get(Number(ref));
  }
}
