/**
 * Many nodes in virtual time. Each is the core of a resource daemon and that of a P2P daemon, the same code that the
 * daemons run; between them lie models of the socket, of associations, of tunnels and of the base network, and packets of
 * P2P daemons go hop by hop as the published images say. The same seed gives the same run.
 */
import { type Cidr, idOfAddress, parseAddress, parseCidr, poolAddress } from '../../overlay/addresses.ts';
import { type Id, idOfNode } from '../../overlay/id.ts';
import { type Rng, seededRng } from '../../overlay/lib/rng.ts';
import type { P2pdMessage } from '../../overlay/messages/p2pd-p2pd.ts';
import type { RdMessage } from '../../overlay/messages/rd-rd.ts';
import { parseViDefinition, type ViConfig, type ViDefinition } from '../../overlay/vi.ts';
import type { Endpoint } from '../../p2pd/core/io.ts';
import { Associations } from './associations.ts';
import { BaseNetwork, constantLatency, FAIR, type Latency, type Weather } from './base-network.ts';
import { DataPlanes } from './data-plane.ts';
import { dispatch } from './dispatch.ts';
import { KIND } from './events.ts';
import { Manager } from './manager.ts';
import { ManagerLink } from './manager-link.ts';
import { P2pDaemons } from './p2p-daemons.ts';
import { type Event, EventQueue } from './queue.ts';
import { ResourceDaemons } from './resource-daemons.ts';
import { NODE, SimNode } from './sim-node.ts';
import { Trace } from './trace.ts';

export type WorldOptions = {
  readonly seed: number;
  readonly latency?: Latency;
  readonly weather?: Partial<Weather>;
  readonly definition?: Partial<ViDefinition>;
  /** Encode and decode every message. Slower; finds messages that do not fit their form. */
  readonly wire?: boolean;
  /** Size of contacts, bytes. */
  readonly contactBytes?: number;
};

/** What watches the nodes; all of it may be left out. */
export type Watch = {
  /** An input of this node has been dealt with. */
  touched?(node: SimNode): void;
  /** Which keys are delivered at this node may have changed. */
  rerouted?(node: SimNode): void;
  /** Its tunnels or leases have changed. */
  retunnelled?(node: SimNode): void;
  /** Its P2P daemon has sent this. */
  sent?(message: P2pdMessage): void;
  /** Its resource daemon has sent this to another. */
  told?(message: RdMessage): void;
};

/** One way on the base network where nothing else is said, milliseconds. */
const LATENCY_MS = 2;
const LEAVE_MS = 5000;
/** More events at one instant than this for each node are a loop. */
const AT_ONCE_PER_NODE = 2000;

export class World {
  readonly seed: number;
  readonly vi: ViConfig;
  readonly rng: Rng;
  readonly nodes: SimNode[] = [];
  readonly network: BaseNetwork;
  readonly associations: Associations;
  readonly planes: DataPlanes;
  readonly manager: Manager;
  readonly trace: Trace = new Trace();
  /** The overlay manager can be reached from every island, not from the mainland alone. */
  managerIsEverywhere = false;
  /** Data planes answer measurements of the way to them. */
  answersProbes = true;
  watch: Watch = {};
  /** Carries out a step of the plan. */
  onStep: (place: number) => void = () => undefined;
  onLookup: ((node: SimNode, request: number) => void) | undefined;
  datagrams = 0;
  bytesMax = 0;
  controls = 0;
  events = 0;
  /** Questions of P2P daemons for measurements of the base network. */
  measurements = 0;
  complaints = 0;
  /** Ends of tunnels that were made and that have gone, since the start. */
  tunnelEndsMade = 0;
  tunnelEndsGone = 0;
  readonly queue: EventQueue = new EventQueue();
  readonly options: WorldOptions;
  readonly prefix: Cidr;
  readonly p2pDaemons: P2pDaemons = new P2pDaemons(this);
  readonly resourceDaemons: ResourceDaemons = new ResourceDaemons(this);
  readonly managerLink: ManagerLink = new ManagerLink(this);
  readonly #pool: Cidr;
  #sorted: readonly SimNode[] = [];
  readonly #byId = new Map<Id, SimNode>();
  readonly #byAddress = new Map<string, number>();
  readonly #places = new Map<string, Id | undefined>();
  #now = 0;

