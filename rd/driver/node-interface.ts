/**
 * A virtual node's interface: a TAP of the data plane, which the kernel part names, places in its network namespace and
 * configures. Made anew for as long as it takes where it was removed or broken.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagedGateway } from '../../gateway/driver/managed-gateway.ts';
import { macOfNode } from '../../overlay/addresses.ts';
import type { Id } from '../../overlay/id.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { NodeRef } from '../core/io.ts';
import type { Acquaintances } from './acquaintances.ts';
import { inBackground } from './background.ts';
import type { Membership } from './files.ts';
import type { Host } from './host.ts';
import type { Attachment } from './kernel.ts';
import { birthName } from './names.ts';
import { hasGateway, openGateway } from './node-gateways.ts';
import { NodePlane } from './node-plane.ts';
import type { TunnelShapes } from './tunnel-shapes.ts';

/** Wait before an interface is made anew; doubled with each failure. */
const REPAIR_MS = 1000;
const REPAIR_MS_MAX = 60_000;

export type NodeInterfaceOptions = {
  readonly host: Pick<Host, 'config' | 'kernel' | 'engine' | 'plane'>;
  readonly ref: NodeRef;
  readonly id: Id;
  readonly membership: () => Membership;
  readonly shapes: TunnelShapes;
  readonly acquaintances: Pick<Acquaintances, 'prepare' | 'known'>;
  /** It has been removed or broken, and is about to be made anew. */
  readonly onLost: () => void;
  readonly onMadeAnew: () => void;
  readonly log: Log;
};

export class NodeInterface {
  readonly #options: NodeInterfaceOptions;
  #attachment: Attachment | undefined;
  #plane: NodePlane | undefined;
  #gateway: ManagedGateway | undefined;
  /** From `make` to `end`: then it is made anew where it is lost. */
  #isWanted = false;
  readonly #ended = Promise.withResolvers<void>();
  #repairing: Promise<void> | undefined;
  #problem: string | null = null;
  /** What waits until the kernel has the addresses of which it speaks. */
  #unsettled: (() => void)[] = [];

  constructor(options: NodeInterfaceOptions) {
    this.#options = options;
  }

  /** undefined while there is none. */
  get plane(): NodePlane | undefined {
    return this.#plane;
  }

  /** undefined where the node is to have none, or has no interface. */
  get gateway(): ManagedGateway | undefined {
    return this.#gateway;
  }

  get attachment(): Attachment | undefined {
    return this.#attachment;
  }

  /** Why there is none, one sentence. */
  get problem(): string | null {
    return this.#problem;
  }

  async make(): Promise<Result<void>> {
    const placed = await this.#place();
    this.#isWanted = placed.ok;
    return placed;
  }

  /** It is not made anew any more. What is half made then goes with it. */
  async end(): Promise<void> {
    this.#isWanted = false;
    this.#ended.resolve();
    await this.#repairing?.catch(() => undefined);
  }

  /** The namespace stays. */
  async remove(): Promise<void> {
    const [plane, attachment] = [this.#plane, this.#attachment];
    const { host } = this.#options;
    this.#plane = undefined;
    this.#gateway = undefined;
    this.#attachment = undefined;
    if (plane !== undefined) {
      plane.close();
      host.plane().closeNode(plane.handle);
    }
    if (attachment !== undefined) await host.kernel.detach(attachment);
  }

  /** Carries out `task` once the kernel has all addresses of tunnels that are up. */
  whenSettled(task: () => void): void {
    if (this.#plane?.isSettling === true) this.#unsettled.push(task);
    else task();
  }

  /** The data plane's interface: made here, in its namespace, named and configured by the kernel part. */
  async #place(): Promise<Result<void>> {
    const { host, ref, id, shapes, acquaintances, log } = this.#options;
    const membership = this.#options.membership();
    const { vi, ipv4, ipv6, netns } = membership;
    const prepared = await host.kernel.prepareNamespace(netns);
    if (!prepared.ok) return prepared;
    const { mtu, ipv4Pool } = vi.definition;
    const tapName = birthName(process.pid, ref);
    const sources = { prefixes: [vi.prefix, ipv4Pool], linkPrefixes: [vi.linkPrefix, vi.definition.linkPool] };
    const node = { tapName, mtu, id, viId: vi.id, vni: vi.vni, mac: macOfNode(id), ipv4, ipv6, sources };
    if (hasGateway(host.config, membership)) await acquaintances.prepare();
    const opened = host.plane().openNode(node);
    if (!opened.ok) return opened;
    // Before there is an interface that carries anything.
    const gateway = openGateway(host.config, host.plane(), opened.value, membership, () => acquaintances.known());
    if (!gateway.ok) {
      host.plane().closeNode(opened.value);
      return gateway;
    }
    const network = { name: vi.name, vni: vi.vni, prefix: vi.prefix, ipv4Pool };
    const attached = await host.kernel.attach({ birthName: tapName, netns, vi: network, mtu, ipv4, ipv6 });
    if (!attached.ok) {
      host.plane().closeNode(opened.value);
      return attached;
    }
    this.#attachment = attached.value;
    this.#gateway = gateway.value;
    this.#plane = new NodePlane({
      plane: host.plane(),
      handle: opened.value,
      attachment: attached.value,
      shapes,
      log,
      onBroken: (peer) => host.engine.input({ kind: 'tunnel.broken', node: ref, peer }),
      onSettled: () => {
        const tasks = this.#unsettled;
        this.#unsettled = [];
        for (const task of tasks) task();
      },
      onFailed: (errno) => this.#failed(errno),
    });
    return ok();
  }

  #failed(errno: number): void {
    if (!this.#isWanted || this.#repairing !== undefined) return;
    const { log } = this.#options;
    this.#problem = `The interface was removed or broken (error ${errno}); it is being made anew.`;
    log.error({ errno }, 'the interface is gone; making it anew');
    const repairing = this.#repair().finally(() => {
      this.#repairing = undefined;
    });
    this.#repairing = repairing;
    inBackground(repairing, log);
  }

  async #repair(): Promise<void> {
    const { onLost, onMadeAnew, log } = this.#options;
    const removed = this.remove();
    onLost();
    await removed;
    for (let waitMs = REPAIR_MS; ; waitMs = Math.min(waitMs * 2, REPAIR_MS_MAX)) {
      await Promise.race([this.#ended.promise, sleep(waitMs, undefined, { ref: false })]);
      if (!this.#isWanted) return;
      const placed = await this.#place();
      if (!this.#isWanted) return;
      if (placed.ok) break;
      this.#problem = `The interface cannot be made: ${placed.message}`;
      log.error({ problem: placed.message }, 'the interface cannot be made; trying again');
    }
    this.#problem = null;
    onMadeAnew();
  }
}
