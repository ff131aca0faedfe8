/**
 * Many P2P daemons in virtual time, with modelled resource daemons and a network that delays and loses. The same seed
 * gives the same run.
 */
import { formatAddress, parseAddress } from '../../overlay/addresses.ts';
import type { NodeRecord } from '../../overlay/fields.ts';
import { type Millis } from '../../overlay/lib/clock.ts';
import { below, fraction, type Rng, seededRng } from '../../overlay/lib/rng.ts';
import { P2PD_DATAGRAM_BYTES_MAX, type P2pdMessage, p2pdCodec } from '../../overlay/messages/p2pd-p2pd.ts';
import type { ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { parseViDefinition, type ViConfig, type ViDefinition } from '../../overlay/vi.ts';
import type { Endpoint, Input } from '../../p2pd/core/io.ts';
import { Machine } from '../../p2pd/core/machine.ts';
import { type Id, idOfAddress, idOfNodeText } from './ids.ts';
import { type End, type Link, ModelRd, otherEnd, type World } from './model-rd.ts';
import { Schedule } from './schedule.ts';

export type ClusterOptions = {
  readonly seed: number;
  /** One way on the network, milliseconds: the least and the spread above it. */
  readonly delayMs?: readonly [number, number];
  /** Part of datagrams lost. */
  readonly loss?: number;
  readonly definition?: Partial<ViDefinition>;
  /** Encode and decode every datagram. Slower; finds messages that do not fit. */
  readonly wire?: boolean;
  /** Size of contacts, bytes. */
  readonly contactBytes?: number;
};

/** The overlay manager's times and limits. */
const HEARD_OF_MS = 75_000;
const FOUNDER_MS = 15_000;
const BOOTSTRAP_MAX = 8;

/** A node: the P2P daemon's machine and its resource daemon. */
export class SimNode {
  readonly rd: ModelRd;
  readonly index: number;
  machine: Machine | undefined;
  /** The connection between the two is there. */
  connected = false;
  exited: string | undefined;
  wakeAt = Number.POSITIVE_INFINITY;

  constructor(rd: ModelRd, index: number) {
    this.rd = rd;
    this.index = index;
  }

  get id(): Id {
    return this.rd.id;
  }

  get alive(): boolean {
    return this.rd.alive && this.machine !== undefined;
  }

  /** A member that has not left. */
  get member(): boolean {
    const phase = this.machine?.node?.ring.phase;
    return this.alive && (phase === 'forming' || phase === 'formed');
  }
}

export class Cluster {
  readonly seed: number;
  readonly vi: ViConfig;
  readonly schedule = new Schedule();
  readonly nodes: SimNode[] = [];
  readonly rng: Rng;
  loss: number;
  datagrams = 0;
  bytesMax = 0;
  readonly #options: ClusterOptions;
  readonly #world: World;
  readonly #ends = new Map<string, End>();
  readonly #islands = new Map<ModelRd, number>();
  /** Datagrams between two nodes that are thrown away, by `${from}>${to}`. */
  readonly muted = new Set<string>();
  /** An overlay manager that does not know of some nodes. */
  hideFromBootstrap: (asker: ModelRd, offered: ModelRd) => boolean = () => false;
  #links = 0;
  #founder: { rd: ModelRd | undefined; until: number } = { rd: undefined, until: Number.NEGATIVE_INFINITY };

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.rng = seededRng(options.seed);
    this.loss = options.loss ?? 0;
    const definition = parseViDefinition(options.definition ?? {});
    if (!definition.ok) throw new Error(definition.message);
    const number = options.seed.toString(16).padStart(16, '0').slice(-16);
    this.vi = {
      id: `vi-${number}`,
      name: 'sim',
      prefix: 'fd00:0:0:2::/64',
      linkPrefix: 'fd00:0:0:1::/64',
      vni: 7,
      definition: definition.value,
    };
    this.#world = {
      vi: this.vi,
      port: () => this.#port,
      endpoint: (link, side) => ({ address: addressOf(link, side), port: this.#port }),
      now: () => this.schedule.now,
      after: (ms, run) => this.schedule.after(ms, run),
      delay: () => this.#delay(),
      resolve: (contact) => this.nodes[new DataView(contact.buffer, contact.byteOffset).getUint32(0)]?.rd,
      connected: (a, b) => (this.#islands.get(a) ?? 0) === (this.#islands.get(b) ?? 0),
      bootstrap: (asker) => this.#bootstrap(asker),
      linkUp: (link) => this.#linkUp(link),
      linkDown: (link) => {
        for (const side of [0, 1]) this.#ends.delete(addressOf(link, side));
      },
      left: (rd) => this.#left(rd),
    };
  }

  get #port(): number {
    return this.vi.definition.p2pdPort;
  }

  get now(): number {
    return this.schedule.now;
  }

  /** A node with a chosen or derived id, not started. */
  create(id?: Id): SimNode {
    const index = this.nodes.length;
    const contact = new Uint8Array(this.#options.contactBytes ?? 16);
    new DataView(contact.buffer).setUint32(0, index);
    const record: NodeRecord = { id: id ?? idOfNodeText(index, this.vi.id), incarnation: 1_700_000_000_000, contact };
    const node = new SimNode(new ModelRd(this.#world, record), index);
    this.nodes.push(node);
    return node;
  }

  /** Starts the P2P daemon; as a new one if it ran already. */
  start(node: SimNode): void {
    const rng = seededRng(this.rng.uint32());
    node.machine = new Machine({ vi: this.vi.id, node: node.id, rng });
    node.exited = undefined;
    this.#connect(node);
  }

  add(id?: Id): SimNode {
    const node = this.create(id);
    this.start(node);
    return node;
  }

  run(ms: number): void {
    this.schedule.runUntil(this.now + ms);
  }

  /** Runs until the condition holds, and says after how many milliseconds; throws with the seed if it does not. */
  until(what: string, condition: () => boolean | string, msMax: number, stepMs = 50): number {
    const start = this.now;
    let last: boolean | string = false;
    while (this.now - start < msMax) {
      last = condition();
      if (last === true) return this.now - start;
      this.run(stepMs);
    }
    throw new Error(`seed ${this.seed}: ${what}: not within ${msMax} ms${typeof last === 'string' ? `: ${last}` : ''}`);
  }

  /** Power fails: neither daemon says a word. */
  kill(node: SimNode): void {
    node.machine = undefined;
    node.connected = false;
    node.rd.die();
  }

  /** The P2P daemon is killed and comes back after a while; the resource daemon keeps forwarding. */
  restartP2pd(node: SimNode, afterMs: number): void {
    node.machine = undefined;
    node.connected = false;
    node.rd.connect(undefined);
    this.schedule.after(afterMs, () => {
      if (node.rd.alive) this.start(node);
    });
  }

  /** The resource daemon is killed and comes back; the P2P daemon survives. */
  restartRd(node: SimNode, afterMs: number): void {
    node.connected = false;
    node.rd.die();
    this.#input(node, { kind: 'rd.down' });
    this.schedule.after(afterMs, () => {
      node.rd.restart(node.rd.record.incarnation + 1);
      this.#connect(node);
    });
  }

  /** Power returns: everything starts anew, as a new incarnation. */
  revive(node: SimNode): void {
    node.rd.restart(node.rd.record.incarnation + 1);
    this.start(node);
  }

  leave(node: SimNode): void {
    node.rd.tell({ t: 'leave' });
  }

  lookup(node: SimNode, request: number, id: Id): void {
    node.rd.tell({ t: 'lookup', request, id });
  }

  /** Breaks the base network into islands, or heals it with an empty list; nodes not named stay on the mainland. */
  islands(islands: readonly (readonly SimNode[])[]): void {
    this.#islands.clear();
    islands.forEach((nodes, i) => {
      for (const node of nodes) this.#islands.set(node.rd, i + 1);
    });
    for (const { rd } of this.nodes) {
      for (const end of rd.ends.values()) {
        if (end === end.link.ends[0] && !this.#world.connected(end.rd, end.peer)) rd.cut(end);
      }
    }
  }

  /** Hands a datagram to a node's machine as if it had come from that endpoint. */
  inject(node: SimNode, from: Endpoint, message: P2pdMessage): void {
    this.#input(node, { kind: 'datagram', from, message });
  }

  #connect(node: SimNode): void {
    node.connected = true;
    node.rd.connect((message: ToP2pd) => {
      const { machine } = node;
      this.schedule.after(0, () => {
        if (node.machine === machine && node.connected) this.#input(node, { kind: 'rd', message });
      });
    });
    this.#input(node, { kind: 'rd.up' });
  }

  #input(node: SimNode, input: Input): void {
    const { machine } = node;
    if (machine === undefined) return;
    machine.handle(input, this.schedule.now);
    for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
      switch (output.kind) {
        case 'rd': {
          const { message } = output;
          if (node.connected) this.schedule.after(0, () => node.rd.alive && node.rd.handle(message));
          break;
        }
        case 'datagram':
          this.#send(node, output.to, output.message);
          break;
        case 'listen':
          break;
        case 'exit':
          node.exited = output.reason;
          break;
      }
    }
    this.#arm(node);
  }

  #arm(node: SimNode): void {
    const { machine } = node;
    const deadline = machine?.deadline();
    if (machine === undefined || deadline === undefined || deadline === node.wakeAt) return;
    node.wakeAt = deadline;
    this.schedule.at(deadline, () => {
      if (node.wakeAt !== deadline) return;
      node.wakeAt = Number.POSITIVE_INFINITY;
      if (node.machine === machine) this.#input(node, { kind: 'tick' });
    });
  }

  #send(node: SimNode, to: Endpoint, message: P2pdMessage): void {
    this.datagrams++;
    let carried = message;
    if (this.#options.wire === true) {
      const bytes = p2pdCodec.encode(message);
      this.bytesMax = Math.max(this.bytesMax, bytes.length);
      if (bytes.length > P2PD_DATAGRAM_BYTES_MAX) {
        throw new Error(`seed ${this.seed}: a ${message.t} of ${bytes.length} bytes does not fit into a datagram`);
      }
      const decoded = p2pdCodec.decode(bytes);
      if (!decoded.ok) throw new Error(decoded.message);
      carried = decoded.value;
    }
    if (fraction(this.rng) < this.loss) return;
    const end = this.#ends.get(to.address);
    if (end === undefined) return this.#sendToNode(node, to, carried);
    // `end` is the far one: its address is the one written to.
    const near = otherEnd(end);
    if (near.rd !== node.rd) return;
    const side = near.link.ends[0] === near ? 0 : 1;
    const from = { address: addressOf(near.link, side), port: this.#port };
    if (this.muted.has(`${node.id}>${end.rd.id}`)) return;
    this.schedule.after(this.#delay(), () => {
      const far = this.nodes.find((other) => other.rd === end.rd);
      if (far === undefined || !far.rd.alive || !end.link.alive || !this.#world.connected(near.rd, far.rd)) return;
      this.#input(far, { kind: 'datagram', from, message: carried });
    });
  }

  /** To a stable address: over several tunnels, which is not modelled here beyond its delay. */
  #sendToNode(node: SimNode, to: Endpoint, message: P2pdMessage): void {
    const id = idOfAddress(this.vi.prefix, parseAddress(to.address));
    const far = this.nodes.find((other) => other.id === id);
    if (far === undefined) return;
    const prefix = parseAddress('fd00:0:0:2::') as Uint8Array;
    new DataView(prefix.buffer).setBigUint64(8, node.id);
    const from = { address: formatAddress(prefix), port: this.#port };
    this.schedule.after(this.#delay() * 3, () => {
      if (far.rd.alive) this.#input(far, { kind: 'datagram', from, message });
    });
  }

  #linkUp(link: Link): void {
    (link as { number: number }).number = ++this.#links;
    for (const side of [0, 1] as const) this.#ends.set(addressOf(link, side), link.ends[side]);
  }

  /**
   * As an overlay manager does: some of those who said that they are members, dead ones among them for a while; where
   * there are none, one node is told to found the ring, and the others are told that node.
   */
  #bootstrap(asker: ModelRd): { nodes: NodeRecord[]; found: boolean } {
    const members = this.nodes
      .filter(({ rd }) => rd !== asker && this.#listed(rd) && !this.hideFromBootstrap(asker, rd))
      .map(({ rd }) => rd.record);
    for (let i = members.length - 1; i > 0; i--) {
      const j = below(this.rng, i + 1);
      [members[i], members[j]] = [members[j] as NodeRecord, members[i] as NodeRecord];
    }
    if (members.length > 0) return { nodes: members.slice(0, BOOTSTRAP_MAX), found: false };
    if (this.#founder.until <= this.now) this.#founder = { rd: asker, until: this.now + FOUNDER_MS };
    const { rd } = this.#founder;
    return rd === asker ? { nodes: [], found: true } : { nodes: rd === undefined ? [] : [rd.record], found: false };
  }

  #listed(rd: ModelRd): boolean {
    if (!rd.alive && this.now - rd.heardAt > HEARD_OF_MS) return false;
    const phase = rd.report?.phase;
    return phase === 'forming' || phase === 'formed';
  }

  #left(rd: ModelRd): void {
    const node = this.nodes.find((other) => other.rd === rd);
    if (node === undefined) return;
    node.machine = undefined;
    rd.alive = false;
    rd.connect(undefined);
    for (const end of rd.ends.values()) {
      end.link.alive = false;
      this.#world.linkDown(end.link);
      rd.ends.delete(end.peer.id);
      end.peer.ends.delete(rd.id);
      this.schedule.after(this.#delay(), () => end.peer.tell({ t: 'tunnel.down', key: rd.id, reason: 'peer-dead' }));
    }
  }

  #delay(): number {
    const [least, spread] = this.#options.delayMs ?? [2, 10];
    return least + spread * fraction(this.rng);
  }
}

function addressOf(link: Link, side: number): string {
  return `fd00:1::${(link.number * 2 + side).toString(16)}`;
}

export type { Millis };
