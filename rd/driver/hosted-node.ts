/** A virtual node on this base node, from its interface to its P2P daemon: brought up, kept, taken down. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataPlane } from '../../native/index.ts';
import { macOfNode } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { type Id, parseId } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { RingReportMessage, ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { LEASE_MS } from '../../overlay/om-api.ts';
import type { RdConfig } from '../../overlay/rd-config.ts';
import { type Endpoint, encodeContact } from '../core/contact.ts';
import type { NodeRef, NodeSetup } from '../core/io.ts';
import { LEASE_BLOCK } from '../core/limits.ts';
import type { Credentials } from './credentials.ts';
import type { Engine, NodeActions, NodeOutput } from './engine.ts';
import { type DataDirectory, type Membership, REMEMBERED_MAX } from './files.ts';
import { fromBase64, pemToDer, type RdIdentity, toBase64 } from './identity.ts';
import type { Attachment, Kernel } from './kernel.ts';
import { birthName } from './names.ts';
import { Lookups } from './lookups.ts';
import { NodePlane } from './node-plane.ts';
import { OmLink } from './om-link.ts';
import { P2pdProcess } from './p2pd-process.ts';

/** How long a P2P daemon has to hand over when its node leaves the ring. */
const LEAVE_MS = 5000;
/** Time for the last control messages to go out, milliseconds. */
const GOODBYE_MS = 20;
/** Peers learnt are written down together after this. */
const SAVE_MS = 5000;
const PID_FILE = 'p2pd.pid';
const REPAIR_MS = 1000;
/** Messages of a P2P daemon that wait for the interface. */
const AWAITING_MAX = 64;

/** What the nodes of a base node share. */
export type Host = {
  readonly config: RdConfig;
  readonly data: DataDirectory;
  readonly identity: RdIdentity;
  readonly kernel: Kernel;
  readonly credentials: Credentials;
  readonly engine: Engine;
  readonly plane: () => DataPlane;
  readonly endpoints: () => readonly Endpoint[];
  readonly p2pdSocket: string;
  /** Counts virtual nodes since the start. */
  readonly nextRef: () => NodeRef;
  readonly log: Log;
};

const STARTING: RingReportMessage = { phase: 'starting', predecessor: null, successors: [], fingers: [] };

export class HostedNode implements NodeActions {
  readonly #host: Host;
  readonly ref: NodeRef;
  readonly id: Id;
  readonly om: OmLink;
  readonly p2pd: P2pdProcess;
  #membership: Membership;
  #attachment: Attachment | undefined;
  #plane: NodePlane | undefined;
  #report = STARTING;
  #isOpen = false;
  #isReady = false;
  #awaitingReady: (() => void)[] = [];
  #isConnected = false;
  #problem: string | null = null;
  #saveTimer: NodeJS.Timeout | undefined;
  #closing: Promise<Result<void>> | undefined;
  readonly #left = Promise.withResolvers<void>();
  /** Told of every report of the P2P daemon. */
  readonly #watchers = new Set<() => void>();
  readonly #lookups = new Lookups();
  /** Messages for the P2P daemon that wait until the kernel has the addresses they speak of. */
  #outbox: (() => void)[] = [];

