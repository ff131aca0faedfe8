/** A simulated machine: its resource daemon's core, its P2P daemon's core, what lies between, and what they told. */
import { type Cidr, idAddress, poolAddress } from '../../overlay/addresses.ts';
import type { NodeRecord } from '../../overlay/fields.ts';
import { formatId, type Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import type { RdRoute, RingReportMessage, ToRd } from '../../overlay/messages/p2pd-rd.ts';
import type { ViConfig } from '../../overlay/vi.ts';
import type { Machine } from '../../p2pd/core/machine.ts';
import { type Endpoint, encodeContact } from '../../rd/core/contact.ts';
import type { NodeRef, NodeSetup, TunnelView } from '../../rd/core/io.ts';
import type { RdCore } from '../../rd/core/rd.ts';
import { SecurePeers } from '../../rd/core/secure-peers.ts';
import type { Forwarding, LaidTunnel } from './forwarding.ts';

export const NODE: NodeRef = 1 as NodeRef;
/** One way on the socket between the two daemons of a machine, milliseconds. */
export const SOCKET_MS = 0.1;
/** Datagrams and messages that wait for a daemon that stands still; the sockets hold no more. */
export const DEFERRED_MAX = 256;
/** When the first node of a simulation was born, milliseconds since 1970: incarnations are real ones. */
const FIRST_INCARNATION = 1_700_000_000_000;
const BASE_PORT = 4780;
const BASE_NETWORK = 0x0a00_0000;
const CERTIFICATE_BYTES = 64;
const NO_PEERS = new SecurePeers([]);

export type LookupAnswer = ToRd & { t: 'lookup.answer' };

/** What was held back for a daemon that stands still. */
export type Deferred = { readonly kind: number; readonly extra: number; readonly body: unknown };

export class SimNode {
  readonly index: number;
  readonly id: Id;
  readonly idText: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly key: string;
  readonly endpoint: Endpoint;
  readonly contact: Uint8Array;
  readonly certificate: Uint8Array;
  incarnation = FIRST_INCARNATION;
  groups: readonly string[] = [];

  rd: RdCore | undefined;
  /** Counts starts of the resource daemon, and of the P2P daemon. */
  rdLife = 0;
  p2pdLife = 0;
  machine: Machine | undefined;
  /** The socket between the two is open; its number counts up. */
  connected = false;
  session = 0;
  /** Why the P2P daemon ended, the last time it did. */
  exited: string | undefined;
  /** It has left the ring for good, or until it is started again. */
  hasLeft = false;
  isLeaving = false;

  forwarding: Forwarding | undefined;
  readonly tunnels: Map<Id, LaidTunnel> = new Map();
  report: RingReportMessage | undefined;
  readonly lookups: Map<number, LookupAnswer> = new Map();
  /** On the disk. */
  pairs: readonly number[] = [];
  remembered: NodeRecord[] = [];
  /** When the overlay manager heard of it last; Infinity while it does. */
  heardAt = Number.NEGATIVE_INFINITY;

  publishes = 0;
  commits = 0;
  refusals = 0;

  p2pdWake = Number.POSITIVE_INFINITY;
  rdWake = Number.POSITIVE_INFINITY;
  /** Its clock runs so much faster than time does. */
  clockRate = 1;
  #clockBase = 0;
  #clockSince = 0;
  #clockLeast = 0;
  /** Everything it does takes so much longer, milliseconds. */
  lagMs = 0;
  /** Nothing on the socket overtakes: earliest next arrival in each direction. */
  toRdFrom = 0;
  toP2pdFrom = 0;
  isP2pdPaused = false;
  isRdPaused = false;
  deferredP2pd: Deferred[] = [];
  deferredRd: Deferred[] = [];
  stepsUnderWay = 0;

  constructor(index: number, id: Id, pool: Cidr, prefix: Cidr, contactBytes: number) {
    this.index = index;
    this.id = id;
    this.idText = formatId(id);
    this.ipv4 = poolAddress(pool, index);
    this.ipv6 = idAddress(prefix, id);
    this.key = index.toString(16).padStart(32, '0');
    const base = BASE_NETWORK + index + 1;
    this.endpoint = { address: [24, 16, 8, 0].map((shift) => (base >>> shift) & 0xff).join('.'), port: BASE_PORT };
    // Further endpoints make a contact longer; nothing answers at them.
    const spare = contactBytes > 60 ? [{ address: '2001:db8::1', port: 1 }] : [];
    this.contact = encodeContact({ node: id, key: this.key, endpoints: [this.endpoint, ...spare, ...spare] });
    this.certificate = new Uint8Array(CERTIFICATE_BYTES);
  }

  get record(): NodeRecord {
    return { id: this.id, incarnation: this.incarnation, contact: this.contact };
  }

  setup(vi: ViConfig, leaseMsLeft: number): NodeSetup {
    return {
      vi,
      name: `node-${this.index}`,
      id: this.id,
      ipv4: this.ipv4,
      ipv6: this.ipv6,
      groups: this.groups,
      securePeers: NO_PEERS,
      incarnation: this.incarnation,
      contact: this.contact,
      certificate: this.certificate,
      p2pdPort: vi.definition.p2pdPort,
      pairs: this.pairs,
      leaseMsLeft,
    };
  }

  /** A later life has a later number, also where its clock says the same. */
  reborn(now: number): void {
    this.incarnation = Math.max(FIRST_INCARNATION + Math.floor(now), this.incarnation + 1);
  }

  /** What its own clock says at this time. */
  clockAt(now: number): Millis {
    return Math.max(this.#clockLeast, this.#clockBase + (now - this.#clockSince) * this.clockRate) as Millis;
  }

  /** Its clock says this much at least: rounding must not let a deadline that has come lie in the future. */
  reached(clock: number): void {
    this.#clockLeast = Math.max(this.#clockLeast, clock);
  }

  /** When its clock will say this. */
  timeOf(clock: number): number {
    return this.#clockSince + (clock - this.#clockBase) / this.clockRate;
  }

  setClockRate(rate: number, now: number): void {
    this.#clockBase = this.clockAt(now);
    this.#clockSince = now;
    this.clockRate = rate;
  }

  /** Both daemons live. */
  get alive(): boolean {
    return this.rd !== undefined && this.machine !== undefined;
  }

  get isPaused(): boolean {
    return this.isP2pdPaused || this.isRdPaused;
  }

  get phase(): RingReportMessage['phase'] | undefined {
    return this.machine?.node?.ring.phase;
  }

  /** A member that has not left. */
  get member(): boolean {
    const { phase } = this;
    return this.alive && (phase === 'forming' || phase === 'formed');
  }

  /** Its data plane forwards. */
  get forwards(): boolean {
    return this.rd !== undefined && !this.isRdPaused;
  }

  get routes(): readonly RdRoute[] {
    return this.rd?.routes(NODE).routes ?? [];
  }

  get tunnelViews(): TunnelView[] {
    return this.rd?.tunnels(NODE) ?? [];
  }
}
