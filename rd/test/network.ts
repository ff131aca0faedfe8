/** Resource daemon cores joined by an unreliable network with virtual time: what the tests of tunnels run on. */
import { idAddress, parseAddress, parseCidr, poolAddress } from '../../overlay/addresses.ts';
import { type ErrorCode, fail } from '../../overlay/errors.ts';
import { formatId, type Id, idOfNode } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import { ok } from '../../overlay/lib/result.ts';
import { below, fraction, type Rng, seededRng } from '../../overlay/lib/rng.ts';
import { P2PD_RD_VERSION, type ToP2pd, type ToRd } from '../../overlay/messages/p2pd-rd.ts';
import { type RdMessage, rdCodec } from '../../overlay/messages/rd-rd.ts';
import type { CertificateClaims } from '../../overlay/om-api.ts';
import { parseViDefinition, type SecurityPolicy, type ViConfig } from '../../overlay/vi.ts';
import { type Endpoint, encodeContact, type Family } from '../core/contact.ts';
import type {
  AssociationRef,
  CertificateCheck,
  Image,
  Input,
  NodeRef,
  NodeSetup,
  Output,
  SessionRef,
  TunnelPlan,
} from '../core/io.ts';
import { RdCore } from '../core/rd.ts';
import { SecurePeers } from '../core/secure-peers.ts';
import { DataPlanes } from './data-planes.ts';

export type Faults = { loss: number; duplicate: number; delayMsMax: number };
export const QUIET: Faults = { loss: 0, duplicate: 0, delayMsMax: 5 };

export function testVi(
  links: 'numbered' | 'unnumbered' = 'numbered',
  tunnelsMax = 512,
  policy: SecurityPolicy = 'groups',
): ViConfig {
  const definition = parseViDefinition({ links, tunnelsMax, security: { policy } });
  if (!definition.ok) throw new Error(definition.message);
  const prefixes = { prefix: 'fd00:1:2:3::/64', linkPrefix: 'fd00:1:2:4::/64' };
  return { id: 'vi-00000000000000aa', name: 'lab', ...prefixes, vni: 77, definition: definition.value };
}

/** Stands for a certificate: its serial number, the groups in it, and padding. */
export function certificateOf(groups: readonly string[], bytes = 64, serial = 0): Uint8Array {
  return new TextEncoder().encode(`${serial};${groups.join(',')}`.padEnd(bytes));
}

function groupsOf(certificate: Uint8Array): string[] {
  const text = new TextDecoder().decode(certificate).trimEnd().split(';')[1] ?? '';
  return text === '' ? [] : text.split(',');
}

export function serialOfTest(certificate: Uint8Array): string {
  return new TextDecoder().decode(certificate).split(';')[0] ?? '';
}

const NODE = 1 as NodeRef;
const SESSION = 1 as SessionRef;

/** Leases of the address server: pair → key of the daemon that has it. */
export type AddressServer = { answers: boolean; next: number; owner: Map<number, string> };

export class Peer {
  readonly key: string;
  readonly endpoint: Endpoint;
  endpoints: readonly Endpoint[];
  /** Of the base network, the preferred one first. */
  families: readonly Family[] = [4, 6];
  readonly id: Id;
  setup: NodeSetup;
  readonly told: ToP2pd[] = [];
  readonly plans = new Map<Id, TunnelPlan>();
  readonly complaints: ErrorCode[] = [];
  /** What the data plane was asked to measure: whether with capacity. */
  readonly measures: boolean[] = [];
  image: Image | undefined;
  published = 0;
  /** Why tunnels ended before their time. */
  readonly voided: string[] = [];
  core: RdCore;
  incarnation = 1;
  /** Pairs that outlive a restart. */
  saved: readonly number[] = [];
  /** `both`: it has an endpoint of either family. */
  constructor(index: number, vi: ViConfig, both = false) {
    const ipv4 = poolAddress(parseCidr(vi.definition.ipv4Pool) as never, index);
    this.id = idOfNode(parseAddress(ipv4) as Uint8Array, vi.id);
    this.key = index.toString(16).padStart(32, '0');
    this.endpoint = { address: `192.0.2.${index + 1}`, port: 4780 };
    const sixth = { address: `2001:db8::${index + 1}`, port: 4780 };
    this.endpoints = both ? [this.endpoint, sixth] : [this.endpoint];
    this.setup = {
      vi,
      name: `node-${index}`,
      id: this.id,
      ipv4,
      ipv6: idAddress(parseCidr(vi.prefix) as never, this.id),
      groups: [],
      securePeers: new SecurePeers([]),
      incarnation: 1,
      contact: encodeContact({ node: this.id, key: this.key, endpoints: this.endpoints }),
      certificate: certificateOf([], 64, index + 1),
      p2pdPort: 4747,
      pairs: [],
      leaseMsLeft: 0,
    };
    this.core = this.newCore();
  }

