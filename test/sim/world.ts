/**
 * Many nodes in virtual time. Each is the core of a resource daemon and that of a P2P daemon, the same code that the
 * daemons run; between them lie models of the socket, of associations, of tunnels and of the base network, and packets of
 * P2P daemons go hop by hop as the published images say. The same seed gives the same run.
 */
import { type Cidr, parseAddress, parseCidr, poolAddress } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { type Id, idOfNode } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import { ok } from '../../overlay/lib/result.ts';
import { type Rng, seededRng } from '../../overlay/lib/rng.ts';
import { P2PD_DATAGRAM_BYTES_MAX, type P2pdMessage, p2pdCodec } from '../../overlay/messages/p2pd-p2pd.ts';
import { type ToP2pd, type ToRd, toP2pdCodec, toRdCodec } from '../../overlay/messages/p2pd-rd.ts';
import { RD_RD_BYTES_MAX, type RdMessage, rdCodec } from '../../overlay/messages/rd-rd.ts';
import { parseViDefinition, type ViConfig, type ViDefinition } from '../../overlay/vi.ts';
import type { Endpoint, Input as P2pdInput } from '../../p2pd/core/io.ts';
import { Machine } from '../../p2pd/core/machine.ts';
import type { CertificateCheck, Input as RdInput, Output as RdOutput, SessionRef } from '../../rd/core/io.ts';
import { RdCore } from '../../rd/core/rd.ts';
import { type Association, Associations, type End } from './associations.ts';
import { BaseNetwork, constantLatency, FAIR, type Latency, type Weather } from './base-network.ts';
import { DataPlanes, type P2pdPacket } from './data-plane.ts';
import { KIND } from './events.ts';
import { Forwarding } from './forwarding.ts';
import { Manager, type ManagerAnswer, type ManagerRequest } from './manager.ts';
import { type Event, EventQueue } from './queue.ts';
import { type Deferred, NODE, SimNode } from './sim-node.ts';
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
};

/** One way on the socket between the two daemons, milliseconds. */
const SOCKET_MS = 0.1;
/** One way on the base network where nothing else is said, milliseconds. */
const LATENCY_MS = 2;
/** Starting a daemon's process, milliseconds. */
const SPAWN_MS = 250;
/** A request to an overlay manager that is down fails after this, milliseconds. */
const REFUSED_MS = 100;
/** One way to the overlay manager, milliseconds. */
const MANAGER_MS = 10;
const REMEMBERED_MAX = 16;
const LEAVE_MS = 5000;
/** Datagrams and messages that wait for a daemon that stands still; the sockets hold no more. */
const DEFERRED_MAX = 256;
/** More events at one instant than this for each node are a loop. */
const AT_ONCE_PER_NODE = 2000;
const LEASE_LEFT_MS = 3_600_000;

/** What every way of the base network carries, bits per second. */
const BITS_PER_SECOND = 1e8;
/** A measurement takes so many round trips, or so long where nothing is answered, milliseconds. */
const PROBES = 4;
const UNANSWERED_MS = 1500;

