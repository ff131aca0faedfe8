/** The resource daemons of all simulated machines: started, fed and obeyed as their driver would. */
import { fail } from '../../overlay/errors.ts';
import { ok } from '../../overlay/lib/result.ts';
import { type ToP2pd, toP2pdCodec } from '../../overlay/messages/p2pd-rd.ts';
import { RD_RD_BYTES_MAX, type RdMessage, rdCodec } from '../../overlay/messages/rd-rd.ts';
import type { Endpoint } from '../../p2pd/core/io.ts';
import type { CertificateCheck, Input, Output, SessionRef } from '../../rd/core/io.ts';
import { RdCore } from '../../rd/core/rd.ts';
import type { End } from './associations.ts';
import { KIND } from './events.ts';
import { Forwarding } from './forwarding.ts';
import { DEFERRED_MAX, NODE, type SimNode, SOCKET_MS } from './sim-node.ts';
import { overTheWire } from './wire.ts';
import type { World } from './world.ts';

const REMEMBERED_MAX = 16;
const LEASE_LEFT_MS = 3_600_000;
/** What every way of the base network carries, bits per second. */
const BITS_PER_SECOND = 1e8;
/** A measurement takes so many round trips, or so long where nothing is answered, milliseconds. */
const PROBES = 4;
const UNANSWERED_MS = 1500;

/** What the data plane found at this end of an association. */
export type Measured = { readonly end: End; readonly rttMs: number | null; readonly bitsPerSecond: number | null };

