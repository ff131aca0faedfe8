/** A virtual node's tunnels in the data plane, and their addresses in the kernel. */
import type {
  AssociationHandle,
  DataPlane,
  NextHop,
  NodeHandle,
  TunnelCounters,
  TunnelHandle,
} from '../../native/index.ts';
import { macOfNode } from '../../overlay/addresses.ts';
import { formatId, type Id } from '../../overlay/id.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { sameEndpoint } from '../core/contact.ts';
import type { AssociationRef, Hop, Image, LinkAddresses, TunnelPlan } from '../core/io.ts';
import { inBackground } from './background.ts';
import type { Attachment } from './kernel.ts';
import { linkLines } from './kernel.ts';
import type { Readings } from './readings.ts';
import { ipBatch, ipBatchForced } from './shell.ts';
import type { TunnelShapes } from './tunnel-shapes.ts';

type LinkChange = { readonly peer: Id; readonly link: LinkAddresses; readonly isAdd: boolean };

/** `association`: the one whose records carry its packets in the data plane; null: plain. */
type Placed = { plan: TunnelPlan; association: AssociationHandle | null; readonly handle: TunnelHandle };

export type NodePlaneOptions = {
  readonly plane: DataPlane;
  readonly handle: NodeHandle;
  readonly attachment: Attachment;
  readonly shapes: TunnelShapes;
  readonly log: Log;
  /** A tunnel cannot be made; said of one that was set. */
  readonly onBroken: (peer: Id) => void;
  /** The kernel has taken over all addresses asked for so far. */
  readonly onSettled: () => void;
  readonly onFailed: (errno: number) => void;
};

export class NodePlane {
  readonly #options: NodePlaneOptions;
  readonly #tunnels = new Map<Id, Placed>();
  /** What the kernel is yet to be told, by link: of several changes of one link, the last counts. */
  #pending = new Map<string, LinkChange>();
  #isWorking = false;
  #isClosed = false;
  #generation = 0;

  constructor(options: NodePlaneOptions) {
    this.#options = options;
  }

  get handle(): NodeHandle {
    return this.#options.handle;
  }

  /** Whether the kernel still lacks addresses of tunnels that are set. */
  get isSettling(): boolean {
    return this.#isWorking || this.#pending.size > 0;
  }

  failed(errno: number): void {
    this.#options.onFailed(errno);
  }