/** What the data plane found at this end of an association. */
type Measured = { readonly end: End; readonly rttMs: number | null; readonly bitsPerSecond: number | null };

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
  readonly #queue = new EventQueue();
  readonly #options: WorldOptions;
  readonly #pool: Cidr;
  readonly #prefix: Cidr;
  #sorted: readonly SimNode[] = [];
  readonly #byId = new Map<Id, SimNode>();
  readonly #byAddress = new Map<string, number>();
  /** Inputs of a resource daemon that came while its outputs were carried out. */
  readonly #rdInputs: { node: SimNode; input: RdInput }[] = [];
  #isBusy = false;
  #now = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.rng = seededRng(options.seed);
    const definition = parseViDefinition(options.definition ?? {});
    if (!definition.ok) throw new Error(definition.message);
    const number = options.seed.toString(16).padStart(16, '0').slice(-16);
    const prefixes = { prefix: 'fd00:0:0:2::/64', linkPrefix: 'fd00:0:0:1::/64' };
    this.vi = { id: `vi-${number}`, name: 'sim', ...prefixes, vni: 7, definition: definition.value };
    this.#pool = parseCidr(this.vi.definition.ipv4Pool) as Cidr;
    this.#prefix = parseCidr(this.vi.prefix) as Cidr;
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
      post: (ms, kind, machine, extra, body) => this.#queue.push(this.#now + ms, kind, machine, extra, body),
      isRunning: (machine) => this.#node(machine).forwards,
      up: ({ machine, ref, peer }) => {
        const { endpoint, key } = this.#node(peer);
        this.rdInput(this.#node(machine), { kind: 'association.up', association: ref, endpoint, key });
      },
      down: ({ machine, ref }, reason) =>
        this.rdInput(this.#node(machine), { kind: 'association.down', association: ref, reason }),
    });
    this.planes = new DataPlanes({
      network: this.network,
      associations: this.associations,
      node: (machine) => this.#node(machine),
      post: (ms, kind, machine, extra, body) => this.#post(ms, kind, machine, extra, body),
      deliver: (node, packet) => this.#deliver(node, packet),
    });
    this.manager = new Manager(
      seededRng(this.rng.uint32()),
      () => this.#now,
      (machine) => this.#node(machine),
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
    return this.#queue.size;
  }

  node(id: Id): SimNode | undefined {
    return this.#byId.get(id);
  }

  // What a test or a plan does.

  /** A node with a chosen or derived id, not started. */
  create(id?: Id): SimNode {
    const index = this.nodes.length;
    const derived = idOfNode(parseAddress(poolAddress(this.#pool, index)) as Uint8Array, this.vi.id);
    const node = new SimNode(index, id ?? derived, this.#pool, this.#prefix, this.#options.contactBytes ?? 0);
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
    this.#startRd(node);
    this.#startP2pd(node);
  }

  add(id?: Id): SimNode {
    const node = this.create(id);
    this.start(node);
    return node;
  }

  /** Power fails: neither daemon says a word. */
  kill(node: SimNode): void {
    this.#endP2pd(node);
    this.#endRd(node);
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
    this.#endP2pd(node);
    if (node.rd !== undefined) this.#post(afterMs, KIND.START_P2PD, node.index, node.rdLife);
  }

  /** The resource daemon is killed and comes back; the P2P daemon survives, if it has the patience. */
  restartRd(node: SimNode, afterMs: number): void {
    if (node.rd === undefined) return;
    this.#endRd(node);
    this.#post(afterMs, KIND.START_RD, node.index, node.rdLife);
  }

  leave(node: SimNode): void {
    if (node.rd === undefined || node.isLeaving) return;
    node.isLeaving = true;
    this.rdInput(node, { kind: 'p2pd.send', node: NODE, message: { t: 'leave' } });
    this.#post(LEAVE_MS, KIND.CALL, node.index, node.rdLife, (life: number) => {
      if (node.rdLife === life && node.isLeaving && !node.hasLeft) this.#close(node);
    });
  }

  lookup(node: SimNode, request: number, id: Id): void {
    this.rdInput(node, { kind: 'p2pd.send', node: NODE, message: { t: 'lookup', request, id } });
  }

  /** Breaks the base network into islands, or heals it with an empty list; nodes not named stay on the mainland. */
  islands(islands: readonly (readonly SimNode[])[]): void {
    this.network.setIslands(islands.map((nodes) => nodes.map(({ index }) => index)));
    for (const node of this.nodes) {
      this.associations.recheck(node.index);
      this.#hear(node);
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
    this.#armP2pd(node);
    this.#armRd(node);
  }

  /** Daemons of the machine stand still. */
  pause(node: SimNode, which: 'p2pd' | 'rd' | 'both'): void {
    if (which !== 'rd') node.isP2pdPaused = true;
    if (which === 'p2pd') return;
    node.isRdPaused = true;
    this.associations.recheck(node.index);
    this.#hear(node);
    this.watch.rerouted?.(node);
  }

  resume(node: SimNode): void {
    const wasRdPaused = node.isRdPaused;
    node.isRdPaused = false;
    node.isP2pdPaused = false;
    const held = [...node.deferredRd.splice(0), ...node.deferredP2pd.splice(0)];
    for (const { kind, extra, body } of held) this.#queue.push(this.#now, kind, node.index, extra, body);
    node.p2pdWake = Number.POSITIVE_INFINITY;
    node.rdWake = Number.POSITIVE_INFINITY;
    this.#armP2pd(node);
    this.#armRd(node);
    if (!wasRdPaused) return;
    this.associations.recheck(node.index);
    this.#hear(node);
    this.watch.rerouted?.(node);
  }

  managerUp(isUp: boolean): void {
    this.manager.isUp = isUp;
    for (const node of this.nodes) this.#hear(node);
  }

  /** Hands a datagram to a node's P2P daemon as if it had come from that endpoint. */
  inject(node: SimNode, from: Endpoint, message: P2pdMessage): void {
    this.#p2pdInput(node, { kind: 'datagram', from, message });
  }

  later(ms: number, run: () => void): void {
    this.#post(ms, KIND.CALL, -1, 0, run);
  }

  step(at: number, place: number): void {
    this.#queue.push(at, KIND.STEP, -1, place);
  }

  run(ms: number): void {
    this.runUntil(this.#now + ms);
  }

  runUntil(instant: number): void {
    const event: Event = { at: 0, kind: 0, node: 0, extra: 0, body: undefined };
    let atOnce = 0;
    while (this.#queue.next <= instant) {
      this.#queue.pop(event);
      atOnce = event.at > this.#now ? 0 : atOnce + 1;
      if (atOnce > AT_ONCE_PER_NODE * (this.nodes.length + 10)) throw new Error(`time stands still at ${this.#now} ms`);
      this.#now = Math.max(this.#now, event.at);
      this.events++;
      this.trace.event(this.#now, event.kind, event.node);
      this.#dispatch(event);
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

  // Events.

  #dispatch({ kind, node: index, extra, body }: Event): void {
    switch (kind) {
      case KIND.FLIGHT:
        return this.associations.onFlight(body as Association, extra);
      case KIND.REPEAT:
        return this.associations.onRepeat(body as Association, extra);
      case KIND.HANDSHAKE_OVER:
        return this.#ofRd(index, kind, extra, body) ? this.associations.onHandshakeOver(body as End) : undefined;
      case KIND.SILENCE:
        return this.#ofRd(index, kind, extra, body) ? this.associations.onSilence(body as End, extra) : undefined;
      case KIND.GOODBYE:
        return this.#ofRd(index, kind, extra, body) ? this.associations.onGoodbye(body as End) : undefined;
      case KIND.CONTROL:
        return this.#ofRd(index, kind, extra, body)
          ? this.#onControl(body as { end: End; message: RdMessage })
          : undefined;
      case KIND.MEASURED:
        return this.#ofRd(index, kind, extra, body) ? this.#onMeasured(body as Measured) : undefined;
      case KIND.PACKET:
        return this.#ofRd(index, kind, extra, body)
          ? this.planes.onPacket(this.#node(index), extra, body as P2pdPacket)
          : undefined;
      case KIND.CALL:
        return (body as (extra: number) => void)(extra);
      case KIND.STEP:
        return this.onStep(extra);
      default:
        return this.#atNode(this.#node(index), kind, extra, body);
    }
  }

  #atNode(node: SimNode, kind: number, extra: number, body: unknown): void {
    switch (kind) {
      case KIND.P2PD_TIMER:
        return this.#onP2pdTimer(node, extra);
      case KIND.RD_TIMER:
        return this.#onRdTimer(node, extra);
      case KIND.TO_P2PD:
        if (node.session !== extra || !node.connected || this.#deferP2pd(node, kind, extra, body)) return;
        return this.#p2pdInput(node, { kind: 'rd', message: body as ToP2pd });
      case KIND.TO_RD: {
        if (node.session !== extra || !this.#ofRd(node.index, kind, extra, body)) return;
        const session = extra as SessionRef;
        return this.rdInput(node, { kind: 'p2pd', node: NODE, session, message: body as ToRd });
      }
      case KIND.TO_MANAGER:
        return this.#onManagerRequest(node, extra, body as ManagerRequest);
      case KIND.FROM_MANAGER:
        if (node.rdLife !== extra || !this.#ofRd(node.index, kind, extra, body)) return;
        return this.#onManagerAnswer(node, body as ManagerAnswer | ManagerRequest);
      case KIND.START_P2PD:
        if (node.rdLife === extra && node.rd !== undefined && !node.hasLeft) this.#startP2pd(node);
        return;
      case KIND.START_RD:
        if (node.rdLife !== extra || node.rd !== undefined) return;
        node.reborn(this.#now);
        this.#startRd(node);
        if (node.machine === undefined) this.#startP2pd(node);
        else this.#post(SOCKET_MS, KIND.RECONNECT, node.index, node.p2pdLife);
        return;
      case KIND.RECONNECT:
        if (node.p2pdLife !== extra || node.rd === undefined || node.connected) return;
        if (!this.#deferP2pd(node, kind, extra, body)) this.#connect(node);
        return;
    }
  }

  /** Whether the resource daemon takes it now; one that stands still gets it later, if its sockets have room. */
  #ofRd(index: number, kind: number, extra: number, body: unknown): boolean {
    const node = this.#node(index);
    if (node.rd === undefined) return false;
    if (!node.isRdPaused) return true;
    const isBounded = kind === KIND.PACKET || kind === KIND.CONTROL;
    if (!isBounded || node.deferredRd.length < DEFERRED_MAX) node.deferredRd.push({ kind, extra, body });
    return false;
  }

  #deferP2pd(node: SimNode, kind: number, extra: number, body: unknown): boolean {
    if (node.isP2pdPaused) node.deferredP2pd.push({ kind, extra, body } satisfies Deferred);
    return node.isP2pdPaused;
  }

  #post(ms: number, kind: number, node: number, extra: number, body?: unknown): void {
    this.#queue.push(this.#now + ms, kind, node, extra, body);
  }

  #node(index: number): SimNode {
    return this.nodes[index] as SimNode;
  }

  // The P2P daemon.

  #startP2pd(node: SimNode): void {
    if (node.machine !== undefined) return;
    node.p2pdLife++;
    node.p2pdWake = Number.POSITIVE_INFINITY;
    node.exited = undefined;
    node.isP2pdPaused = node.isRdPaused;
    node.deferredP2pd = [];
    const rng = seededRng(this.rng.uint32());
    node.machine = new Machine({ vi: this.vi.id, node: node.id, rng });
    this.#connect(node);
  }

  #connect(node: SimNode): void {
    node.connected = true;
    node.session++;
    this.#p2pdInput(node, { kind: 'rd.up' });
  }

  #endP2pd(node: SimNode): void {
    if (node.machine === undefined) return;
    node.machine = undefined;
    node.p2pdLife++;
    node.deferredP2pd = [];
    this.#disconnect(node);
  }

  #disconnect(node: SimNode): void {
    if (!node.connected) return;
    node.connected = false;
    this.rdInput(node, { kind: 'p2pd.closed', node: NODE, session: node.session as SessionRef });
  }

  #p2pdInput(node: SimNode, input: P2pdInput): void {
    const { machine } = node;
    if (machine === undefined) return;
    machine.handle(input, node.clockAt(this.#now));
    for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
      switch (output.kind) {
        case 'rd':
          this.#toRd(node, output.message);
          break;
        case 'datagram':
          this.#send(node, output.to, output.message);
          break;
        case 'listen':
          break;
        case 'exit':
          this.#exited(node, output.reason, output.failed);
          break;
      }
    }
    this.#armP2pd(node);
    this.watch.touched?.(node);
  }

  #exited(node: SimNode, reason: string, failed: boolean): void {
    // What it said before is read before its end is noticed.
    this.#post(2 * SOCKET_MS + node.lagMs, KIND.CALL, node.index, node.p2pdLife, (life: number) => {
      if (node.p2pdLife !== life) return;
      this.#endP2pd(node);
      node.exited = reason;
      if (failed && node.rd !== undefined) this.#post(SPAWN_MS, KIND.START_P2PD, node.index, node.rdLife);
    });
    node.exited = reason;
  }

  #toRd(node: SimNode, message: ToRd): void {
    if (!node.connected) return;
    this.trace.note(message.t);
    if (message.t === 'measure') this.measurements++;
    const carried = this.#options.wire === true ? decoded(toRdCodec, toRdCodec.encode(message)) : message;
    node.toRdFrom = Math.max(node.toRdFrom, this.#now + SOCKET_MS + node.lagMs);
    this.#queue.push(node.toRdFrom, KIND.TO_RD, node.index, node.session, carried);
  }

  #toP2pd(node: SimNode, session: SessionRef, message: ToP2pd): void {
    if (!node.connected || session !== (node.session as SessionRef)) return;
    this.trace.note(message.t);
    if (message.t === 'routes.committed') node.commits++;
    if (message.t === 'routes.refused') node.refusals++;
    const carried = this.#options.wire === true ? decoded(toP2pdCodec, toP2pdCodec.encode(message)) : message;
    node.toP2pdFrom = Math.max(node.toP2pdFrom, this.#now + SOCKET_MS + node.lagMs);
    this.#queue.push(node.toP2pdFrom, KIND.TO_P2PD, node.index, node.session, carried);
  }

  #armP2pd(node: SimNode): void {
    const deadline = node.machine?.deadline();
    if (deadline === undefined) return;
    const at = Math.max(node.timeOf(deadline), this.#now) + node.lagMs;
    if (at >= node.p2pdWake) return;
    node.p2pdWake = at;
    this.#queue.push(at, KIND.P2PD_TIMER, node.index, node.p2pdLife);
  }

  #onP2pdTimer(node: SimNode, life: number): void {
    if (node.p2pdLife !== life || this.#now < node.p2pdWake) return;
    node.p2pdWake = Number.POSITIVE_INFINITY;
    if (node.isP2pdPaused) return;
    const deadline = node.machine?.deadline();
    if (deadline === undefined || node.timeOf(deadline) > this.#now) return this.#armP2pd(node);
    node.reached(deadline);
    this.#p2pdInput(node, { kind: 'tick' });
  }

  // The resource daemon.

  #startRd(node: SimNode): void {
    node.rdLife++;
    node.rdWake = Number.POSITIVE_INFINITY;
    node.isRdPaused = false;
    node.deferredRd = [];
    node.rd = new RdCore({ key: node.key, self: node.endpoint, families: [4, 6] });
    const setup = node.setup(this.vi, node.pairs.length > 0 ? LEASE_LEFT_MS : 0);
    this.rdInput(node, { kind: 'node.open', node: NODE, setup });
    this.#hear(node);
  }

  #endRd(node: SimNode): void {
    if (node.rd === undefined) return;
    node.rd = undefined;
    node.rdLife++;
    node.deferredRd = [];
    node.isRdPaused = false;
    node.forwarding = undefined;
    this.tunnelEndsGone += node.tunnels.size;
    node.tunnels.clear();
    node.report = undefined;
    this.#hear(node);
    this.associations.vanish(node.index);
    this.watch.rerouted?.(node);
    if (!node.connected) return;
    node.connected = false;
    const { p2pdLife } = node;
    const tell = (): void => (node.p2pdLife === p2pdLife ? this.#p2pdInput(node, { kind: 'rd.down' }) : undefined);
    if (!this.#deferP2pd(node, KIND.CALL, 0, tell)) tell();
  }

  /** Inputs that come while outputs are carried out wait for their turn, as in the daemon. */
  rdInput(node: SimNode, input: RdInput): void {
    this.#rdInputs.push({ node, input });
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let next = this.#rdInputs.shift(); next !== undefined; next = this.#rdInputs.shift()) {
      const { rd } = next.node;
      if (rd === undefined) continue;
      rd.handle(next.input, next.node.clockAt(this.#now));
      for (let output = rd.poll(); output !== undefined; output = rd.poll()) this.#obey(next.node, output);
      this.#armRd(next.node);
      this.watch.touched?.(next.node);
    }
    this.#isBusy = false;
  }

  #armRd(node: SimNode): void {
    const deadline = node.rd?.deadline();
    if (deadline === undefined) return;
    const at = Math.max(node.timeOf(deadline), this.#now) + node.lagMs;
    if (at >= node.rdWake) return;
    node.rdWake = at;
    this.#queue.push(at, KIND.RD_TIMER, node.index, node.rdLife);
  }

  #onRdTimer(node: SimNode, life: number): void {
    if (node.rdLife !== life || this.#now < node.rdWake) return;
    node.rdWake = Number.POSITIVE_INFINITY;
    if (node.isRdPaused) return;
    const deadline = node.rd?.deadline();
    if (deadline === undefined || node.timeOf(deadline) > this.#now) return this.#armRd(node);
    node.reached(deadline);
    this.rdInput(node, { kind: 'timer' });
  }

  #obey(node: SimNode, output: RdOutput): void {
    switch (output.kind) {
      case 'p2pd.send':
        return this.#toP2pd(node, output.session, output.message);
      case 'p2pd.close':
        return;
      case 'control.send':
        return this.#sendControl(node, output.association, output.message);
      case 'associate':
        return this.#associate(node, output.endpoint);
      case 'association.close':
        return this.associations.close(node.index, output.association);
      case 'tunnel.set': {
        const machine = this.#byAddress.get(output.plan.endpoint.address) ?? -1;
        if (!node.tunnels.has(output.plan.peer)) this.tunnelEndsMade++;
        node.tunnels.set(output.plan.peer, { plan: output.plan, machine });
        return this.watch.retunnelled?.(node);
      }
      case 'tunnel.unset':
        if (node.tunnels.delete(output.peer)) this.tunnelEndsGone++;
        return this.watch.retunnelled?.(node);
      case 'publish':
        node.forwarding = new Forwarding(output.image, this.#prefix);
        node.publishes++;
        this.watch.rerouted?.(node);
        return;
      case 'leases.request':
        return this.#ask(node, { kind: 'lease', request: output.request, count: output.count });
      case 'leases.keep':
        return this.#ask(node, { kind: 'keep', pairs: output.pairs });
      case 'leases.changed':
        node.pairs = output.pairs;
        return this.watch.retunnelled?.(node);
      case 'bootstrap.get':
        return this.#ask(node, { kind: 'bootstrap' });
      case 'measure':
        return this.#measure(this.associations.end(node.index, output.association), output.capacity);
      case 'ring':
        node.report = output.report;
        return this.#hear(node);
      case 'lookup.answer':
        node.lookups.set(output.answer.request, output.answer);
        return this.onLookup?.(node, output.answer.request);
      case 'left':
        return this.#close(node);
      case 'complaint':
      case 'tunnel.voided':
        this.complaints++;
        return;
      case 'peer': {
        const others = node.remembered.filter(({ id }) => id !== output.record.id);
        node.remembered = [output.record, ...others].slice(0, REMEMBERED_MAX);
        return;
      }
    }
  }

  /** The node is off the ring: its daemons end, and its leases go back. */
  #close(node: SimNode): void {
    if (node.hasLeft) return;
    node.hasLeft = true;
    this.rdInput(node, { kind: 'node.close', node: NODE });
    node.forwarding = undefined;
    this.tunnelEndsGone += node.tunnels.size;
    node.tunnels.clear();
    node.report = undefined;
    this.watch.rerouted?.(node);
    this.#post(20, KIND.CALL, node.index, node.rdLife, (life: number) => {
      if (node.rdLife !== life) return;
      if (this.#reachesManager(node)) {
        this.manager.farewell(node.index);
        node.pairs = [];
      }
      node.exited ??= 'closed';
      const { exited } = node;
      for (const { ref } of this.associations.endsOf(node.index)) this.associations.close(node.index, ref);
      this.kill(node);
      node.exited = exited;
    });
  }

  /** Probes go inside the association, some after each other; one that ends says so itself. */
  #measure(end: End | undefined, capacity: boolean): void {
    if (end?.state !== 'up') return;
    const { machine, peer } = end;
    const passes = this.answersProbes && this.network.passes(machine, peer) && this.network.passes(peer, machine);
    const rttMs = passes ? 2 * this.network.rawDelay(machine, peer) : null;
    const found: Measured = { end, rttMs, bitsPerSecond: rttMs !== null && capacity ? BITS_PER_SECOND : null };
    this.#post(rttMs === null ? UNANSWERED_MS : PROBES * rttMs, KIND.MEASURED, machine, 0, found);
  }

  #onMeasured({ end, rttMs, bitsPerSecond }: Measured): void {
    if (end.state !== 'up') return;
    this.rdInput(this.#node(end.machine), { kind: 'measured', association: end.ref, rttMs, bitsPerSecond });
  }

  #associate(node: SimNode, endpoint: Endpoint): void {
    const peer = this.#byAddress.get(endpoint.address);
    const association = peer === undefined ? undefined : this.associations.associate(node.index, peer);
    this.rdInput(node, { kind: 'association.started', endpoint, association });
  }

  #sendControl(node: SimNode, association: End['ref'], message: RdMessage): void {
    this.controls++;
    this.trace.note(message.t);
    if (this.#options.wire !== true) return this.associations.send(node.index, association, message);
    const bytes = rdCodec.encode(message);
    if (bytes.length > RD_RD_BYTES_MAX) throw new Error(`a ${message.t} of ${bytes.length} bytes is too long`);
    this.associations.send(node.index, association, decoded(rdCodec, bytes));
  }

  #onControl({ end, message }: { end: End; message: RdMessage }): void {
    if (!this.associations.accepts(end, message)) return;
    const check = this.#check(message);
    this.rdInput(this.#node(end.machine), { kind: 'control', association: end.ref, message, check });
  }

  #check(message: RdMessage): CertificateCheck | undefined {
    if (message.t !== 'con_req' && message.t !== 'con_resp') return undefined;
    const node = this.#byId.get(message.from.node);
    if (node === undefined) return fail('CERTIFICATE_REFUSED');
    const { idText, index, ipv4, groups } = node;
    const certificate = { serial: String(index), msLeft: Number.MAX_SAFE_INTEGER / 2 };
    return ok({ vi: this.vi.id, id: idText, name: `node-${index}`, ipv4, groups, certificate });
  }

  // The overlay manager.

  #reachesManager(node: SimNode): boolean {
    if (!this.manager.isUp || !node.forwards) return false;
    return this.managerIsEverywhere || this.network.onMainland(node.index);
  }

  /** Whether the overlay manager hears of it, and as what. */
  #hear(node: SimNode): void {
    if (this.#reachesManager(node)) {
      node.heardAt = Number.POSITIVE_INFINITY;
      const { phase } = node.report ?? {};
      this.manager.beat(node.index, phase === 'forming' || phase === 'formed');
    } else if (node.heardAt === Number.POSITIVE_INFINITY) node.heardAt = this.#now;
  }

  #ask(node: SimNode, request: ManagerRequest): void {
    this.#post(MANAGER_MS, KIND.TO_MANAGER, node.index, node.rdLife, request);
  }

  #onManagerRequest(node: SimNode, life: number, request: ManagerRequest): void {
    if (node.rdLife !== life) return;
    const ms = this.#reachesManager(node) ? MANAGER_MS : REFUSED_MS;
    // One that is out of reach gets its own request back.
    const answer = this.#reachesManager(node) ? this.manager.answer(node.index, request) : request;
    this.#post(ms, KIND.FROM_MANAGER, node.index, life, answer);
  }

  #onManagerAnswer(node: SimNode, answer: ManagerAnswer | ManagerRequest): void {
    if (answer.kind === 'bootstrap') {
      const told =
        'nodes' in answer
          ? { nodes: answer.nodes, found: answer.found }
          : { nodes: node.remembered.slice(), found: false };
      return this.rdInput(node, { kind: 'p2pd.send', node: NODE, message: { t: 'bootstrap', ...told } });
    }
    const msLeft = 'msLeft' in answer ? answer.msLeft : 0;
    const pairs = 'msLeft' in answer ? answer.pairs : undefined;
    if (answer.kind === 'keep') return this.rdInput(node, { kind: 'leases.kept', node: NODE, pairs, msLeft });
    return this.rdInput(node, { kind: 'leases', node: NODE, request: answer.request, pairs, msLeft });
  }

  #send(node: SimNode, to: Endpoint, message: P2pdMessage): void {
    this.datagrams++;
    this.trace.note(message.t);
    this.watch.sent?.(message);
    if (this.#options.wire !== true) return this.planes.send(node, to, message);
    const bytes = p2pdCodec.encode(message);
    this.bytesMax = Math.max(this.bytesMax, bytes.length);
    if (bytes.length > P2PD_DATAGRAM_BYTES_MAX) {
      throw new Error(`seed ${this.seed}: a ${message.t} of ${bytes.length} bytes does not fit into a datagram`);
    }
    this.planes.send(node, to, decoded(p2pdCodec, bytes));
  }

  #deliver(node: SimNode, packet: P2pdPacket): void {
    if (packet.port !== this.vi.definition.p2pdPort || node.machine === undefined) return;
    const { from, message, port } = packet;
    if (node.isP2pdPaused) {
      if (node.deferredP2pd.length < DEFERRED_MAX) {
        node.deferredP2pd.push({ kind: KIND.CALL, extra: 0, body: () => this.#deliver(node, packet) });
      }
      return;
    }
    this.#p2pdInput(node, { kind: 'datagram', from: { address: from, port }, message });
  }
}

function decoded<Message>(
  codec: { decode(bytes: Uint8Array): { ok: true; value: Message } | { ok: false; message: string } },
  bytes: Uint8Array,
): Message {
  const message = codec.decode(bytes);
  if (!message.ok) throw new Error(message.message);
  return message.value;
}

export type { Millis };
