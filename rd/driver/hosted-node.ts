/** A virtual node on this base node, from its interface to its P2P daemon: brought up, kept, taken down. */
import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DataPlane } from '../../native/index.ts';
import { macOfNode } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { type Id, parseId } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { RevocationStatus } from '../../overlay/messages/control.ts';
import type { RingReportMessage, ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { LEASE_MS } from '../../overlay/om-api.ts';
import type { RdConfig } from '../../overlay/rd-config.ts';
import { type Endpoint, encodeContact } from '../core/contact.ts';
import type { NodeRef, NodeSetup } from '../core/io.ts';
import { LEASE_BLOCK } from '../core/limits.ts';
import { SecurePeers } from '../core/secure-peers.ts';
import { inBackground } from './background.ts';
import { claimsOf } from './certificates.ts';
import type { Credentials } from './credentials.ts';
import type { Engine, NodeActions, NodeOutput } from './engine.ts';
import type { DataDirectory, Membership } from './files.ts';
import { pemToDer, type RdIdentity } from './identity.ts';
import type { Attachment, Kernel } from './kernel.ts';
import { Lookups } from './lookups.ts';
import { birthName } from './names.ts';
import { NodePlane } from './node-plane.ts';
import { OmLink } from './om-link.ts';
import { P2pdProcess } from './p2pd-process.ts';
import { recordsOf } from './records.ts';
import type { Revocations } from './revocations.ts';
import { RingWatch } from './ring-watch.ts';
import { SavedMembership } from './saved-membership.ts';
import { TunnelShapes } from './tunnel-shapes.ts';

/** How long a P2P daemon has to hand over when its node leaves the ring. */
const LEAVE_MS = 5000;
/** Time for the last control messages to go out, milliseconds. */
const GOODBYE_MS = 20;
const PID_FILE = 'p2pd.pid';
/** Wait before an interface is made anew; doubled with each failure. */
const REPAIR_MS = 1000;
const REPAIR_MS_MAX = 60_000;
/** Messages of a P2P daemon that wait for the interface. */
const AWAITING_MAX = 64;

/**
 * Why a node is taken down. `stop`: it is to come back. `leave`: it leaves the VI. `removed`: the overlay manager has
 * removed it from the VI.
 */
export type Farewell = 'stop' | 'leave' | 'removed';

/** What the nodes of a base node share. */
export type Host = {
  readonly config: RdConfig;
  readonly data: DataDirectory;
  readonly identity: RdIdentity;
  readonly kernel: Kernel;
  readonly credentials: Credentials;
  readonly revocations: Revocations;
  readonly engine: Engine;
  readonly plane: () => DataPlane;
  readonly endpoints: () => readonly Endpoint[];
  readonly p2pdSocket: string;
  /** Counts virtual nodes since the start. */
  readonly nextRef: () => NodeRef;
  readonly log: Log;
};

export class HostedNode implements NodeActions {
  readonly #host: Host;
  readonly ref: NodeRef;
  readonly id: Id;
  readonly om: OmLink;
  readonly shapes: TunnelShapes;
  readonly p2pd: P2pdProcess;
  readonly #saved: SavedMembership;
  readonly #ring = new RingWatch();
  #attachment: Attachment | undefined;
  #plane: NodePlane | undefined;
  #isOpen = false;
  #isReady = false;
  #awaitingReady: (() => void)[] = [];
  #isConnected = false;
  #problem: string | null = null;
  #repairing: Promise<void> | undefined;
  #closing: Promise<Result<void>> | undefined;
  readonly #left = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #log: Log;
  readonly #lookups = new Lookups();
  /** Number of the revocation list that is on the disk. */
  #savedRevocations = 0;
  /** Messages for the P2P daemon that wait until the kernel has the addresses they speak of. */
  #outbox: (() => void)[] = [];

  /** `onRemoved`: the overlay manager says that the node is in the VI no more. */
  constructor(host: Host, membership: Membership, onRemoved: () => void) {
    this.#host = host;
    this.ref = host.nextRef();
    this.id = parseId(membership.id) as Id;
    this.shapes = new TunnelShapes(membership.vi.definition.shape);
    const log = host.log.child({ vi: membership.vi.name, member: membership.name });
    const incarnation = Math.max(systemClock.wall(), membership.incarnation + 1);
    this.#saved = new SavedMembership(host.data, { ...membership, incarnation }, log);
    this.#log = log;
    this.#recallRevocations();
    this.om = new OmLink({
      membership: () => this.membership,
      privateKeyPem: host.identity.privateKeyPem,
      contact: () => this.#refreshContact(),
      renewed: (certificate) => this.#renewed(certificate),
      revocationsNumber: () => host.revocations.numberOf(this.caPem),
      revocations: (number, list) => this.#followRevocations(number, list),
      removed: onRemoved,
      log,
    });
    this.p2pd = new P2pdProcess({
      socket: host.p2pdSocket,
      vi: membership.vi.id,
      node: membership.id,
      netns: membership.netns,
      uid: host.config.p2pdUid,
      logLevel: host.config.logLevel,
      remember: (text) => {
        const written = host.data.write(this.#pidFile, text);
        if (!written.ok) log.warn({ problem: written.message }, 'the P2P daemon cannot be taken over after a crash');
      },
      remembered: host.data.read(this.#pidFile),
      log,
    });
  }

  get membership(): Membership {
    return this.#saved.value;
  }

  get vi(): string {
    return this.membership.vi.id;
  }

  get caPem(): string {
    return this.membership.ca;
  }

  get revocations(): RevocationStatus | null {
    return this.#host.revocations.statusOf(this.caPem);
  }

  get plane(): NodePlane {
    if (this.#plane === undefined) throw new Error('the node is not open');
    return this.#plane;
  }

  get attachment(): Attachment | undefined {
    return this.#attachment;
  }

  get report(): RingReportMessage {
    return this.#ring.report;
  }

  /** Whether there is something to take down, or being taken down: from a successful `open` on. */
  get isUp(): boolean {
    return this.#isOpen || this.#closing !== undefined;
  }

  get isClosing(): boolean {
    return this.#closing !== undefined;
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
    return this.#ring.isOnRing;
  }

  /** What stands in the way, one sentence. */
  get problem(): string | null {
    if (this.#problem !== null) return this.#problem;
    if (!this.#isConnected) return 'The P2P daemon is not connected; it is started again as often as it ends.';
    return this.#saved.problem ?? this.om.problem;
  }

  /** Interface, addresses, credentials, tunnels, P2P daemon. A failure leaves nothing behind. */
  async open(): Promise<Result<void>> {
    const { kernel, credentials } = this.#host;
    const { netns } = this.membership;
    this.#warnOfUselessList();
    const placed = await this.#place();
    if (!placed.ok) {
      await kernel.releaseNamespace(netns);
      return placed;
    }
    const credential = credentials.add(this, this.membership);
    if (!credential.ok) {
      credentials.remove(this);
      await this.#unplace();
      await kernel.releaseNamespace(netns);
      return credential;
    }
    this.#isOpen = true;
    this.#saved.save();
    this.#enter();
    // Others may come by us from now on.
    this.#beat(false);
    this.p2pd.start();
    this.#log.info({ netns }, 'virtual node up');
    return ok();
  }

  /** It could not be opened, and does not become so any more: ends what an earlier life left of it. */
  async abandon(problem: string): Promise<void> {
    this.#problem = problem;
    await this.p2pd.stop();
    this.om.close();
  }

  /** Leaves the ring, hands over, removes everything but, where the node is to come back, what is on the disk. */
  close(why: Farewell): Promise<Result<void>> {
    this.#closing ??= this.#close(why);
    return this.#closing;
  }

  async #close(why: Farewell): Promise<Result<void>> {
    const { credentials, engine, kernel, data } = this.#host;
    this.p2pd.retire();
    if (this.#isConnected && this.report.phase !== 'starting') {
      this.send({ t: 'leave' });
      await Promise.race([this.#left.promise, sleep(LEAVE_MS, undefined, { ref: false })]);
    }
    this.#isOpen = false;
    this.#closed.resolve();
    this.#ring.end();
    await this.p2pd.stop();
    await this.#repairing?.catch(() => undefined);
    const pairs = engine.pairs(this.ref);
    engine.remove(this.ref);
    await sleep(GOODBYE_MS);
    await this.#unplace();
    await kernel.releaseNamespace(this.membership.netns);
    credentials.remove(this);
    this.#saved.close();
    if (why !== 'stop') {
      const told = why === 'leave' ? await this.om.leave() : ok();
      this.om.close();
      const removed = data.removeMembership(this.membership);
      return told.ok ? removed : told;
    }
    // Some stay leased: the node shall come back also while the overlay manager is down.
    const kept = pairs.slice(0, LEASE_BLOCK);
    const isTold = await this.om.farewell(pairs.slice(LEASE_BLOCK));
    this.om.close();
    this.#saved.change(isTold ? { pairs: kept } : {});
    data.remove(this.#pidFile);
    return ok();
  }

  /** Waits until the node is on the ring; each change of its phase is told. */
  untilOnRing(limitMs: number, onPhase: (phase: string) => void): Promise<Result<void>> {
    return this.#ring.untilOnRing(limitMs, onPhase, () => this.problem);
  }

  send(message: ToP2pd): void {
    this.#host.engine.input({ kind: 'p2pd.send', node: this.ref, message });
  }

  /** Carries out `task` once the kernel has all addresses of tunnels that are up. */
  whenSettled(task: () => void): void {
    if (this.#plane?.isSettling === true) this.#outbox.push(task);
    else task();
  }

  /** The shape of the tunnel to that peer has changed; there need be none. */
  reshape(peer: Id): void {
    this.#plane?.reshape(peer);
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
        return inBackground(this.#lease(output.request, output.count), this.#log);
      case 'leases.keep':
        return inBackground(this.#keepLeases(output.pairs), this.#log);
      case 'leases.changed':
        return this.#saved.change({ pairs: [...output.pairs], leasedUntil: systemClock.wall() + output.msLeft });
      case 'bootstrap.get':
        return inBackground(this.#bootstrap(), this.#log);
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
        return this.#saved.remember(output.record);
    }
  }

  #warnOfUselessList(): void {
    const { policy } = this.membership.vi.definition.security;
    if (policy !== 'never' || this.#host.config.securePeers.length === 0) return;
    this.#log.warn('securePeers has no effect in this VI: its policy is that no tunnel is secure');
  }

  /** The data plane's interface: made here, in its namespace, named and configured by the kernel part. */
  async #place(): Promise<Result<void>> {
    const { kernel, plane, engine, log } = this.#host;
    const { vi, ipv4, ipv6, netns } = this.membership;
    const prepared = await kernel.prepareNamespace(netns);
    if (!prepared.ok) return prepared;
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
      shapes: this.shapes,
      log,
      onBroken: (peer) => engine.input({ kind: 'tunnel.broken', node: this.ref, peer }),
      onSettled: () => {
        const tasks = this.#outbox;
        this.#outbox = [];
        for (const task of tasks) task();
      },
      onFailed: (errno) => this.#failed(errno),
    });
    return ok();
  }

  /** The namespace stays. */
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

  #failed(errno: number): void {
    if (!this.#isOpen || this.#repairing !== undefined) return;
    this.#problem = `The interface was removed or broken (error ${errno}); it is being made anew.`;
    this.#log.error({ errno }, 'the interface is gone; making it anew');
    const repairing = this.#repair().finally(() => {
      this.#repairing = undefined;
    });
    this.#repairing = repairing;
    inBackground(repairing, this.#log);
  }

  /** Everything is made anew, and the P2P daemon starts over. What is half made when the node closes goes with it. */
  async #repair(): Promise<void> {
    const unplaced = this.#unplace();
    this.#host.engine.remove(this.ref);
    await unplaced;
    for (let waitMs = REPAIR_MS; ; waitMs = Math.min(waitMs * 2, REPAIR_MS_MAX)) {
      await Promise.race([this.#closed.promise, sleep(waitMs, undefined, { ref: false })]);
      if (!this.#isOpen) return;
      const placed = await this.#place();
      if (!this.#isOpen) return;
      if (placed.ok) break;
      this.#problem = `The interface cannot be made: ${placed.message}`;
      this.#log.error({ problem: placed.message }, 'the interface cannot be made; trying again');
    }
    this.#problem = null;
    this.#saved.change({ incarnation: this.membership.incarnation + 1 });
    this.#enter();
    this.#beat();
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
    const { vi, name, ipv4, ipv6, groups, incarnation, certificate, p2pdPort, pairs, leasedUntil } = this.membership;
    return {
      vi,
      name,
      id: this.id,
      ipv4,
      ipv6,
      groups,
      securePeers: new SecurePeers(this.#host.config.securePeers),
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
    const { groups } = this.membership;
    const certificate = pemToDer(this.membership.certificate);
    this.#host.engine.input({ kind: 'node.update', node: this.ref, contact, certificate, groups });
    return contact;
  }

  #renewed(certificate: string): void {
    const groups = claimsOf(new X509Certificate(certificate))?.groups ?? this.membership.groups;
    this.#saved.change({ certificate, groups: [...groups] });
    const set = this.#host.credentials.add(this, this.membership);
    if (!set.ok) this.#log.error({ problem: set.message }, 'the renewed certificate cannot be used');
    this.#refreshContact();
    this.#log.info('certificate renewed');
  }

  /** The list of an earlier life holds also while the overlay manager does not answer. */
  #recallRevocations(): void {
    const { data, revocations } = this.#host;
    const pem = data.revocations(this.membership);
    const taken = pem === undefined ? ok() : revocations.take(this.caPem, pem);
    // Another node under the same CA may have saved a newer one.
    if (!taken.ok && taken.code !== 'CONFLICT')
      this.#log.error(
        { problem: taken.message },
        'the saved revocation list cannot be used; a new one will be fetched',
      );
  }

  #followRevocations(number: number, list: string | undefined): void {
    const { data, revocations } = this.#host;
    const taken = list === undefined ? ok() : revocations.take(this.caPem, list);
    if (!taken.ok) {
      this.#log.error({ problem: taken.message }, 'the overlay manager’s revocation list is not taken');
      return;
    }
    revocations.confirm(this.caPem, number);
    const current = revocations.numberOf(this.caPem);
    const pem = revocations.pemOf(this.caPem);
    if (pem === null || this.#savedRevocations === current) return;
    const saved = data.saveRevocations(this.membership, pem);
    if (saved.ok) this.#savedRevocations = current;
    else this.#log.error({ problem: saved.message }, 'the revocation list cannot be saved; trying again');
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
    this.send({ t: 'bootstrap', nodes: recordsOf(this.membership.peers), found: false });
  }

  #reported(report: RingReportMessage): void {
    const wasOnRing = this.isOnRing;
    this.#ring.reported(report);
    if (this.isOnRing !== wasOnRing) this.#beat(this.isOnRing);
  }

  #beat(isMember?: boolean): void {
    inBackground(this.om.beat(isMember), this.#log);
  }

  get #pidFile(): string {
    return `${this.#host.data.nodePath(this.membership)}/${PID_FILE}`;
  }
}