  constructor(options: WorldOptions) {
    this.options = options;
    this.seed = options.seed;
    this.rng = seededRng(options.seed);
    const definition = parseViDefinition(options.definition ?? {});
    if (!definition.ok) throw new Error(definition.message);
    const number = options.seed.toString(16).padStart(16, '0').slice(-16);
    const prefixes = { prefix: 'fd00:0:0:2::/64', linkPrefix: 'fd00:0:0:1::/64' };
    this.vi = { id: `vi-${number}`, name: 'sim', ...prefixes, vni: 7, definition: definition.value };
    this.#pool = parseCidr(this.vi.definition.ipv4Pool) as Cidr;
    this.prefix = parseCidr(this.vi.prefix) as Cidr;
    const networkRng = seededRng(this.rng.uint32());
    const latency = options.latency ?? constantLatency(LATENCY_MS);
    this.network = new BaseNetwork(networkRng, latency, { ...FAIR, ...options.weather });
    const { keepAliveMs, silenceMs } = this.vi.definition.timers;
    this.associations = new Associations({
      rng: networkRng,
      network: this.network,
      keepAliveMs,
      silenceMs,
      now: () => this.#now,
      post: (ms, kind, machine, extra, body) => this.queue.push(this.#now + ms, kind, machine, extra, body),
      isRunning: (machine) => this.nodeAt(machine).forwards,
      up: ({ machine, ref, peer }) => {
        const { endpoint, key } = this.nodeAt(peer);
        this.resourceDaemons.input(this.nodeAt(machine), { kind: 'association.up', association: ref, endpoint, key });
      },
      down: ({ machine, ref }, reason) =>
        this.resourceDaemons.input(this.nodeAt(machine), { kind: 'association.down', association: ref, reason }),
    });
    this.planes = new DataPlanes({
      network: this.network,
      associations: this.associations,
      node: (machine) => this.nodeAt(machine),
      post: (ms, kind, machine, extra, body) => this.post(ms, kind, machine, extra, body),
      deliver: (node, packet) => this.p2pDaemons.deliver(node, packet),
    });
    this.manager = new Manager(
      seededRng(this.rng.uint32()),
      () => this.#now,
      (machine) => this.nodeAt(machine),
    );
  }

  get now(): number {
    return this.#now;
  }

  /** All nodes, in the order of their ids. */
  get sorted(): readonly SimNode[] {
    if (this.#sorted.length !== this.nodes.length) this.#sorted = this.nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    return this.#sorted;
  }

  /** Events that wait. */
  get waiting(): number {
    return this.queue.size;
  }

  node(id: Id): SimNode | undefined {
    return this.#byId.get(id);
  }

  // What a test or a plan does.

  /** A node with a chosen or derived id, not started. */
  create(id?: Id): SimNode {
    const index = this.nodes.length;
    const derived = idOfNode(parseAddress(poolAddress(this.#pool, index)) as Uint8Array, this.vi.id);
    const node = new SimNode(index, id ?? derived, this.#pool, this.prefix, this.options.contactBytes ?? 0);
    if (this.#byId.has(node.id)) throw new Error('two nodes with one id');
    this.nodes.push(node);
    this.#byId.set(node.id, node);
    this.#byAddress.set(node.endpoint.address, index);
    return node;
  }

  /** Switches the machine on. */
  start(node: SimNode): void {
    if (node.rd !== undefined) return;
    node.hasLeft = false;
    node.isLeaving = false;
    this.resourceDaemons.start(node);
    this.p2pDaemons.start(node);
  }

  add(id?: Id): SimNode {
    const node = this.create(id);
    this.start(node);
    return node;
  }

  /** Power fails: neither daemon says a word. */
  kill(node: SimNode): void {
    this.p2pDaemons.end(node);
    this.resourceDaemons.end(node);
  }

  /** Power returns: everything starts anew, as a new incarnation. `state`: the disk is as it was. */
  revive(node: SimNode, state = true): void {
    if (node.rd !== undefined) return;
    node.reborn(this.#now);
    if (!state) {
      node.pairs = [];
      node.remembered = [];
    }
    this.start(node);
  }

  /** The P2P daemon is killed; the resource daemon keeps forwarding and starts another after a while. */
  restartP2pd(node: SimNode, afterMs: number): void {
    if (node.machine === undefined) return;
    this.p2pDaemons.end(node);
    if (node.rd !== undefined) this.post(afterMs, KIND.START_P2PD, node.index, node.rdLife);
  }

  /** The resource daemon is killed and comes back; the P2P daemon survives, if it has the patience. */
  restartRd(node: SimNode, afterMs: number): void {
    if (node.rd === undefined) return;
    this.resourceDaemons.end(node);
    this.post(afterMs, KIND.START_RD, node.index, node.rdLife);
  }

  leave(node: SimNode): void {
    if (node.rd === undefined || node.isLeaving) return;
    node.isLeaving = true;
    this.resourceDaemons.input(node, { kind: 'p2pd.send', node: NODE, message: { t: 'leave' } });
    this.post(LEAVE_MS, KIND.CALL, node.index, node.rdLife, (life: number) => {
      if (node.rdLife === life && node.isLeaving && !node.hasLeft) this.resourceDaemons.close(node);
    });
  }

  lookup(node: SimNode, request: number, id: Id): void {
    this.resourceDaemons.input(node, { kind: 'p2pd.send', node: NODE, message: { t: 'lookup', request, id } });
  }

  /** Breaks the base network into islands, or heals it with an empty list; nodes not named stay on the mainland. */
  islands(islands: readonly (readonly SimNode[])[]): void {
    this.network.setIslands(islands.map((nodes) => nodes.map(({ index }) => index)));
    for (const node of this.nodes) {
      this.associations.recheck(node.index);
      this.managerLink.hear(node);
    }
  }

  /** Nothing passes from the one to the other, or does again. */
  cut(from: SimNode, to: SimNode, isCut: boolean): void {
    if (isCut) this.network.cut(from.index, to.index);
    else this.network.mend(from.index, to.index);
    this.associations.recheck(from.index);
  }

  /** P2P daemons' datagrams do not pass from the one to the other; keep-alives do. */
  mute(from: SimNode, to: SimNode, isMuted: boolean): void {
    if (isMuted) this.planes.muted.add(`${from.index}>${to.index}`);
    else this.planes.muted.delete(`${from.index}>${to.index}`);
  }

  setClockRate(node: SimNode, rate: number): void {
    node.setClockRate(rate, this.#now);
    node.p2pdWake = Number.POSITIVE_INFINITY;
    node.rdWake = Number.POSITIVE_INFINITY;
    this.p2pDaemons.arm(node);
    this.resourceDaemons.arm(node);
  }

  /** Daemons of the machine stand still. */
  pause(node: SimNode, which: 'p2pd' | 'rd' | 'both'): void {
    if (which !== 'rd') node.isP2pdPaused = true;
    if (which === 'p2pd') return;
    node.isRdPaused = true;
    this.associations.recheck(node.index);
    this.managerLink.hear(node);
    this.watch.rerouted?.(node);
  }

  resume(node: SimNode): void {
    const wasRdPaused = node.isRdPaused;
    node.isRdPaused = false;
    node.isP2pdPaused = false;
    const held = [...node.deferredRd.splice(0), ...node.deferredP2pd.splice(0)];
    for (const { kind, extra, body } of held) this.queue.push(this.#now, kind, node.index, extra, body);
    node.p2pdWake = Number.POSITIVE_INFINITY;
    node.rdWake = Number.POSITIVE_INFINITY;
    this.p2pDaemons.arm(node);
    this.resourceDaemons.arm(node);
    if (!wasRdPaused) return;
    this.associations.recheck(node.index);
    this.managerLink.hear(node);
    this.watch.rerouted?.(node);
  }

  managerUp(isUp: boolean): void {
    this.manager.isUp = isUp;
    for (const node of this.nodes) this.managerLink.hear(node);
  }

  /** Hands a datagram to a node's P2P daemon as if it had come from that endpoint. */
  inject(node: SimNode, from: Endpoint, message: P2pdMessage): void {
    this.p2pDaemons.input(node, { kind: 'datagram', from, message });
  }

  later(ms: number, run: () => void): void {
    this.post(ms, KIND.CALL, -1, 0, run);
  }

  step(at: number, place: number): void {
    this.queue.push(at, KIND.STEP, -1, place);
  }

  run(ms: number): void {
    this.runUntil(this.#now + ms);
  }

  runUntil(instant: number): void {
    const event: Event = { at: 0, kind: 0, node: 0, extra: 0, body: undefined };
    let atOnce = 0;
    while (this.queue.next <= instant) {
      this.queue.pop(event);
      atOnce = event.at > this.#now ? 0 : atOnce + 1;
      if (atOnce > AT_ONCE_PER_NODE * (this.nodes.length + 10)) throw new Error(`time stands still at ${this.#now} ms`);
      this.#now = Math.max(this.#now, event.at);
      this.events++;
      this.trace.event(this.#now, event.kind, event.node);
      dispatch(this, event);
    }
    this.#now = Math.max(this.#now, instant);
  }

  /** Runs until the condition holds, and says after how many milliseconds; throws with the seed if it does not. */
  until(what: string, condition: () => boolean | string, msMax: number, stepMs = 50): number {
    const start = this.#now;
    let last: boolean | string = false;
    while (this.#now - start < msMax) {
      last = condition();
      if (last === true) return this.#now - start;
      this.run(stepMs);
    }
    throw new Error(`seed ${this.seed}: ${what}: not within ${msMax} ms${typeof last === 'string' ? `: ${last}` : ''}`);
  }

  // What its parts share.

  post(ms: number, kind: number, node: number, extra: number, body?: unknown): void {
    this.queue.push(this.#now + ms, kind, node, extra, body);
  }

  nodeAt(index: number): SimNode {
    return this.nodes[index] as SimNode;
  }

  /** The place on the circle of an address of the VI. Each packet asks at each hop, and there are only so many addresses. */
  placeOf = (address: string): Id | undefined => {
    if (!this.#places.has(address)) {
      const bytes = parseAddress(address);
      this.#places.set(address, bytes === undefined ? undefined : idOfAddress(this.prefix, bytes));
    }
    return this.#places.get(address);
  };

  /** Index of the machine with this address; undefined where there is none. */
  machineAt(address: string): number | undefined {
    return this.#byAddress.get(address);
  }
}
