/**
 * The resource daemon's core: all virtual nodes of a base node and the associations they share. It decides; the driver
 * does. `handle` an input, then drain `poll`, then wait until `deadline` or the next input.
 */
import type { ErrorCode } from '../../overlay/errors.ts';
import { formatId, type Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import { ok } from '../../overlay/lib/result.ts';
import type { RdMessage } from '../../overlay/messages/rd-rd.ts';
import { Associations } from './associations.ts';
import {
  type AssociationRef,
  type CertificateCheck,
  type Input,
  type NodeRef,
  type Output,
  type RdSetup,
  type RouteView,
  SELF,
  type TunnelView,
} from './io.ts';
import { Measurements } from './measurements.ts';
import { NodeCore } from './node.ts';

/** Inputs that one open node handles. */
type NodeInput = Extract<
  Input,
  {
    kind: 'node.update' | 'p2pd' | 'p2pd.closed' | 'p2pd.send' | 'leases' | 'leases.kept' | 'tunnel.broken' | 'revoked';
  }
>;

export class RdCore {
  readonly #nodes = new Map<NodeRef, NodeCore>();
  readonly #associations: Associations;
  readonly #measurements: Measurements;
  readonly #outputs: Output[] = [];
  /** Control messages from one node of this daemon to another. */
  readonly #toSelf: RdMessage[] = [];

  constructor(setup: RdSetup) {
    const nodes = this.#nodes;
    const listener = {
      up: (key: string, association: AssociationRef, now: Millis) => {
        for (const node of nodes.values()) node.tunnels.associationUp(key, now);
        this.#measurements.associationUp(key, association, now);
      },
      failed: (key: string, vi: string, code: ErrorCode, now: Millis) => {
        for (const node of nodes.values()) {
          if (node.setup.vi.id === vi) node.tunnels.associationFailed(key, code, now);
        }
        this.#measurements.associationFailed(key, vi, code, now);
      },
      down: (association: AssociationRef, _key: string, replaced: boolean, now: Millis) => {
        for (const node of nodes.values()) node.tunnels.associationDown(association, replaced, now);
        this.#measurements.associationDown(association, now);
      },
      moved: (association: AssociationRef, now: Millis) => {
        for (const node of nodes.values()) node.tunnels.associationMoved(association, now);
      },
      inUse: (association: AssociationRef) => this.inUse(association) || this.#measurements.uses(association),
    };
    this.#associations = new Associations(setup, listener, (output) => this.#emit(output));
    this.#measurements = new Measurements(this.#associations, (output) => this.#emit(output));
  }

  /** Whether a tunnel is bound to the association. */
  inUse(association: AssociationRef): boolean {
    return [...this.#nodes.values()].some((node) => node.tunnels.uses(association));
  }

  handle(input: Input, now: Millis): void {
    this.#dispatch(input, now);
    for (let message = this.#toSelf.shift(); message !== undefined; message = this.#toSelf.shift()) {
      this.#control(SELF, message, this.#checkOfOwn(message), now);
    }
    for (const node of this.#nodes.values()) node.finish();
  }

  poll(): Output | undefined {
    return this.#outputs.shift();
  }

  deadline(): Millis | undefined {
    const never = Number.POSITIVE_INFINITY;
    let least = Math.min(this.#associations.deadline() ?? never, this.#measurements.deadline() ?? never);
    for (const node of this.#nodes.values()) least = Math.min(least, node.deadline() ?? never);
    return Number.isFinite(least) ? (least as Millis) : undefined;
  }

  // For operators.

  tunnels(node: NodeRef): TunnelView[] {
    return this.#nodes.get(node)?.views() ?? [];
  }

  routes(node: NodeRef): RouteView {
    return this.#nodes.get(node)?.routeView() ?? { generation: 0, routes: [] };
  }

  /** Every link pair that the node has on lease. */
  pairs(node: NodeRef): number[] {
    return this.#nodes.get(node)?.leases.all() ?? [];
  }

  /** Those of them that tunnels have. */
  pairsInUse(node: NodeRef): number[] {
    return this.#nodes.get(node)?.leases.inUse() ?? [];
  }

  #dispatch(input: Input, now: Millis): void {
    switch (input.kind) {
      case 'node.open': {
        const emit = (output: Output) => this.#emit(output);
        const shared = { associations: this.#associations, measurements: this.#measurements };
        this.#nodes.set(input.node, new NodeCore(input.node, input.setup, shared, emit, now));
        return;
      }
      case 'node.close':
        this.#nodes.get(input.node)?.close();
        this.#nodes.delete(input.node);
        this.#measurements.forget(input.node);
        return;
      case 'association.started':
        return this.#associations.started(input.endpoint, input.association, now);
      case 'association.up':
        return this.#associations.associationUp(input.association, input.endpoint, input.key, now);
      case 'association.moved':
        return this.#associations.associationMoved(input.association, input.endpoint, now);
      case 'association.down':
        return this.#associations.associationDown(input.association, input.reason, now);
      case 'measured':
        return this.#measurements.measured(input.association, input.rttMs, input.bitsPerSecond, now);
      case 'control':
        return this.#control(input.association, input.message, input.check, now);
      case 'timer':
        this.#associations.timer(now);
        this.#measurements.timer((association) => this.inUse(association) || this.#measurements.uses(association), now);
        for (const node of this.#nodes.values()) node.timer(now);
        return;
      case 'node.update':
      case 'p2pd':
      case 'p2pd.closed':
      case 'p2pd.send':
      case 'leases':
      case 'leases.kept':
      case 'tunnel.broken':
      case 'revoked':
        return this.#toNode(input, now);
    }
  }

  #toNode(input: NodeInput, now: Millis): void {
    // The node may have been closed while its input was on the way.
    const node = this.#nodes.get(input.node);
    if (node === undefined) return;
    switch (input.kind) {
      case 'node.update':
        return node.update(input.contact, input.certificate, input.groups, now);
      case 'p2pd':
        return node.p2pd(input.session, input.message, now);
      case 'p2pd.closed':
        return node.p2pdClosed(input.session);
      case 'p2pd.send':
        return node.tell(input.message);
      case 'leases':
        return node.granted(input.request, input.pairs, input.msLeft, now);
      case 'leases.kept':
        return node.leases.kept(input.pairs, input.msLeft, now);
      case 'tunnel.broken':
        return node.tunnels.broken(input.peer, now);
      case 'revoked':
        return node.tunnels.revoked(input.serials, now);
    }
  }

  #control(association: AssociationRef, message: RdMessage, check: CertificateCheck | undefined, now: Millis): void {
    const node = this.#find(message.vi, message.to);
    if (node === undefined) return this.#answerForNobody(association, message);
    switch (message.t) {
      case 'con_req':
        return node.conReq(message, association, check, now);
      case 'con_resp':
        return node.conResp(message, association, check, now);
      case 'con_ack':
      case 'con_refused':
      case 'release':
      case 'released':
        return node.control(message, association, now);
    }
  }

  #answerForNobody(association: AssociationRef, message: RdMessage): void {
    const { request, vi, to } = message;
    if (message.t === 'con_req') {
      const answer = { request, vi, from: to, to: message.from.node, code: 'NOT_FOUND' } as const;
      this.#emit({ kind: 'control.send', association, message: { t: 'con_refused', ...answer } });
    } else if (message.t === 'release') {
      const answer = { request, vi, from: to, to: message.from, gone: true };
      this.#emit({ kind: 'control.send', association, message: { t: 'released', ...answer } });
    }
  }

  #find(vi: string, id: Id): NodeCore | undefined {
    for (const node of this.#nodes.values()) if (node.setup.id === id && node.setup.vi.id === vi) return node;
    return undefined;
  }

  /** A message from ourselves needs no certificate: the nodes are known. */
  #checkOfOwn(message: RdMessage): CertificateCheck | undefined {
    if (message.t !== 'con_req' && message.t !== 'con_resp') return undefined;
    const node = this.#find(message.vi, message.from.node);
    if (node === undefined) return undefined;
    const { vi, id, name, ipv4, groups } = node.setup;
    return ok({ vi: vi.id, id: formatId(id), name, ipv4, groups });
  }

  #emit(output: Output): void {
    if (output.kind === 'control.send' && output.association === SELF) this.#toSelf.push(output.message);
    else this.#outputs.push(output);
  }
}
