/** One virtual node: its P2P daemon's session, its tunnels, its routes and the image made of them. */
import { type Cidr, idAddress, linkCapacity, parseCidr } from '../../overlay/addresses.ts';
import type { ErrorCode } from '../../overlay/errors.ts';
import { formatId, type Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import { P2PD_RD_VERSION, type ToP2pd, type ToRd } from '../../overlay/messages/p2pd-rd.ts';
import { RD_RD_VERSION, type RdMessage } from '../../overlay/messages/rd-rd.ts';
import type { Associations } from './associations.ts';
import { type ContactInfo, decodeContact, sameBytes } from './contact.ts';
import { type Compiled, compileImage, type ImageSource, type ImageTunnel, sameImage } from './image.ts';
import type {
  AssociationRef,
  CertificateCheck,
  NodeRef,
  NodeSetup,
  Output,
  RouteView,
  SessionRef,
  TunnelPlan,
  TunnelView,
} from './io.ts';
import { blockOf, Leases } from './leases.ts';
import type { ConReq, ConResp } from './letters.ts';
import type { Measurements } from './measurements.ts';
import { RouteTable } from './routes.ts';
import { carriesPackets, describeTunnel, type FarEnd, proofOf, type Tunnel } from './tunnel.ts';
import { Tunnels } from './tunnels.ts';

/** What the nodes of one daemon share. */
export type Shared = { readonly associations: Associations; readonly measurements: Measurements };

export class NodeCore {
  readonly #ref: NodeRef;
  readonly #emit: (output: Output) => void;
  readonly #associations: Associations;
  readonly #measurements: Measurements;
  readonly leases: Leases;
  readonly tunnels: Tunnels;
  readonly #routes: RouteTable;
  #setup: NodeSetup;
  readonly #prefix: Cidr;
  #session: SessionRef | undefined;
  /** False from hello to the first commit after it. */
  #swept = true;
  #published: Compiled | undefined;
  #dirty = true;
  /** Tunnels to remove once no published image names them. */
  readonly #unsets = new Set<Id>();

  constructor(ref: NodeRef, setup: NodeSetup, shared: Shared, emit: (output: Output) => void, now: Millis) {
    const { associations, measurements } = shared;
    this.#ref = ref;
    this.#setup = setup;
    this.#prefix = parseCidr(setup.vi.prefix) as Cidr;
    this.#routes = new RouteTable(setup.id);
    this.#emit = emit;
    this.#associations = associations;
    this.#measurements = measurements;
    const linkPairs = linkCapacity(parseCidr(setup.vi.definition.linkPool) as Cidr);
    const requestPrefix = setup.incarnation.toString(16).padStart(12, '0');
    this.leases =
      setup.vi.definition.links === 'numbered'
        ? new Leases({ pairs: setup.pairs, msLeft: setup.leaseMsLeft, requestPrefix, block: blockOf(linkPairs) }, now)
        : Leases.none(now);
    this.tunnels = new Tunnels({
      setup: () => this.#setup,
      leases: this.leases,
      associations,
      emit,
      tell: (message) => this.tell(message),
      set: (plan) => this.#set(plan),
      unset: (peer) => this.#unset(peer),
      changed: () => {
        this.#dirty = true;
      },
      complain: (peer, code) => emit({ kind: 'complaint', node: ref, peer, code }),
      voided: (peer, code) => this.#emit({ kind: 'tunnel.voided', node: this.#ref, peer, code }),
    });
  }

  get setup(): NodeSetup {
    return this.#setup;
  }

  /**
   * Base addresses or the certificate have changed, and with that perhaps the groups. Of groups and addresses every peer
   * is told; the certificate others ask for in time.
   */
  update(contact: Uint8Array, certificate: Uint8Array, groups: readonly string[], now: Millis): void {
    const before = this.#setup;
    this.#setup = { ...before, contact, certificate, groups };
    const mustTell = !sameGroups(before.groups, groups) || !sameBytes(before.contact, contact);
    if (mustTell) this.tunnels.reconsider(now);
    else if (!sameBytes(before.certificate, certificate)) this.tunnels.introduceAgain(now);
  }

  close(): void {
    this.tunnels.close();
    if (this.#session !== undefined) this.#emit({ kind: 'p2pd.close', session: this.#session });
    this.#session = undefined;
  }

  /** Sends to the P2P daemon; what nobody is there to hear is told anew in `welcome`. */
  tell(message: ToP2pd): void {
    if (this.#session !== undefined) this.#emit({ kind: 'p2pd.send', session: this.#session, message });
  }

  p2pdClosed(session: SessionRef): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#routes.forget();
  }

  p2pd(session: SessionRef, message: ToRd, now: Millis): void {
    if (message.t === 'hello') return this.#hello(session, message);
    if (session !== this.#session) return;
    const node = this.#ref;
    switch (message.t) {
      case 'contact.get': {
        const { contact, incarnation } = this.#setup;
        return this.tell({ t: 'contact', request: message.request, contact, incarnation });
      }
      case 'tunnel.add':
        return this.tunnels.add(message.key, message.contact, message.role, now);
      case 'tunnel.release':
        return this.tunnels.release(message.key, now);
      case 'route.add':
        return this.#routes.add({ after: message.after, until: message.until, to: message.to });
      case 'route.delete':
        return this.#routes.delete(message.after, message.until);
      case 'routes.commit':
        return this.#commit(message.generation, message.count, now);
      case 'measure':
        return this.#measure(message, now);
      case 'ring.report': {
        const { t: _, ...report } = message;
        return this.#emit({ kind: 'ring', node, report });
      }
      case 'bootstrap.get':
        return this.#emit({ kind: 'bootstrap.get', node });
      case 'lookup.answer':
        return this.#emit({ kind: 'lookup.answer', node, answer: message });
      case 'left':
        return this.#emit({ kind: 'left', node });
    }
  }

  conReq(message: ConReq, association: AssociationRef, check: CertificateCheck | undefined, now: Millis): void {
    const introduction = this.#introduce(message, association, check, now);
    if (typeof introduction === 'string') {
      const answer = { request: message.request, vi: message.vi, from: message.to, to: message.from.node };
      const refusal = { t: 'con_refused', ...answer, code: introduction } as const;
      return this.#emit({ kind: 'control.send', association, message: refusal });
    }
    this.tunnels.dialogue.conReq(message, association, introduction.contact, introduction.far, now);
    this.#emit({ kind: 'peer', node: this.#ref, record: introduction.far.record });
  }

  conResp(message: ConResp, association: AssociationRef, check: CertificateCheck | undefined, now: Millis): void {
    const introduction = this.#introduce(message, association, check, now);
    if (typeof introduction === 'string') {
      return this.tunnels.dialogue.answeredByStranger(
        message.from.node,
        message.request,
        introduction,
        association,
        now,
      );
    }
    this.tunnels.dialogue.conResp(message, association, introduction.contact, introduction.far, now);
    this.#emit({ kind: 'peer', node: this.#ref, record: introduction.far.record });
  }

  control(message: Exclude<RdMessage, ConReq | ConResp>, association: AssociationRef, now: Millis): void {
    switch (message.t) {
      case 'con_ack':
        return this.tunnels.dialogue.acknowledged(message.from, message.request, association);
      case 'con_refused':
        return this.tunnels.dialogue.refused(message.from, message.request, message.code, association, now);
      case 'release':
        return this.tunnels.dialogue.peerReleased(message, association, now);
      case 'released':
        return this.tunnels.dialogue.released(message, association, now);
    }
  }

  granted(request: string, pairs: readonly number[] | undefined, msLeft: number, now: Millis): void {
    this.leases.granted(request, pairs, msLeft, now);
    if (pairs !== undefined) this.tunnels.pairsArrived(now);
  }

  deadline(): Millis | undefined {
    const times = [this.leases.deadline(), this.tunnels.deadline()].filter((time) => time !== undefined);
    return times.length === 0 ? undefined : (Math.min(...times) as Millis);
  }

  timer(now: Millis): void {
    this.leases.timer(now);
    this.tunnels.timer(now);
  }

  /** Publishes what has changed: tunnels were made before, and are removed after. */
  finish(): void {
    for (let order = this.leases.poll(); order !== undefined; order = this.leases.poll()) {
      this.#emit({ ...order, node: this.#ref });
    }
    if (!this.#dirty) return;
    this.#dirty = false;
    const source = this.#imageSource();
    const image = compileImage(source, this.#published);
    if (!sameImage(this.#published?.image, image)) this.#emit({ kind: 'publish', node: this.#ref, image });
    this.#published = { source, image };
    for (const peer of this.#unsets) this.#emit({ kind: 'tunnel.unset', node: this.#ref, peer });
    this.#unsets.clear();
  }

  views(): TunnelView[] {
    return [...this.tunnels.all()].map((tunnel) => this.#view(tunnel));
  }

  routeView(): RouteView {
    return { generation: this.#routes.generation, routes: this.#routes.routes };
  }

  #hello(session: SessionRef, hello: ToRd & { t: 'hello' }): void {
    const refusal = this.#refusalOf(hello);
    if (refusal !== undefined) {
      const message = refusal === 'BAD_VERSION' ? 'Another protocol version.' : 'No such virtual node here.';
      this.#emit({ kind: 'p2pd.send', session, message: { t: 'refused', code: refusal, message } });
      return this.#emit({ kind: 'p2pd.close', session });
    }
    if (this.#session !== undefined && this.#session !== session) {
      this.#emit({ kind: 'p2pd.close', session: this.#session });
    }
    this.#session = session;
    this.#swept = false;
    this.#routes.forget();
    this.tunnels.markStale();
    const { vi, id, incarnation, contact, p2pdPort } = this.#setup;
    this.tell({
      t: 'welcome',
      version: P2PD_RD_VERSION,
      vi,
      node: { id, incarnation, contact },
      port: p2pdPort,
      generation: this.#routes.generation,
      tunnels: [...this.tunnels.all()].flatMap((tunnel) => describeTunnel(tunnel, this.#setup) ?? []),
      routes: [...this.#routes.routes],
    });
  }

  #refusalOf(hello: ToRd & { t: 'hello' }): ErrorCode | undefined {
    if (hello.version !== P2PD_RD_VERSION) return 'BAD_VERSION';
    return hello.vi === this.#setup.vi.id && hello.node === this.#setup.id ? undefined : 'NOT_FOUND';
  }

  #commit(generation: number, count: number, now: Millis): void {
    const committed = this.#routes.commit(generation, count);
    if (!committed.ok) return this.tell({ t: 'routes.refused', generation, code: committed.code });
    this.#dirty = true;
    this.tell({ t: 'routes.committed', generation });
    if (this.#swept) return;
    this.#swept = true;
    this.tunnels.sweep(now);
  }

  #measure({ request, target, what }: ToRd & { t: 'measure' }, now: Millis): void {
    const answer = (message: ToP2pd): void => this.tell(message);
    const question = { node: this.#ref, request, capacity: what === 'bandwidth', answer };
    const unknown = { t: 'measured', request, rttMs: null, bitsPerSecond: null } as const;
    if ('key' in target) {
      const tunnel = this.tunnels.get(target.key);
      if (tunnel === undefined) return answer({ ...unknown, error: 'NOT_FOUND' });
      const { contact, association } = tunnel;
      return this.#measurements.ask(question, { contact, association, serverName: undefined }, now);
    }
    const contact = decodeContact(target.contact);
    if (contact === undefined) return answer({ ...unknown, error: 'BAD_MESSAGE' });
    const serverName = this.#setup.vi.id;
    return this.#measurements.ask(question, { contact, association: undefined, serverName }, now);
  }

  /** Who sent a con_req or con_resp, proven; or why that is not so. */
  #introduce(
    message: ConReq | ConResp,
    association: AssociationRef,
    check: CertificateCheck | undefined,
    now: Millis,
  ): { contact: ContactInfo; far: FarEnd } | ErrorCode {
    const { from } = message;
    if (message.t === 'con_req' && message.version !== RD_RD_VERSION) return 'BAD_VERSION';
    if (check === undefined) return 'CERTIFICATE_REFUSED';
    if (!check.ok) return check.code;
    const claims = check.value;
    if (claims.vi !== this.#setup.vi.id || claims.id !== formatId(from.node)) return 'CERTIFICATE_REFUSED';
    // What counts is the certificate; a daemon that says something else of its node is not to be trusted with it.
    if (from.groups !== null && !sameGroups(from.groups, claims.groups)) {
      this.#emit({ kind: 'complaint', node: this.#ref, peer: from.node, code: 'CERTIFICATE_REFUSED' });
      return 'CERTIFICATE_REFUSED';
    }
    const contact = decodeContact(from.contact);
    if (contact === undefined) return 'BAD_MESSAGE';
    if (contact.node !== from.node || contact.key !== this.#associations.keyOf(association)) return 'PEER_MISMATCH';
    const record = { id: from.node, incarnation: from.incarnation, contact: from.contact };
    const addresses = { ipv4: claims.ipv4, ipv6: idAddress(this.#prefix, from.node) };
    const { name, groups } = claims;
    const certificate = proofOf(claims, now);
    return { contact, far: { record, name, ...addresses, p2pdPort: from.p2pdPort, groups, certificate } };
  }

  #set(plan: TunnelPlan): void {
    this.#dirty = true;
    this.#unsets.delete(plan.peer);
    this.#emit({ kind: 'tunnel.set', node: this.#ref, plan });
  }

  #unset(peer: Id): void {
    this.#dirty = true;
    this.#unsets.add(peer);
  }

  #imageSource(): ImageSource {
    const { vi, id, ipv4, ipv6 } = this.#setup;
    const tunnels = [...this.tunnels.all()].flatMap((tunnel) => imageTunnelOf(tunnel) ?? []);
    const prefixes = [vi.prefix, vi.definition.ipv4Pool];
    const { routes, formers } = this.#routes;
    return { id, ipv4, ipv6, prefixes, routes, formers, tunnels };
  }

  #view(tunnel: Tunnel): TunnelView {
    const { peer, far, link, phase, association } = tunnel;
    return {
      peer,
      name: far?.name ?? '',
      ipv4: far?.ipv4 ?? '',
      groups: far?.groups ?? [],
      addresses: far === undefined ? null : { ipv4: far.ipv4, ipv6: far.ipv6 },
      state: carriesPackets(tunnel) ? 'up' : phase === 'releasing' ? 'releasing' : 'setting-up',
      association,
      endpoint: association === undefined ? null : (this.#associations.endpointOf(association) ?? null),
      local: link?.local.ipv4 ?? this.#setup.ipv4,
      remote: link?.remote.ipv4 ?? far?.ipv4 ?? '',
      link: link ?? null,
      security: tunnel.security ?? null,
      held: tunnel.hold !== 'none',
      heldByPeer: tunnel.remoteHold,
      since: tunnel.since,
      pair: tunnel.pair ?? null,
    };
  }
}

function imageTunnelOf(tunnel: Tunnel): ImageTunnel | undefined {
  const { peer, link, far, phase, placed, ready } = tunnel;
  if (far === undefined) return undefined;
  const parts = { peer, link, stable: far };
  // Before it is ready, the P2P daemon sends no range there.
  if (carriesPackets(tunnel)) return { ...parts, use: !ready ? 'link' : phase === 'lost' ? 'ranges' : 'all' };
  return phase === 'releasing' && placed ? { ...parts, use: 'link' } : undefined;
}

function sameGroups(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((group) => b.includes(group));
}