  newCore(): RdCore {
    return new RdCore({ key: this.key, self: this.endpoint, families: this.families });
  }
}

type Scheduled = { readonly at: number; readonly run: () => void };

export class Network {
  readonly rng: Rng;
  readonly peers: Peer[];
  readonly server: AddressServer = { answers: true, next: 0, owner: new Map() };
  faults: Faults = QUIET;
  /** What becomes of each message on its way. */
  forge: (message: RdMessage) => RdMessage = (message) => message;
  /** What a message takes longer than others, milliseconds. */
  lateMs: (message: RdMessage) => number = () => 0;
  /** What the data plane measures. */
  measured: (capacity: boolean) => { rttMs: number | null; bitsPerSecond: number | null } = (capacity) => ({
    rttMs: 40,
    bitsPerSecond: capacity ? 1e8 : null,
  });
  /** Called after every input of a daemon. */
  watch: (peer: Peer) => void = () => undefined;
  now = 0 as Millis;
  /** By their time, those of one time by their order. */
  readonly #queue: Scheduled[] = [];
  /** When certificates expire, by their serial number; others never do. */
  readonly expiries = new Map<string, number>();
  /** Serial numbers that every daemon takes for revoked. */
  readonly revoked = new Set<string>();
  readonly planes: DataPlanes<Peer>;
  /** What a way takes longer than others, milliseconds; Infinity: nothing comes through. */
  wayMs: (from: Peer, to: Peer, family: Family) => number = () => 0;
  readonly #started: string[] = [];
  readonly #inputs: { readonly peer: Peer; readonly input: Input }[] = [];
  #isHandling = false;

  /** `both`: every daemon has an endpoint of either family, and prefers one. */
  constructor(seed: number, count: number, vi: ViConfig = testVi(), both = false) {
    this.rng = seededRng(seed);
    this.peers = Array.from({ length: count }, (_, index) => new Peer(index, vi, both));
    this.planes = new DataPlanes<Peer>({
      rng: this.rng,
      daemons: () => this.peers,
      later: (run, extraMs) => this.#later(run, extraMs),
      loss: () => this.faults.loss,
      wayMs: (from, to, family) => this.wayMs(from, to, family),
      input: (peer, input) => this.input(peer, input),
    });
    if (both) for (const peer of this.peers) peer.families = below(this.rng, 2) === 0 ? [4, 6] : [6, 4];
    for (const peer of this.peers) this.start(peer);
  }

  start(peer: Peer): void {
    peer.plans.clear();
    peer.told.length = 0;
    peer.image = undefined;
    peer.core = peer.newCore();
    const setup = { ...peer.setup, incarnation: peer.incarnation, pairs: peer.saved, leaseMsLeft: 3_600_000 };
    this.input(peer, { kind: 'node.open', node: NODE, setup });
    const hello = { version: P2PD_RD_VERSION, vi: setup.vi.id, node: peer.id, instance: peer.id, generation: 0 };
    this.say(peer, { t: 'hello', ...hello });
  }

  /** A certificate with these groups, from now on. */
  certify(peer: Peer, groups: readonly string[]): void {
    peer.setup = { ...peer.setup, groups, certificate: certificateOf(groups) };
    this.update(peer);
  }

  /** What the operator writes into rd.yaml counts from the next start on. */
  list(peer: Peer, securePeers: readonly string[]): void {
    peer.setup = { ...peer.setup, securePeers: new SecurePeers(securePeers) };
  }

  /** The associations of `a` with `b` go on to another address of `b`. */
  move(a: Peer, b: Peer, endpoint: Endpoint): void {
    for (const { ref } of this.planes.between(a, b)) {
      this.input(a, { kind: 'association.moved', association: ref, endpoint });
    }
  }

