/** Carries out what the core has decided about one virtual node: on its interface, at the overlay manager, on the disk. */
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import type { RingReportMessage, ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { LEASE_MS } from '../../overlay/om-api.ts';
import type { NodeRef } from '../core/io.ts';
import { inBackground } from './background.ts';
import type { Engine, NodeOutput } from './engine.ts';
import type { Lookups } from './lookups.ts';
import type { NodeInterface } from './node-interface.ts';
import type { OmLink } from './om-link.ts';
import { recordsOf } from './records.ts';
import type { SavedMembership } from './saved-membership.ts';

export type NodeDutiesOptions = {
  readonly ref: NodeRef;
  readonly engine: Engine;
  readonly interface: NodeInterface;
  readonly om: OmLink;
  readonly saved: SavedMembership;
  readonly lookups: Lookups;
  readonly reported: (report: RingReportMessage) => void;
  /** The P2P daemon has handed over. */
  readonly left: () => void;
  readonly log: Log;
};

export class NodeDuties {
  readonly #options: NodeDutiesOptions;

  constructor(options: NodeDutiesOptions) {
    this.#options = options;
  }

  act(output: NodeOutput): void {
    const { saved, lookups, reported, left, log } = this.#options;
    const { plane } = this.#options.interface;
    switch (output.kind) {
      case 'tunnel.unset':
        return plane?.unset(output.peer);
      case 'publish':
        return plane?.publish(output.image);
      case 'leases.request':
        return inBackground(this.#lease(output.request, output.count), log);
      case 'leases.keep':
        return inBackground(this.#keepLeases(output.pairs), log);
      case 'leases.changed':
        return saved.change({ pairs: [...output.pairs], leasedUntil: systemClock.wall() + output.msLeft });
      case 'bootstrap.get':
        return inBackground(this.#bootstrap(), log);
      case 'ring':
        return reported(output.report);
      case 'lookup.answer':
        return lookups.answered(output.answer);
      case 'left':
        return left();
      case 'peer':
        return saved.remember(output.record);
    }
  }

  #tell(message: ToP2pd): void {
    this.#options.engine.input({ kind: 'p2pd.send', node: this.#options.ref, message });
  }

  async #lease(request: string, count: number): Promise<void> {
    const { engine, om, ref } = this.#options;
    const leased = await om.lease(request, count);
    const pairs = leased.ok ? leased.value : undefined;
    engine.input({ kind: 'leases', node: ref, request, pairs, msLeft: LEASE_MS });
  }

  async #keepLeases(pairs: readonly number[]): Promise<void> {
    const { engine, om, ref } = this.#options;
    const kept = await om.keepLeases(pairs);
    const still = kept.ok ? kept.value : undefined;
    engine.input({ kind: 'leases.kept', node: ref, pairs: still, msLeft: LEASE_MS });
  }

  /** By the overlay manager, or where it does not answer, by the peers of an earlier time. */
  async #bootstrap(): Promise<void> {
    const { om, saved } = this.#options;
    const answer = await om.bootstrap();
    if (answer.ok) return this.#tell({ t: 'bootstrap', ...answer.value });
    this.#tell({ t: 'bootstrap', nodes: recordsOf(saved.value.peers), found: false });
  }
}