export class ResourceDaemons {
  readonly #world: World;
  /** Inputs that came while outputs were carried out. */
  readonly #inputs: { readonly node: SimNode; readonly input: Input }[] = [];
  #isBusy = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** Its process begins with what is on the disk. */
  start(node: SimNode): void {
    node.rdLife++;
    node.rdWake = Number.POSITIVE_INFINITY;
    node.isRdPaused = false;
    node.deferredRd = [];
    node.rd = new RdCore({ key: node.key, self: node.endpoint, families: [4, 6] });
    const setup = node.setup(this.#world.vi, node.pairs.length > 0 ? LEASE_LEFT_MS : 0);
    this.input(node, { kind: 'node.open', node: NODE, setup });
    this.#world.managerLink.hear(node);
  }

  /** Its process is killed, and the data plane with it. */
  end(node: SimNode): void {
    if (node.rd === undefined) return;
    node.rd = undefined;
    node.rdLife++;
    node.deferredRd = [];
    node.isRdPaused = false;
    node.forwarding = undefined;
    this.#world.tunnelEndsGone += node.tunnels.size;
    node.tunnels.clear();
    node.report = undefined;
    this.#world.managerLink.hear(node);
    this.#world.associations.vanish(node.index);
    this.#world.watch.rerouted?.(node);
    if (!node.connected) return;
    node.connected = false;
    const { p2pdLife } = node;
    const tell = (): void =>
      node.p2pdLife === p2pdLife ? this.#world.p2pDaemons.input(node, { kind: 'rd.down' }) : undefined;
    if (!this.#world.p2pDaemons.defers(node, KIND.CALL, 0, tell)) tell();
  }

  /** Inputs that come while outputs are carried out wait for their turn, as in the daemon. */
  input(node: SimNode, input: Input): void {
    this.#inputs.push({ node, input });
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      const { rd } = next.node;
      if (rd === undefined) continue;
      rd.handle(next.input, next.node.clockAt(this.#world.now));
      for (let output = rd.poll(); output !== undefined; output = rd.poll()) this.#obey(next.node, output);
      this.arm(next.node);
      this.#world.watch.touched?.(next.node);
    }
    this.#isBusy = false;
  }

  /** Sees to it that its deadline is kept. */
  arm(node: SimNode): void {
    const deadline = node.rd?.deadline();
    if (deadline === undefined) return;
    const at = Math.max(node.timeOf(deadline), this.#world.now) + node.lagMs;
    if (at >= node.rdWake) return;
    node.rdWake = at;
    this.#world.queue.push(at, KIND.RD_TIMER, node.index, node.rdLife);
  }

  onTimer(node: SimNode, life: number): void {
    if (node.rdLife !== life || this.#world.now < node.rdWake) return;
    node.rdWake = Number.POSITIVE_INFINITY;
    if (node.isRdPaused) return;
    const deadline = node.rd?.deadline();
    if (deadline === undefined || node.timeOf(deadline) > this.#world.now) return this.arm(node);
    node.reached(deadline);
    this.input(node, { kind: 'timer' });
  }

  #obey(node: SimNode, output: Output): void {
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
        return this.#world.associations.close(node.index, output.association);
      case 'tunnel.set': {
        const machine = this.#world.machineAt(output.plan.endpoint.address) ?? -1;
        if (!node.tunnels.has(output.plan.peer)) this.#world.tunnelEndsMade++;
        node.tunnels.set(output.plan.peer, { plan: output.plan, machine });
        return this.#world.watch.retunnelled?.(node);
      }
      case 'tunnel.unset':
        if (node.tunnels.delete(output.peer)) this.#world.tunnelEndsGone++;
        return this.#world.watch.retunnelled?.(node);
      case 'publish':
        node.forwarding = new Forwarding(output.image, this.#world.placeOf);
        node.publishes++;
        this.#world.watch.rerouted?.(node);
        return;
      case 'leases.request':
        return this.#world.managerLink.ask(node, { kind: 'lease', request: output.request, count: output.count });
      case 'leases.keep':
        return this.#world.managerLink.ask(node, { kind: 'keep', pairs: output.pairs });
      case 'leases.changed':
        node.pairs = output.pairs;
        return this.#world.watch.retunnelled?.(node);
      case 'bootstrap.get':
        return this.#world.managerLink.ask(node, { kind: 'bootstrap' });
      case 'measure':
        return this.#measure(this.#world.associations.end(node.index, output.association), output.capacity);
      case 'ring':
        node.report = output.report;
        return this.#world.managerLink.hear(node);
      case 'lookup.answer':
        node.lookups.set(output.answer.request, output.answer);
        return this.#world.onLookup?.(node, output.answer.request);
      case 'left':
        return this.close(node);
      case 'complaint':
      case 'tunnel.voided':
        this.#world.complaints++;
        return;
      case 'peer': {
        const others = node.remembered.filter(({ id }) => id !== output.record.id);
        node.remembered = [output.record, ...others].slice(0, REMEMBERED_MAX);
        return;
      }
    }
  }

  /** The node is off the ring: its daemons end, and its leases go back. */
  close(node: SimNode): void {
    if (node.hasLeft) return;
    node.hasLeft = true;
    this.input(node, { kind: 'node.close', node: NODE });
    node.forwarding = undefined;
    this.#world.tunnelEndsGone += node.tunnels.size;
    node.tunnels.clear();
    node.report = undefined;
    this.#world.watch.rerouted?.(node);
    this.#world.post(20, KIND.CALL, node.index, node.rdLife, (life: number) => {
      if (node.rdLife !== life) return;
      if (this.#world.managerLink.reaches(node)) {
        this.#world.manager.farewell(node.index);
        node.pairs = [];
      }
      node.exited ??= 'closed';
      const { exited } = node;
      for (const { ref } of this.#world.associations.endsOf(node.index))
        this.#world.associations.close(node.index, ref);
      this.#world.kill(node);
      node.exited = exited;
    });
  }

  /** Probes go inside the association, some after each other; one that ends says so itself. */
  #measure(end: End | undefined, capacity: boolean): void {
    if (end?.state !== 'up') return;
    const { machine, peer } = end;
    const passes =
      this.#world.answersProbes &&
      this.#world.network.passes(machine, peer) &&
      this.#world.network.passes(peer, machine);
    const rttMs = passes ? 2 * this.#world.network.rawDelay(machine, peer) : null;
    const found: Measured = { end, rttMs, bitsPerSecond: rttMs !== null && capacity ? BITS_PER_SECOND : null };
    this.#world.post(rttMs === null ? UNANSWERED_MS : PROBES * rttMs, KIND.MEASURED, machine, 0, found);
  }

  onMeasured({ end, rttMs, bitsPerSecond }: Measured): void {
    if (end.state !== 'up') return;
    this.input(this.#world.nodeAt(end.machine), { kind: 'measured', association: end.ref, rttMs, bitsPerSecond });
  }

  #associate(node: SimNode, endpoint: Endpoint): void {
    const peer = this.#world.machineAt(endpoint.address);
    const association = peer === undefined ? undefined : this.#world.associations.associate(node.index, peer);
    this.input(node, { kind: 'association.started', endpoint, association });
  }

  #sendControl(node: SimNode, association: End['ref'], message: RdMessage): void {
    this.#world.controls++;
    this.#world.trace.note(message.t);
    this.#world.watch.told?.(message);
    if (this.#world.options.wire !== true) return this.#world.associations.send(node.index, association, message);
    const bytes = rdCodec.encode(message);
    if (bytes.length > RD_RD_BYTES_MAX) throw new Error(`a ${message.t} of ${bytes.length} bytes is too long`);
    this.#world.associations.send(node.index, association, overTheWire(rdCodec, bytes));
  }

  onControl({ end, message }: { end: End; message: RdMessage }): void {
    if (!this.#world.associations.accepts(end, message)) return;
    const check = this.#check(message);
    this.input(this.#world.nodeAt(end.machine), { kind: 'control', association: end.ref, message, check });
  }

  #check(message: RdMessage): CertificateCheck | undefined {
    if (message.t !== 'con_req' && message.t !== 'con_resp') return undefined;
    const node = this.#world.node(message.from.node);
    if (node === undefined) return fail('CERTIFICATE_REFUSED');
    const { idText, index, ipv4, groups } = node;
    const certificate = { serial: String(index), msLeft: Number.MAX_SAFE_INTEGER / 2 };
    return ok({ vi: this.#world.vi.id, id: idText, name: `node-${index}`, ipv4, groups, certificate });
  }

  #toP2pd(node: SimNode, session: SessionRef, message: ToP2pd): void {
    if (!node.connected || session !== (node.session as SessionRef)) return;
    this.#world.trace.note(message.t);
    if (message.t === 'routes.committed') node.commits++;
    if (message.t === 'routes.refused') node.refusals++;
    const carried = this.#world.options.wire === true ? overTheWire(toP2pdCodec, toP2pdCodec.encode(message)) : message;
    node.toP2pdFrom = Math.max(node.toP2pdFrom, this.#world.now + SOCKET_MS + node.lagMs);
    this.#world.queue.push(node.toP2pdFrom, KIND.TO_P2PD, node.index, node.session, carried);
  }

  /** Whether the resource daemon takes it now; one that stands still gets it later, if its sockets have room. */
  takes(index: number, kind: number, extra: number, body: unknown): boolean {
    const node = this.#world.nodeAt(index);
    if (node.rd === undefined) return false;
    if (!node.isRdPaused) return true;
    const isBounded = kind === KIND.PACKET || kind === KIND.CONTROL;
    if (!isBounded || node.deferredRd.length < DEFERRED_MAX) node.deferredRd.push({ kind, extra, body });
    return false;
  }
}
