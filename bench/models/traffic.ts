/** What the nodes of a simulated ring send each other on the base network. */
import { p2pdCodec } from '../../overlay/messages/p2pd-p2pd.ts';
import { rdCodec } from '../../overlay/messages/rd-rd.ts';
import type { World } from '../../test/sim/world.ts';

/** One message of so many is encoded, to know how long they are. */
const MEASURED_OF = 64;

const IPV4_UDP_BYTES = 28;
/** DTLS 1.2 with AES-GCM: header, explicit nonce and tag. */
const RECORD_BYTES = 37;
/** Around a datagram of a P2P daemon in a tunnel without encryption: VXLAN, Ethernet, IPv6 and UDP, after the outer two. */
const TUNNEL_BYTES = IPV4_UDP_BYTES + 8 + 14 + 40 + 8;
const CONTROL_BYTES = IPV4_UDP_BYTES + RECORD_BYTES;
/** A question has 9 bytes, its answer 11. */
const KEEP_ALIVE_BYTES = IPV4_UDP_BYTES + RECORD_BYTES + 10;

/** All per second and node. */
export type TrafficOfNode = {
  /** Messages of its P2P daemon, and their bytes without any header. */
  readonly messages: number;
  readonly messageBytes: number;
  /** Datagrams that carry these over one tunnel after the other, those that it passes on for others included. */
  readonly carried: number;
  /** Control messages of its resource daemon, and datagrams of handshakes. */
  readonly controls: number;
  readonly handshakes: number;
  /** By arithmetic: where nothing else is said, an end of an association says something once in its period. */
  readonly keepAlives: number;
  /** All of it with all headers, but for handshakes, whose certificates the simulator does not send. */
  readonly bytes: number;
};

class Lengths {
  #measured = 0;
  #bytes = 0;
  seen = 0;

  see(encode: () => Uint8Array): void {
    if (this.seen++ % MEASURED_OF !== 0) return;
    this.#measured++;
    this.#bytes += encode().length;
  }

  get mean(): number {
    return this.#measured === 0 ? 0 : this.#bytes / this.#measured;
  }
}

/** Counts from when it is made. */
export class Traffic {
  readonly #world: World;
  readonly #messages = new Lengths();
  readonly #controls = new Lengths();
  readonly #before: { readonly carried: number; readonly flights: number };

  constructor(world: World) {
    this.#world = world;
    this.#before = { carried: world.planes.carried, flights: world.associations.flights };
    world.watch = {
      ...world.watch,
      sent: (message) => this.#messages.see(() => p2pdCodec.encode(message)),
      told: (message) => this.#controls.see(() => rdCodec.encode(message)),
    };
  }

  perNode(nodes: number, seconds: number): TrafficOfNode {
    const world = this.#world;
    const each = (count: number): number => count / nodes / seconds;
    const messages = each(this.#messages.seen);
    const carried = each(world.planes.carried - this.#before.carried);
    const controls = each(this.#controls.seen);
    const ends = world.nodes.reduce((sum, node) => sum + node.tunnels.size, 0);
    const keepAlives = (ends / nodes) * (1000 / world.vi.definition.timers.keepAliveMs);
    return {
      messages,
      messageBytes: messages * this.#messages.mean,
      carried,
      controls,
      handshakes: each(world.associations.flights - this.#before.flights),
      keepAlives,
      bytes:
        carried * (TUNNEL_BYTES + this.#messages.mean) +
        controls * (CONTROL_BYTES + this.#controls.mean) +
        keepAlives * KEEP_ALIVE_BYTES,
    };
  }
}