  /**
   * The daemon dies and is there again at once, knowing only its leases. Its associations are replaced at their other ends,
   * or fall silent.
   */
  restart(peer: Peer, reason: 'replaced' | 'lost' = 'replaced'): void {
    this.planes.vanish(peer, reason);
    peer.incarnation += 1;
    this.start(peer);
  }

  /** Both ends lose their associations with each other, not at the same time. */
  cut(a: Peer, b: Peer): void {
    this.planes.cut(a, b);
  }

  /** The peer is reached there from now on; what it has goes on. Whether its daemon knows is the caller's business. */
  relocate(peer: Peer, endpoint: Endpoint): void {
    peer.endpoints = [endpoint];
    const contact = encodeContact({ node: peer.id, key: peer.key, endpoints: peer.endpoints });
    peer.setup = { ...peer.setup, contact };
  }

  /** The daemon looks at what its node is now. */
  update(peer: Peer): void {
    const { contact, certificate, groups } = peer.setup;
    this.input(peer, { kind: 'node.update', node: NODE, contact, certificate, groups });
  }

  /** The peer has a new certificate with this serial number. */
  renew(peer: Peer, serial: number): void {
    peer.setup = { ...peer.setup, certificate: certificateOf(peer.setup.groups, 64, serial) };
    this.update(peer);
  }

  /** Every daemon learns that this certificate is revoked. */
  revoke(serial: string): void {
    this.revoked.add(serial);
    for (const peer of this.peers) this.input(peer, { kind: 'revoked', node: NODE, serials: this.revoked });
  }

  say(peer: Peer, message: ToRd): void {
    this.input(peer, { kind: 'p2pd', node: NODE, session: SESSION, message });
  }

  add(peer: Peer, to: Peer, role: 'neighbour' | 'answer' = 'neighbour'): void {
    this.say(peer, { t: 'tunnel.add', key: to.id, contact: to.setup.contact, role });
  }

  release(peer: Peer, to: Peer): void {
    this.say(peer, { t: 'tunnel.release', key: to.id });
  }

