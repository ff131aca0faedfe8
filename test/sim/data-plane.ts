/** The data planes of all simulated nodes: P2P daemons' datagrams go hop by hop, by the images in effect, over the tunnels. */
import type { P2pdMessage } from '../../overlay/messages/p2pd-p2pd.ts';
import type { Endpoint } from '../../p2pd/core/io.ts';
import type { Hop } from '../../rd/core/io.ts';
import type { Associations } from './associations.ts';
import type { BaseNetwork } from './base-network.ts';
import { KIND } from './events.ts';
import type { Packet } from './forwarding.ts';
import type { SimNode } from './sim-node.ts';

const HOPS_MAX = 64;

export type P2pdPacket = Packet<P2pdMessage>;

/** What the data planes need of the world. */
export type Surroundings = {
  readonly network: BaseNetwork;
  readonly associations: Associations;
  node(machine: number): SimNode;
  post(ms: number, kind: number, node: number, extra: number, body: unknown): void;
  deliver(node: SimNode, packet: P2pdPacket): void;
};

export class DataPlanes {
  readonly #world: Surroundings;
  /** Datagrams between two nodes that are thrown away, by `${from.index}>${to.index}`; keep-alives pass. */
  readonly muted: Set<string> = new Set();
  /** Most hops that a packet took, and packets that had no way or met their limit of hops. */
  hopsMax = 0;
  lost = 0;
  /** Times that a packet was sent over a tunnel. */
  carried = 0;

  constructor(world: Surroundings) {
    this.#world = world;
  }

  send(node: SimNode, to: Endpoint, message: P2pdMessage): void {
    if (node.forwarding === undefined) return;
    const hop = node.forwarding.to(to.address);
    const link = hop.kind === 'tunnel' ? node.tunnels.get(hop.peer)?.plan.link : undefined;
    // As the kernel chooses the source: that of the link for its other end, the node's own for all else.
    const byLink = link?.remote.ipv6 === to.address;
    const from = byLink ? link.local.ipv6 : node.ipv6;
    this.#forward(node, hop, { message, from, to: to.address, port: to.port, byLink, hops: 0 });
  }

  #forward(node: SimNode, hop: Hop, packet: P2pdPacket): void {
    if (hop.kind === 'local') return this.#world.deliver(node, packet);
    if (hop.kind === 'unreachable' || packet.hops >= HOPS_MAX) {
      this.lost++;
      return;
    }
    const tunnel = node.tunnels.get(hop.peer);
    if (tunnel === undefined || tunnel.machine < 0) {
      this.lost++;
      return;
    }
    if (this.muted.size > 0 && this.muted.has(`${node.index}>${tunnel.machine}`)) return;
    if (tunnel.plan.secure && this.#world.associations.end(node.index, tunnel.plan.association)?.state !== 'up') return;
    this.carried++;
    const copies = this.#world.network.isDoubled() ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const ms = this.#world.network.delay(node.index, tunnel.machine);
      if (ms === undefined) continue;
      const { message, from, to, port, byLink, hops } = packet;
      const carried = { message, from, to, port, byLink, hops: hops + 1 };
      this.#world.post(ms + node.lagMs, KIND.PACKET, tunnel.machine, node.index, carried);
    }
  }

  /** One has arrived by the tunnel from that machine. */
  onPacket(node: SimNode, via: number, packet: P2pdPacket): void {
    const sender = this.#world.node(via);
    const tunnel = node.tunnels.get(sender.id);
    if (node.forwarding === undefined || tunnel === undefined) return;
    if (tunnel.plan.secure && this.#world.associations.end(node.index, tunnel.plan.association)?.state !== 'up') return;
    if (packet.byLink) {
      const own = node.forwarding.image.exact.get(packet.from);
      if (own?.kind !== 'tunnel' || own.peer !== sender.id) return;
    }
    this.hopsMax = Math.max(this.hopsMax, packet.hops);
    this.#forward(node, node.forwarding.to(packet.to), packet);
  }
}
