/** Runs the core on the data plane: events go in, decisions come out and are carried out in order. */
import { X509Certificate } from 'node:crypto';
import type { AssociationHandle, DataPlane, NativeEvent, NodeHandle } from '../../native/index.ts';
import { ERRORS } from '../../overlay/errors.ts';
import { formatId } from '../../overlay/id.ts';
import { type Clock, systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { type RdMessage, rdCodec } from '../../overlay/messages/rd-rd.ts';
import { serialOf } from '../../overlay/revocation-list.ts';
import { KEY_BYTES } from '../core/contact.ts';
import {
  type AssociationDown,
  type AssociationRef,
  type CertificateCheck,
  type Input,
  type NodeRef,
  type Output,
  type RdSetup,
  type RouteView,
  SELF,
  type SessionRef,
  type TunnelView,
} from '../core/io.ts';
import { RdCore } from '../core/rd.ts';
import { CertificateVerifier } from './certificates.ts';
import { Complaints } from './complaints.ts';
import { fingerprintOf } from './identity.ts';
import type { NodePlane } from './node-plane.ts';
import { Readings } from './readings.ts';
import type { Revocations } from './revocations.ts';

/** What a virtual node does about the core's decisions. */
export type NodeActions = {
  readonly vi: string;
  readonly caPem: string;
  readonly plane: NodePlane;
  act(output: NodeOutput): void;
};
export type NodeOutput = Exclude<
  Extract<Output, { node: NodeRef }>,
  { kind: 'tunnel.set' | 'tunnel.voided' | 'complaint' }
>;

/** What the P2P daemons' server does about them. */
export type SessionActions = {
  send(session: SessionRef, output: Extract<Output, { kind: 'p2pd.send' }>): void;
  close(session: SessionRef): void;
};

const DOWN: Record<Extract<NativeEvent, { type: 'association.down' }>['reason'], AssociationDown> = {
  closed: 'closed',
  'peer-closed': 'lost',
  'peer-silent': 'lost',
  'handshake-timeout': 'timeout',
  'handshake-refused': 'refused',
  replaced: 'replaced',
  expired: 'lost',
};

export class Engine {
  readonly #core: RdCore;
  readonly #plane: () => DataPlane;
  readonly #revocations: Pick<Revocations, 'serialsOf'>;
  readonly #log: Log;
  readonly #complaints: Complaints;
  readonly #clock: Clock;
  readonly #verifier = new CertificateVerifier();
  readonly #nodes = new Map<NodeRef, NodeActions>();
  /** SHA-256 of the key at the other end of each association that is up, hexadecimal. */
  readonly #keys = new Map<AssociationRef, string>();
  /** VI and certificate, by its serial number, under which the peer of each association came up. */
  readonly #serials = new Map<AssociationRef, { readonly vi: string; readonly serial: string }>();
  readonly #payloadBytesMax = new Map<AssociationRef, number>();
  readonly #inputs: Input[] = [];
  #isRunning = false;
  #timer: NodeJS.Timeout | undefined;
  sessions: SessionActions | undefined;
  /** Control messages that could not be read. */
  garbage = 0;

  constructor(
    setup: RdSetup,
    plane: () => DataPlane,
    revocations: Pick<Revocations, 'serialsOf'>,
    log: Log,
    clock: Clock = systemClock,
  ) {
    this.#core = new RdCore(setup);
    this.#plane = plane;
    this.#revocations = revocations;
    this.#log = log;
    this.#complaints = new Complaints(log, clock);
    this.#clock = clock;
  }

  add(ref: NodeRef, actions: NodeActions): void {
    this.#nodes.set(ref, actions);
  }

  remove(ref: NodeRef): void {
    this.input({ kind: 'node.close', node: ref });
    this.#nodes.delete(ref);
  }

  /** Ends tunnels to nodes, and associations with daemons, whose certificate this CA has revoked. */
  revoked(caPem: string): void {
    const serials = this.#revocations.serialsOf(caPem);
    const vis = new Set<string>();
    for (const [node, actions] of this.#nodes) {
      if (actions.caPem !== caPem) continue;
      vis.add(actions.vi);
      this.input({ kind: 'revoked', node, serials });
    }
    for (const [association, peer] of this.#serials) {
      if (!vis.has(peer.vi) || !serials.has(peer.serial)) continue;
      // Other nodes of that daemon have proven themselves by certificates of their own, for the same key.
      if (this.#core.inUse(association)) continue;
      this.#log.warn({ association, code: 'CERTIFICATE_REVOKED' }, 'association ended: its certificate was revoked');
      this.#plane().closeAssociation(association as number as AssociationHandle);
    }
  }

  /** Inputs that come while outputs are carried out wait for their turn. */
  input(input: Input): void {
    this.#inputs.push(input);
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        this.#core.handle(next, this.#clock.now());
        for (let output = this.#core.poll(); output !== undefined; output = this.#core.poll()) this.#obey(output);
      }
    } finally {
      this.#isRunning = false;
      this.#schedule();
    }
  }

  events(events: readonly NativeEvent[]): void {
    for (const event of events) this.#event(event);
  }

  /** The data plane was closed, and its associations with it, of which it told nothing more. */
  planeClosed(): void {
    const associations = [...this.#keys.keys()];
    this.#keys.clear();
    this.#serials.clear();
    this.#payloadBytesMax.clear();
    for (const association of associations) this.input({ kind: 'association.down', association, reason: 'lost' });
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  tunnels(node: NodeRef): TunnelView[] {
    return this.#core.tunnels(node);
  }

  routes(node: NodeRef): RouteView {
    return this.#core.routes(node);
  }

  pairs(node: NodeRef): number[] {
    return this.#core.pairs(node);
  }

  /** Largest UDP payload towards the peer, bytes; undefined before it is known. */
  payloadBytesMax(association: AssociationRef): number | undefined {
    return this.#payloadBytesMax.get(association);
  }

  /** Round-trip time, milliseconds; null where none is known. */
  rttMs(association: AssociationRef | undefined, readings: Readings): number | null {
    if (association === SELF) return 0;
    return readings.association(association)?.rttMs ?? null;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const deadline = this.#core.deadline();
    if (deadline === undefined) return;
    const wait = Math.min(Math.max(0, Math.ceil(deadline - this.#clock.now())), 0x7fff_ffff);
    this.#timer = setTimeout(() => this.input({ kind: 'timer' }), wait);
  }

  /** One decision that cannot be carried out must not take all nodes down. */
  #obey(output: Output): void {
    try {
      this.#carryOut(output);
    } catch (error) {
      this.#log.error({ output: output.kind, error: (error as Error).stack }, 'a decision could not be carried out');
    }
  }

  #carryOut(output: Output): void {
    switch (output.kind) {
      case 'p2pd.send':
        return this.sessions?.send(output.session, output);
      case 'p2pd.close':
        return this.sessions?.close(output.session);
      case 'control.send':
        return this.#sendControl(output.association, output.message);
      case 'associate': {
        const { endpoint, serverName } = output;
        const started = this.#plane().associate(endpoint, serverName);
        if (!started.ok) this.#log.debug({ endpoint, problem: started.message }, 'no association');
        const association = started.ok ? (started.value as number as AssociationRef) : undefined;
        return this.input({ kind: 'association.started', endpoint, association });
      }
      case 'measure': {
        const { association, capacity } = output;
        const begun = this.#plane().measure(association as number as AssociationHandle, capacity);
        if (begun.ok) return;
        return this.input({ kind: 'measured', association, rttMs: null, bitsPerSecond: null });
      }
      case 'association.close':
        return this.#plane().closeAssociation(output.association as number as AssociationHandle);
      case 'tunnel.set': {
        const payloadBytesMax = this.#payloadBytesMax.get(output.plan.association);
        return this.#nodes.get(output.node)?.plane.set(output.plan, payloadBytesMax);
      }
      case 'complaint': {
        const peer = formatId(output.peer);
        return this.#complaints.warn({ peer, code: output.code, problem: ERRORS[output.code].text }, 'peer refused');
      }
      case 'tunnel.voided': {
        const { peer, code } = output;
        return this.#log.warn({ peer: formatId(peer), code, problem: ERRORS[code].text }, 'tunnel ended');
      }
      case 'tunnel.unset':
      case 'publish':
      case 'leases.request':
      case 'leases.keep':
      case 'leases.changed':
      case 'bootstrap.get':
      case 'ring':
      case 'lookup.answer':
      case 'left':
      case 'peer':
        return this.#nodes.get(output.node)?.act(output);
    }
  }

  #sendControl(association: AssociationRef, message: RdMessage): void {
    const sent = this.#plane().send(association as number as AssociationHandle, rdCodec.encode(message));
    // It may have gone down a moment ago, and is repeated or given up in either case.
    if (!sent.ok) this.#log.debug({ message: message.t, problem: sent.message }, 'control message not sent');
  }

  #event(event: NativeEvent): void {
    switch (event.type) {
      case 'association.up': {
        const association = event.association as number as AssociationRef;
        const certificate = new X509Certificate(event.peerCertificate);
        const key = fingerprintOf(certificate.publicKey);
        const serial = serialOf(certificate);
        if (this.#isRevoked(event.serverName, serial)) {
          // The list came while the handshake went on.
          this.#complaints.warn({ peer: event.peer, problem: ERRORS.CERTIFICATE_REVOKED.text }, 'peer refused');
          return this.#plane().closeAssociation(event.association);
        }
        this.#keys.set(association, key);
        this.#serials.set(association, { vi: event.serverName, serial });
        const short = key.slice(0, KEY_BYTES * 2);
        return this.input({ kind: 'association.up', association, endpoint: event.peer, key: short });
      }
      case 'association.down': {
        const association = event.association as number as AssociationRef;
        this.#keys.delete(association);
        this.#serials.delete(association);
        this.#payloadBytesMax.delete(association);
        this.#log.debug({ peer: event.peer, reason: event.reason }, 'association down');
        return this.input({ kind: 'association.down', association, reason: DOWN[event.reason] });
      }
      case 'association.mtu': {
        const association = event.association as number as AssociationRef;
        this.#payloadBytesMax.set(association, event.payloadBytesMax);
        for (const { plane } of this.#nodes.values()) plane.setPayload(association, event.payloadBytesMax);
        return;
      }
      case 'association.moved': {
        const association = event.association as number as AssociationRef;
        this.#log.debug({ peer: event.peer }, 'association moved');
        return this.input({ kind: 'association.moved', association, endpoint: event.peer });
      }
      case 'association.measured': {
        const association = event.association as number as AssociationRef;
        const { rttMs, bitsPerSecond } = event;
        return this.input({ kind: 'measured', association, rttMs, bitsPerSecond });
      }
      case 'control':
        return this.#control(event.association as number as AssociationRef, event.message);
      case 'node.failed':
        return this.#nodeFailed(event.node, event.errno);
    }
  }

  #control(association: AssociationRef, bytes: Uint8Array): void {
    const message = rdCodec.decode(bytes);
    if (!message.ok) {
      this.garbage += 1;
      return;
    }
    const check = this.#checkOf(association, message.value);
    this.input({ kind: 'control', association, message: message.value, check });
  }

  #checkOf(association: AssociationRef, message: RdMessage): CertificateCheck | undefined {
    if (message.t !== 'con_req' && message.t !== 'con_resp') return undefined;
    const key = this.#keys.get(association);
    const node = [...this.#nodes.values()].find(({ vi }) => vi === message.vi);
    if (key === undefined || node === undefined) return undefined;
    const revoked = this.#revocations.serialsOf(node.caPem);
    const check = this.#verifier.check(message.from.certificate, node.caPem, key, this.#clock.wall(), revoked);
    if (!check.ok) this.#complaints.warn({ peer: formatId(message.from.node), problem: check.message }, 'peer refused');
    return check;
  }

  #isRevoked(vi: string, serial: string): boolean {
    const caPem = [...this.#nodes.values()].find((node) => node.vi === vi)?.caPem;
    return caPem !== undefined && this.#revocations.serialsOf(caPem).has(serial);
  }

  #nodeFailed(handle: NodeHandle, errno: number): void {
    for (const { plane } of this.#nodes.values()) if (plane.handle === handle) plane.failed(errno);
  }
}