  set(plan: TunnelPlan, payloadBytesMax: number | undefined): void {
    const placed = this.#tunnels.get(plan.peer) ?? this.#add(plan);
    if (placed === undefined) return;
    const { endpoint, secure, why } = plan;
    this.#options.log.debug({ peer: formatId(plan.peer), endpoint, secure, why }, 'tunnel set');
    const before = placed.plan;
    if (!this.#bind(placed, plan)) return;
    placed.plan = plan;
    if (!sameEndpoint(before.endpoint, plan.endpoint)) this.#update(placed, { peer: plan.endpoint });
    if (payloadBytesMax !== undefined) this.#update(placed, { payloadBytesMax });
    this.#changeLink(plan.peer, before === plan ? null : before.link, plan.link);
  }

  unset(peer: Id): void {
    const placed = this.#tunnels.get(peer);
    if (placed === undefined) return;
    this.#tunnels.delete(peer);
    this.#options.log.debug({ peer: formatId(peer) }, 'tunnel removed');
    this.#options.plane.removeTunnel(placed.handle);
    this.#changeLink(peer, placed.plan.link, null);
  }

  setPayload(association: AssociationRef, payloadBytesMax: number): void {
    for (const placed of this.#tunnels.values()) {
      if (placed.plan.association === association) this.#update(placed, { payloadBytesMax });
    }
  }

  /** Gives the tunnel to that peer, if there is one, the shape that it is to have now. */
  reshape(peer: Id): Result<void> {
    const placed = this.#tunnels.get(peer);
    return placed === undefined ? ok() : this.#update(placed, { shape: this.#options.shapes.of(peer) });
  }

  publish(image: Image): void {
    this.#generation += 1;
    const published = this.#options.plane.publish(this.handle, {
      generation: this.#generation,
      exact: [...image.exact].map(([address, hop]) => ({ address, nextHop: this.#nextHop(hop) })),
      prefixes: image.prefixes.map((prefix) => ({ prefix, nextHop: { kind: 'ring' } })),
      ranges: image.ranges.map(({ until, hop }) => ({ until, nextHop: this.#nextHop(hop) })),
    });
    if (!published.ok) this.#options.log.error({ problem: published.message }, 'the forwarding table was refused');
  }

  countersOf(peer: Id, readings: Readings): TunnelCounters | undefined {
    const handle = this.#tunnels.get(peer)?.handle;
    return handle === undefined ? undefined : readings.tunnel(handle);
  }

  /** From now on nothing is done for this node; what it has goes with its interface. */
  close(): void {
    this.#isClosed = true;
    this.#pending.clear();
  }

  #add(plan: TunnelPlan): Placed | undefined {
    const { plane, handle: node, onBroken, log } = this.#options;
    const association = recordsOf(plan);
    const added = plane.addTunnel({
      node,
      peer: plan.endpoint,
      peerMac: macOfNode(plan.peer),
      ...(association === null ? {} : { association }),
    });
    if (!added.ok) {
      log.error({ problem: added.message }, 'a tunnel cannot be made');
      onBroken(plan.peer);
      return undefined;
    }
    const placed = { plan, association, handle: added.value };
    this.#tunnels.set(plan.peer, placed);
    const shape = this.#options.shapes.of(plan.peer);
    if (shape.out !== null || shape.in !== null) this.#update(placed, { shape });
    return placed;
  }

  /**
   * Binds the tunnel to the association of its plan, or to none. Where that fails, a secure tunnel stays bound to what it
   * had, and drops; one that would be less secure than it has to be is removed, and false is the answer.
   */
  #bind(placed: Placed, plan: TunnelPlan): boolean {
    const association = recordsOf(plan);
    if (association === placed.association) return true;
    const { plane, log, onBroken } = this.#options;
    const updated = plane.updateTunnel(placed.handle, { association });
    if (updated.ok) placed.association = association;
    if (updated.ok || (association !== null && placed.association !== null)) return true;
    log.error({ peer: formatId(plan.peer), problem: updated.message }, 'the security of a tunnel cannot be changed');
    this.unset(plan.peer);
    onBroken(plan.peer);
    return false;
  }

  #update(placed: Placed, change: Parameters<DataPlane['updateTunnel']>[1]): Result<void> {
    const updated = this.#options.plane.updateTunnel(placed.handle, change);
    if (!updated.ok) this.#options.log.warn({ problem: updated.message }, 'a tunnel cannot be changed');
    return updated;
  }

  #nextHop(hop: Hop): NextHop {
    if (hop.kind === 'unreachable') return hop;
    if (hop.kind === 'local') {
      const former = hop.former === undefined ? undefined : this.#tunnels.get(hop.former)?.handle;
      return former === undefined ? { kind: 'local' } : { kind: 'local', former };
    }
    const tunnel = this.#tunnels.get(hop.peer)?.handle;
    return tunnel === undefined ? { kind: 'unreachable' } : { kind: 'tunnel', tunnel };
  }

  #changeLink(peer: Id, before: LinkAddresses | null, after: LinkAddresses | null): void {
    if (before?.local.ipv4 === after?.local.ipv4 && before?.remote.ipv4 === after?.remote.ipv4) return;
    if (before !== null) this.#pending.set(linkName(before), { peer, link: before, isAdd: false });
    if (after !== null) this.#pending.set(linkName(after), { peer, link: after, isAdd: true });
    if (!this.#isWorking) inBackground(this.#work(), this.#options.log);
  }

  /** All that has gathered goes into one `ip`; what gathers meanwhile, into the next. */
  async #work(): Promise<void> {
    this.#isWorking = true;
    try {
      // Decisions made in the same instant go together.
      await Promise.resolve();
      while (this.#pending.size > 0 && !this.#isClosed) {
        const batch = [...this.#pending.values()];
        this.#pending.clear();
        await this.#apply(batch);
      }
    } finally {
      this.#isWorking = false;
    }
    if (!this.#isClosed) this.#options.onSettled();
  }

  async #apply(batch: readonly LinkChange[]): Promise<void> {
    const { netns, interface: name } = this.#options.attachment;
    const additions = batch.filter((change) => change.isAdd);
    const removals = batch.filter((change) => !change.isAdd);
    const linesOf = (verb: 'add' | 'del', changes: readonly LinkChange[]): string[] =>
      changes.flatMap(({ link }) => linkLines(verb, name, link));
    await ipBatchForced(netns, linesOf('del', removals));
    const all = await ipBatch(netns, linesOf('add', additions));
    if (all.ok) return;
    // One of them is wrong: find out which, so that the others work.
    for (const { link, peer } of additions) {
      const one = await ipBatch(netns, linkLines('replace', name, link));
      if (one.ok || this.#isClosed) continue;
      this.#options.log.error({ link, problem: one.message }, 'a link address cannot be set');
      this.#options.onBroken(peer);
    }
  }
}

/** The association whose records carry the tunnel's packets; null: plain. */
function recordsOf({ secure, association }: TunnelPlan): AssociationHandle | null {
  return secure ? (association as number as AssociationHandle) : null;
}

function linkName({ local, remote }: LinkAddresses): string {
  return `${local.ipv4} ${remote.ipv4}`;
}