  /** Inputs that come while outputs are carried out wait for their turn, as in a daemon. */
  input(peer: Peer, input: Input): void {
    this.#inputs.push({ peer, input });
    if (this.#isHandling) return;
    this.#isHandling = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        next.peer.core.handle(next.input, this.now);
        for (let output = next.peer.core.poll(); output !== undefined; output = next.peer.core.poll()) {
          this.#do(next.peer, output);
        }
        this.watch(next.peer);
      }
    } finally {
      this.#isHandling = false;
    }
  }

  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const timers = this.peers.map((peer) => peer.core.deadline() ?? Number.POSITIVE_INFINITY);
      const next = Math.min(this.#queue[0]?.at ?? Number.POSITIVE_INFINITY, ...timers);
      if (next > end) break;
      this.now = Math.max(this.now, next) as Millis;
      const later = this.#queue.findIndex((item) => item.at > this.now);
      for (const item of this.#queue.splice(0, later < 0 ? this.#queue.length : later)) item.run();
      for (const peer of this.peers) {
        const deadline = peer.core.deadline();
        if (deadline !== undefined && deadline <= this.now) this.input(peer, { kind: 'timer' });
      }
    }
    this.now = end as Millis;
  }

  /** Associations begun so far, and those that are up. */
  get started(): number {
    return this.#started.length;
  }

  startedTo(address: string): number {
    return this.#started.filter((other) => other === address).length;
  }

  get associations(): number {
    return this.planes.count;
  }

  /** What the daemon at the other end calls this association. */
  otherEnd(association: AssociationRef): AssociationRef | undefined {
    return this.planes.otherEnd(association);
  }

  views(peer: Peer): ReturnType<RdCore['tunnels']> {
    return peer.core.tunnels(NODE);
  }

  pairs(peer: Peer): number[] {
    return peer.core.pairs(NODE);
  }

  #later(run: () => void, extraMs = 0): void {
    const at = this.now + extraMs + 1 + below(this.rng, this.faults.delayMsMax + 1);
    // Behind everything of the same time.
    const index = this.#queue.findLastIndex((item) => item.at <= at) + 1;
    this.#queue.splice(index, 0, { at, run });
  }

  #do(peer: Peer, output: Output): void {
    switch (output.kind) {
      case 'p2pd.send':
        peer.told.push(output.message);
        return;
      case 'associate': {
        const { endpoint } = output;
        this.#started.push(endpoint.address);
        const association = this.planes.associate(peer, endpoint);
        this.input(peer, { kind: 'association.started', endpoint, association });
        return;
      }
      case 'control.send':
        this.#transmit(peer, output.association, output.message);
        return;
      case 'leases.request':
        this.#lease(peer, output.request, output.count);
        return;
      case 'leases.keep':
        this.#keep(peer, output.pairs);
        return;
      case 'leases.changed':
        peer.saved = output.pairs;
        return;
      case 'tunnel.set':
        peer.plans.set(output.plan.peer, output.plan);
        return;
      case 'tunnel.unset':
        peer.plans.delete(output.peer);
        return;
      case 'publish':
        peer.image = output.image;
        peer.published += 1;
        return;
      case 'complaint':
        peer.complaints.push(output.code);
        return;
      case 'measure': {
        const { association, capacity } = output;
        peer.measures.push(capacity);
        this.#later(() => {
          if (this.otherEnd(association) === undefined) return;
          this.input(peer, { kind: 'measured', association, ...this.measured(capacity) });
        });
        return;
      }
      case 'association.close':
        this.planes.close(output.association);
        return;
      case 'bootstrap.get':
      case 'left':
      case 'lookup.answer':
      case 'p2pd.close':
      case 'peer':
      case 'ring':
        return;
      case 'tunnel.voided':
        peer.voided.push(output.code);
        return;
    }
  }

  #transmit(from: Peer, association: AssociationRef, message: RdMessage): void {
    const copies = fraction(this.rng) < this.faults.duplicate ? 2 : 1;
    const bytes = rdCodec.encode(message);
    const { vi, id, name, ipv4 } = from.setup;
    const deliver = (to: Peer, at: AssociationRef): void => {
      const decoded = rdCodec.decode(bytes);
      if (!decoded.ok) throw new Error(decoded.message);
      const forged = this.forge(decoded.value);
      const check = this.#check(forged, { vi: vi.id, id: formatId(id), name, ipv4 });
      this.input(to, { kind: 'control', association: at, message: forged, check });
    };
    for (let copy = 0; copy < copies; copy++) this.planes.send(association, deliver, this.lateMs(message));
  }

  #check(message: RdMessage, claims: Omit<CertificateClaims, 'groups'>): CertificateCheck | undefined {
    if (message.t !== 'con_req' && message.t !== 'con_resp') return undefined;
    const serial = serialOfTest(message.from.certificate);
    if (this.revoked.has(serial)) return fail('CERTIFICATE_REVOKED');
    const msLeft = (this.expiries.get(serial) ?? Number.MAX_SAFE_INTEGER) - this.now;
    if (msLeft < 0) return fail('CERTIFICATE_REFUSED');
    return ok({ ...claims, groups: groupsOf(message.from.certificate), certificate: { serial, msLeft } });
  }

  #lease(peer: Peer, request: string, count: number): void {
    const { core } = peer;
    this.#later(() => {
      if (peer.core !== core) return;
      const msLeft = 24 * 3_600_000;
      if (!this.server.answers) {
        this.input(peer, { kind: 'leases', node: NODE, request, pairs: undefined, msLeft: 0 });
        return;
      }
      const pairs = Array.from({ length: count }, () => this.server.next++);
      for (const pair of pairs) this.server.owner.set(pair, peer.key);
      this.input(peer, { kind: 'leases', node: NODE, request, pairs, msLeft });
    });
  }

  #keep(peer: Peer, pairs: readonly number[]): void {
    const { core } = peer;
    this.#later(() => {
      if (peer.core !== core) return;
      if (!this.server.answers) {
        this.input(peer, { kind: 'leases.kept', node: NODE, pairs: undefined, msLeft: 0 });
        return;
      }
      const kept = new Set(pairs);
      for (const [pair, owner] of this.server.owner) {
        if (owner === peer.key && !kept.has(pair)) this.server.owner.delete(pair);
      }
      this.input(peer, {
        kind: 'leases.kept',
        node: NODE,
        pairs: [...kept].filter((pair) => this.server.owner.get(pair) === peer.key),
        msLeft: 24 * 3_600_000,
      });
    });
  }
}
