/** A virtual node on this base node, from its interface to its P2P daemon: brought up, kept, taken down. */
import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagedGateway } from '../../gateway/driver/managed-gateway.ts';
import { fail } from '../../overlay/errors.ts';
import { type Id, parseId } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { RevocationStatus } from '../../overlay/messages/control.ts';
import type { RingReportMessage, ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import type { NodeRef } from '../core/io.ts';
import { LEASE_BLOCK } from '../core/limits.ts';
import { Acquaintances } from './acquaintances.ts';
import { inBackground } from './background.ts';
import { claimsOf } from './certificates.ts';
import type { NodeActions, NodeOutput } from './engine.ts';
import type { Membership } from './files.ts';
import { History } from './history.ts';
import type { Host } from './host.ts';
import { pemToDer } from './identity.ts';
import type { Attachment } from './kernel.ts';
import { Lookups } from './lookups.ts';
import { NodeDuties } from './node-duties.ts';
import { NodeInterface } from './node-interface.ts';
import type { NodePlane } from './node-plane.ts';
import { contactOf, nodeSetup } from './node-setup.ts';
import { OmLink } from './om-link.ts';
import { P2pdProcess } from './p2pd-process.ts';
import { Readiness } from './readiness.ts';
import { RingWatch } from './ring-watch.ts';
import { SavedMembership } from './saved-membership.ts';
import { SavedRevocations } from './saved-revocations.ts';
import { TunnelShapes } from './tunnel-shapes.ts';

/** How long a P2P daemon has to hand over when its node leaves the ring. */
const LEAVE_MS = 5000;
/** Time for the last control messages to go out, milliseconds. */
const GOODBYE_MS = 20;
const PID_FILE = 'p2pd.pid';

/**
 * Why a node is taken down. `stop`: it is to come back. `leave`: it leaves the VI. `removed`: the overlay manager has
 * removed it from the VI.
 */
export type Farewell = 'stop' | 'leave' | 'removed';

export class HostedNode implements NodeActions {
  readonly #host: Host;
  readonly ref: NodeRef;
  readonly id: Id;
  readonly om: OmLink;
  readonly shapes: TunnelShapes;
  readonly p2pd: P2pdProcess;
  readonly #saved: SavedMembership;
  readonly #ring = new RingWatch();
  readonly #revocations: SavedRevocations;
  readonly acquaintances: Acquaintances;
  readonly #interface: NodeInterface;
  readonly history: History = new History(systemClock);
  #isOpen = false;
  readonly #readiness = new Readiness();
  #isConnected = false;
  #problem: string | null = null;
  #closing: Promise<Result<void>> | undefined;
  readonly #left = Promise.withResolvers<void>();
  readonly #log: Log;
  readonly #lookups = new Lookups();
  readonly #duties: NodeDuties;

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
    this.#revocations = new SavedRevocations(host.data, host.revocations, () => this.membership, log);
    this.#revocations.recall();
    this.acquaintances = new Acquaintances({
      id: this.id,
      membership: () => this.membership,
      data: host.data,
      tunnels: () => host.engine.tunnels(this.ref),
      list: () => this.om.nodes(),
      onChanged: () => this.#refreshNames(),
      log,
    });
    this.#interface = new NodeInterface({
      host,
      ref: this.ref,
      id: this.id,
      membership: () => this.membership,
      shapes: this.shapes,
      acquaintances: this.acquaintances,
      onLost: () => this.#withdraw(),
      onMadeAnew: () => this.#startOver(),
      log,
    });
    this.om = new OmLink({
      membership: () => this.membership,
      privateKeyPem: host.identity.privateKeyPem,
      contact: () => this.#refreshContact(),
      renewed: (certificate) => this.#renewed(certificate),
      revocationsNumber: () => host.revocations.numberOf(this.caPem),
      revocations: (number, list) => this.#revocations.follow(number, list),
      directory: (number) => this.#followDirectory(number),
      removed: onRemoved,
      log,
    });
    this.#duties = new NodeDuties({
      ref: this.ref,
      engine: host.engine,
      interface: this.#interface,
      om: this.om,
      saved: this.#saved,
      lookups: this.#lookups,
      reported: (report) => this.#reported(report),
      left: () => this.#left.resolve(),
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
    const { plane } = this.#interface;
    if (plane === undefined) throw new Error('the node is not open');
    return plane;
  }

  /** undefined where it is to have none, or has no interface. */
  get gateway(): ManagedGateway | undefined {
    return this.#interface.gateway;
  }

  get attachment(): Attachment | undefined {
    return this.#interface.attachment;
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
    return this.#readiness.isReady;
  }

  /** Carries out `task` at once, or when the interface has been made. */
  whenReady(task: () => void): void {
    this.#readiness.whenReady(task);
  }

  get isOnRing(): boolean {
    return this.#ring.isOnRing;
  }

  /** What stands in the way, one sentence. */
  get problem(): string | null {
    const problem = this.#problem ?? this.#interface.problem;
    if (problem !== null) return problem;
    if (!this.#isConnected) return 'The P2P daemon is not connected; it is started again as often as it ends.';
    return this.#saved.problem ?? this.om.problem;
  }

  /** Interface, addresses, credentials, tunnels, P2P daemon. A failure leaves nothing behind. */
  async open(): Promise<Result<void>> {
    const { kernel, credentials } = this.#host;
    const { netns } = this.membership;
    this.#warnOfUselessList();
    const placed = await this.#interface.make();
    if (!placed.ok) {
      await kernel.releaseNamespace(netns);
      return placed;
    }
    const credential = credentials.add(this, this.membership);
    if (!credential.ok) {
      credentials.remove(this);
      await this.#interface.end();
      await this.#interface.remove();
      await kernel.releaseNamespace(netns);
      return credential;
    }
    this.#isOpen = true;
    this.history.note('started');
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
    this.#ring.end();
    const ended = this.#interface.end();
    await this.p2pd.stop();
    await ended;
    const pairs = engine.pairs(this.ref);
    this.#withdraw();
    await sleep(GOODBYE_MS);
    await this.#interface.remove();
    await kernel.releaseNamespace(this.membership.netns);
    credentials.remove(this);
    this.acquaintances.close();
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
    this.#interface.whenSettled(task);
  }

  /** The shape of the tunnel to that peer has changed; there need be none. Fails where the data plane refuses it. */
  reshape(peer: Id): Result<void> {
    return this.#interface.plane?.reshape(peer) ?? ok();
  }

  connected(): void {
    this.#isConnected = true;
    this.history.note('p2pd.up');
    this.p2pd.connected();
  }

  disconnected(): void {
    this.#isConnected = false;
    this.history.note('p2pd.down');
    // One that ended while it was leaving will not say that it has left.
    if (this.#closing !== undefined) this.#left.resolve();
    this.p2pd.disconnected();
  }

  async lookup(id: Id): Promise<Result<{ owner: Id; hops: number }>> {
    if (!this.isOnRing) return fail('NOT_READY');
    return this.#lookups.ask((request) => this.send({ t: 'lookup', request, id }));
  }

  act(output: NodeOutput): void {
    this.#note(output);
    this.#duties.act(output);
    if (output.kind === 'peer' || output.kind === 'publish') this.acquaintances.touched();
  }

  #followDirectory(number: number): void {
    const isBehind = this.acquaintances.isBehind(number);
    if (isBehind && this.gateway?.namesAnybody === true) inBackground(this.acquaintances.refresh(), this.#log);
  }

  /** The policy of its gateway goes by who bears which name now. */
  #refreshNames(): void {
    const refreshed = this.gateway?.refresh() ?? ok();
    if (!refreshed.ok)
      this.#log.error({ problem: refreshed.message }, 'names in the gateway’s policy mean whom they meant');
  }

  /** What of it is worth telling later how the node came to be as it is. */
  #note(output: NodeOutput): void {
    this.history.noteState(['manager.up', 'manager.down'], this.om.problem === null);
    if (output.kind === 'tunnel.unset') this.history.note('tunnel.down', output.peer);
    else if (output.kind === 'peer') this.history.note('peer', output.record.id);
    else if (output.kind === 'left') this.history.note('left');
    else if (output.kind === 'ring') {
      const { predecessor, successors } = output.report;
      this.history.note('ring', null, predecessor === null ? successors : [predecessor, ...successors]);
    }
  }

  #warnOfUselessList(): void {
    const { policy } = this.membership.vi.definition.security;
    if (policy !== 'never' || this.#host.config.securePeers.length === 0) return;
    this.#log.warn('securePeers has no effect in this VI: its policy is that no tunnel is secure');
  }

  /** Into the core, with an interface. */
  #enter(): void {
    const { engine } = this.#host;
    engine.add(this.ref, this);
    engine.input({ kind: 'node.open', node: this.ref, setup: nodeSetup(this.id, this.membership, this.#host) });
    this.#readiness.begin();
  }

  /** Out of the core. */
  #withdraw(): void {
    this.#readiness.end();
    this.#host.engine.remove(this.ref);
  }

  /** With a new interface; to its peers and its P2P daemon it is a new life. */
  #startOver(): void {
    this.#saved.change({ incarnation: this.membership.incarnation + 1 });
    this.#enter();
    this.#beat();
  }

  /** Base addresses come and go; heartbeats are the occasion to look. */
  #refreshContact(): Uint8Array {
    const contact = contactOf(this.id, this.#host);
    const { groups } = this.membership;
    const certificate = pemToDer(this.membership.certificate);
    this.#host.engine.input({ kind: 'node.update', node: this.ref, contact, certificate, groups });
    return contact;
  }

  #renewed(certificate: string): void {
    const groups = claimsOf(new X509Certificate(certificate))?.groups ?? this.membership.groups;
    this.#saved.change({ certificate, groups: [...groups] });
    this.acquaintances.touched();
    const set = this.#host.credentials.add(this, this.membership);
    if (!set.ok) this.#log.error({ problem: set.message }, 'the renewed certificate cannot be used');
    this.#refreshContact();
    this.#log.info('certificate renewed');
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