  constructor(host: Host, membership: Membership) {
    this.#host = host;
    this.ref = host.nextRef();
    this.#membership = {
      ...membership,
      incarnation: Math.max(systemClock.wall(), membership.incarnation + 1),
    };
    this.id = parseId(membership.id) as Id;
    const log = host.log.child({ vi: membership.vi.name, member: membership.name });
    this.om = new OmLink({
      membership: () => this.#membership,
      privateKeyPem: host.identity.privateKeyPem,
      contact: () => this.#refreshContact(),
      renewed: (certificate) => this.#renewed(certificate),
      log,
    });
    this.p2pd = new P2pdProcess({
      socket: host.p2pdSocket,
      vi: membership.vi.id,
      node: membership.id,
      netns: membership.netns,
      uid: host.config.p2pdUid,
      logLevel: host.config.logLevel,
      remember: (text) => host.data.write(this.#pidFile, text),
      remembered: host.data.read(this.#pidFile),
      log,
    });
  }

  get membership(): Membership {
    return this.#membership;
  }

  get vi(): string {
    return this.#membership.vi.id;
  }

  get caPem(): string {
    return this.#membership.ca;
  }

  get plane(): NodePlane {
    if (this.#plane === undefined) throw new Error('the node is not open');
    return this.#plane;
  }

  get attachment(): Attachment | undefined {
    return this.#attachment;
  }

  get report(): RingReportMessage {
    return this.#report;
  }

  /** From a successful `open` to `close`. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether it has its interface, and its P2P daemon can be served. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Carries out `task` at once, or when the interface has been made. */
  whenReady(task: () => void): void {
    if (this.#isReady) task();
    else if (this.#awaitingReady.length < AWAITING_MAX) this.#awaitingReady.push(task);
  }

  get isOnRing(): boolean {
    return this.#report.phase === 'forming' || this.#report.phase === 'formed';
  }

  /** What stands in the way, one sentence. */
  get problem(): string | null {
    if (this.#problem !== null) return this.#problem;
    if (!this.#isConnected) return 'The P2P daemon is not connected; it is started again as often as it ends.';
    return this.om.problem;
  }

  /** Interface, addresses, credentials, tunnels, P2P daemon. A failure leaves nothing behind. */
  async open(): Promise<Result<void>> {
    const { kernel, credentials, data } = this.#host;
    const { vi, netns } = this.#membership;
    data.saveMembership(this.#membership);
    const prepared = await kernel.prepareNamespace(netns);
    if (!prepared.ok) return prepared;
    const placed = await this.#place();
    if (!placed.ok) {
      await kernel.releaseNamespace(netns);
      return placed;
    }
    const credential = credentials.add(this, this.#membership);
    if (!credential.ok) {
      await this.#unplace();
      return credential;
    }
    this.#isOpen = true;
    this.#enter();
    // Others may come by us from now on.
    void this.om.beat(false);
    this.p2pd.start();
    this.#host.log.info({ vi: vi.name, node: this.#membership.name, netns }, 'virtual node up');
    return ok();
  }

  /** It could not be opened: ends what an earlier life left of it. */
  async abandon(): Promise<void> {
    await this.p2pd.stop();
    this.om.close();
  }

  /** Leaves the ring, hands over, removes everything. Whether the node is to come back decides what is kept on disk. */
  close(forGood: boolean): Promise<Result<void>> {
    this.#closing ??= this.#close(forGood);
    return this.#closing;
  }

  async #close(forGood: boolean): Promise<Result<void>> {
    const { credentials, engine, data } = this.#host;
    this.p2pd.retire();
    if (this.#isConnected && this.#report.phase !== 'starting') {
      this.send({ t: 'leave' });
      await Promise.race([this.#left.promise, sleep(LEAVE_MS, undefined, { ref: false })]);
    }
    this.#isOpen = false;
    for (const watcher of this.#watchers) watcher();
    await this.p2pd.stop();
    const pairs = engine.pairs(this.ref);
    engine.remove(this.ref);
    await sleep(GOODBYE_MS);
    await this.#unplace();
    credentials.remove(this);
    clearTimeout(this.#saveTimer);
    if (forGood) {
      const told = await this.om.leave();
      this.om.close();
      data.removeMembership(this.#membership);
      return told;
    }
    // Some stay leased: the node shall come back also while the overlay manager is down.
    const kept = pairs.slice(0, LEASE_BLOCK);
    if (await this.om.farewell(pairs.slice(LEASE_BLOCK))) this.#membership = { ...this.#membership, pairs: kept };
    this.om.close();
    data.saveMembership(this.#membership);
    data.remove(this.#pidFile);
    return ok();
  }

  /** Waits until the node is on the ring; each change of its phase is told. */
  async untilOnRing(limitMs: number, onPhase: (phase: string) => void): Promise<Result<void>> {
    const until = systemClock.now() + limitMs;
    let told = '';
    while (!this.isOnRing) {
      if (!this.#isOpen) return fail('NOT_READY', 'The node was taken down before it was on the ring.');
      const left = until - systemClock.now();
      if (left <= 0)
        return fail('TIMEOUT', `The node found no place on the ring in time. ${this.problem ?? ''}`.trim());
      if (this.#report.phase !== told) onPhase(this.#report.phase);
      told = this.#report.phase;
      await this.#nextReport(left);
    }
    return ok();
  }

  send(message: ToP2pd): void {
    this.#host.engine.input({ kind: 'p2pd.send', node: this.ref, message });
  }

  /** Carries out `task` once the kernel has all addresses of tunnels that are up. */
  whenSettled(task: () => void): void {
    if (this.#plane?.isSettling === true) this.#outbox.push(task);
    else task();
  }

  connected(): void {
    this.#isConnected = true;
    this.p2pd.connected();
  }

  disconnected(): void {
    this.#isConnected = false;
    // One that ended while it was leaving will not say that it has left.
    if (this.#closing !== undefined) this.#left.resolve();
    this.p2pd.disconnected();
  }

  async lookup(id: Id): Promise<Result<{ owner: Id; hops: number }>> {
    if (!this.isOnRing) return fail('NOT_READY');
    return this.#lookups.ask((request) => this.send({ t: 'lookup', request, id }));
  }

  act(output: NodeOutput): void {
    switch (output.kind) {
      case 'tunnel.unset':
        return this.#plane?.unset(output.peer);
      case 'publish':
        return this.#plane?.publish(output.image);
      case 'leases.request':
        return void this.#lease(output.request, output.count);
      case 'leases.keep':
        return void this.#keepLeases(output.pairs);
      case 'leases.changed':
        this.#membership = {
          ...this.#membership,
          pairs: [...output.pairs],
          leasedUntil: systemClock.wall() + output.msLeft,
        };
        return this.#host.data.saveMembership(this.#membership);
      case 'bootstrap.get':
        return void this.#bootstrap();
      case 'measure': {
        const rttMs = this.#host.engine.rttMs(output.association);
        return this.send({ t: 'measured', request: output.request, rttMs });
      }
      case 'ring':
        return this.#reported(output.report);
      case 'lookup.answer':
        return this.#lookups.answered(output.answer);
      case 'left':
        return this.#left.resolve();
      case 'peer':
        return this.#remember(output.record);
    }
  }

  /** The data plane's interface: made here, named and configured by the kernel part. */
  async #place(): Promise<Result<void>> {
    const { kernel, plane, engine, log } = this.#host;
    const { vi, ipv4, ipv6, netns } = this.#membership;
    const { mtu, ipv4Pool } = vi.definition;
    const tapName = birthName(process.pid, this.ref);
    const mac = macOfNode(this.id);
    const sources = { prefixes: [vi.prefix, ipv4Pool], linkPrefixes: [vi.linkPrefix, vi.definition.linkPool] };
    const opened = plane().openNode({ tapName, mtu, id: this.id, viId: vi.id, vni: vi.vni, mac, ipv4, ipv6, sources });
    if (!opened.ok) return opened;
    const network = { name: vi.name, vni: vi.vni, prefix: vi.prefix, ipv4Pool };
    const attached = await kernel.attach({ birthName: tapName, netns, vi: network, mtu, ipv4, ipv6 });
    if (!attached.ok) {
      plane().closeNode(opened.value);
      return attached;
    }
    this.#attachment = attached.value;
    this.#plane = new NodePlane({
      plane: plane(),
      handle: opened.value,
      attachment: attached.value,
      log,
      onBroken: (peer) => engine.input({ kind: 'tunnel.broken', node: this.ref, peer }),
      onSettled: () => {
        const tasks = this.#outbox;
        this.#outbox = [];
        for (const task of tasks) task();
      },
      onFailed: (errno) => void this.#repair(errno),
    });
    return ok();
  }

  async #unplace(): Promise<void> {
    const [plane, attachment] = [this.#plane, this.#attachment];
    this.#isReady = false;
    this.#plane = undefined;
    this.#attachment = undefined;
    if (plane !== undefined) {
      plane.close();
      this.#host.plane().closeNode(plane.handle);
    }
    if (attachment !== undefined) await this.#host.kernel.detach(attachment);
  }

  /** Somebody removed the interface: everything is made anew, and the P2P daemon starts over. */
  async #repair(errno: number): Promise<void> {
    if (!this.#isOpen) return;
    this.#problem = `The interface was removed or broken (error ${errno}); it is being made anew.`;
    this.#host.log.error({ node: this.#membership.name, errno }, 'the interface is gone; making it anew');
    const { engine } = this.#host;
    const unplaced = this.#unplace();
    engine.remove(this.ref);
    await unplaced;
    await sleep(REPAIR_MS);
    if (!this.#isOpen) return;
    const prepared = await this.#host.kernel.prepareNamespace(this.#membership.netns);
    const placed = prepared.ok ? await this.#place() : prepared;
    if (!placed.ok) {
      this.#problem = `The interface cannot be made: ${placed.message}`;
      return;
    }
    this.#problem = null;
    this.#membership = { ...this.#membership, incarnation: this.#membership.incarnation + 1 };
    this.#host.data.saveMembership(this.#membership);
    this.#enter();
    void this.om.beat();
  }

  /** Into the core, with an interface. */
  #enter(): void {
    const { engine } = this.#host;
    engine.add(this.ref, this);
    engine.input({ kind: 'node.open', node: this.ref, setup: this.#setup() });
    this.#isReady = true;
    const tasks = this.#awaitingReady;
    this.#awaitingReady = [];
    for (const task of tasks) task();
  }

  #setup(): NodeSetup {
    const { vi, name, ipv4, ipv6, groups, incarnation, certificate, p2pdPort, pairs, leasedUntil } = this.#membership;
    return {
      vi,
      name,
      id: this.id,
      ipv4,
      ipv6,
      groups,
      incarnation,
      contact: this.#contact(),
      certificate: pemToDer(certificate),
      p2pdPort,
      pairs,
      leaseMsLeft: Math.max(0, leasedUntil - systemClock.wall()),
    };
  }

  #contact(): Uint8Array {
    const { identity, endpoints } = this.#host;
    return encodeContact({ node: this.id, key: identity.fingerprint, endpoints: endpoints() });
  }

  /** Base addresses come and go; heartbeats are the occasion to look. */
  #refreshContact(): Uint8Array {
    const contact = this.#contact();
    const certificate = pemToDer(this.#membership.certificate);
    this.#host.engine.input({ kind: 'node.update', node: this.ref, contact, certificate });
    return contact;
  }

  #renewed(certificate: string): void {
    this.#membership = { ...this.#membership, certificate };
    this.#host.data.saveMembership(this.#membership);
    const set = this.#host.credentials.add(this, this.#membership);
    if (!set.ok) this.#host.log.error({ problem: set.message }, 'the renewed certificate cannot be used');
    this.#refreshContact();
    this.#host.log.info({ node: this.#membership.name }, 'certificate renewed');
  }

  async #lease(request: string, count: number): Promise<void> {
    const leased = await this.om.lease(request, count);
    const pairs = leased.ok ? leased.value : undefined;
    this.#host.engine.input({ kind: 'leases', node: this.ref, request, pairs, msLeft: LEASE_MS });
  }

  async #keepLeases(pairs: readonly number[]): Promise<void> {
    const kept = await this.om.keepLeases(pairs);
    const still = kept.ok ? kept.value : undefined;
    this.#host.engine.input({ kind: 'leases.kept', node: this.ref, pairs: still, msLeft: LEASE_MS });
  }

  /** By the overlay manager, or where it does not answer, by the peers of an earlier time. */
  async #bootstrap(): Promise<void> {
    const answer = await this.om.bootstrap();
    if (answer.ok) return this.send({ t: 'bootstrap', ...answer.value });
    const nodes = this.#membership.peers.flatMap(({ id, incarnation, contact }) => {
      const parsed = parseId(id);
      return parsed === undefined ? [] : [{ id: parsed, incarnation, contact: fromBase64(contact) }];
    });
    this.send({ t: 'bootstrap', nodes, found: false });
  }

  #reported(report: RingReportMessage): void {
    const wasOnRing = this.isOnRing;
    this.#report = report;
    for (const watcher of this.#watchers) watcher();
    if (this.isOnRing !== wasOnRing) void this.om.beat(this.isOnRing);
  }

  #nextReport(limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    this.#watchers.add(resolve);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#watchers.delete(resolve);
    });
  }

  #remember(record: { id: Id; incarnation: number; contact: Uint8Array }): void {
    const id = record.id.toString(16).padStart(16, '0');
    const others = this.#membership.peers.filter((peer) => peer.id !== id);
    const peer = { id, incarnation: record.incarnation, contact: toBase64(record.contact) };
    this.#membership = { ...this.#membership, peers: [peer, ...others].slice(0, REMEMBERED_MAX) };
    this.#saveTimer ??= setTimeout(() => {
      this.#saveTimer = undefined;
      if (this.#isOpen) this.#host.data.saveMembership(this.#membership);
    }, SAVE_MS);
  }

  get #pidFile(): string {
    return `${this.#host.data.nodePath(this.#membership)}/${PID_FILE}`;
  }
}
