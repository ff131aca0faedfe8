/** The tunnels of one virtual node: what its P2P daemon wants, what the peers say, and what the data plane shall have. */
import type { ErrorCode } from '../../overlay/errors.ts';
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { ANSWER_HOLD_MS, type ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import type { RdMessage } from '../../overlay/messages/rd-rd.ts';
import { Agreement } from './agreement.ts';
import { Asks } from './asks.ts';
import type { Associations } from './associations.ts';
import { type ContactInfo, decodeContact } from './contact.ts';
import type { AssociationRef, NodeSetup, Output, TunnelPlan } from './io.ts';
import type { Leases } from './leases.ts';
import { type ConReq, type ConResp, Letters, type Release } from './letters.ts';
import { GIVE_UP_MS, REBIND_MS } from './limits.ts';
import { Pairs } from './pairs.ts';
import type { Security } from './security.ts';
import {
  askingAgain,
  carriesPackets,
  createTunnel,
  describeTunnel,
  type FarEnd,
  sameFarEnd,
  type Tunnel,
} from './tunnel.ts';

export type TunnelHost = {
  readonly setup: () => NodeSetup;
  readonly leases: Leases;
  readonly associations: Associations;
  readonly emit: (output: Output) => void;
  readonly tell: (message: ToP2pd) => void;
  readonly set: (plan: TunnelPlan) => void;
  readonly unset: (peer: Id) => void;
  /** The peer was refused for a reason that its operator or ours should hear of. */
  readonly complain: (peer: Id, code: ErrorCode) => void;
  /** A tunnel has ended because of its peer's certificate. */
  readonly voided: (peer: Id, code: ErrorCode) => void;
};

/** Codes with which a peer says that it has ended the tunnel. */
const GONE: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'CERTIFICATE_REVOKED', 'CERTIFICATE_REFUSED']);

export class Tunnels {
  readonly #host: TunnelHost;
  readonly #tunnels = new Map<Id, Tunnel>();
  readonly #pairs: Pairs;
  readonly #letters: Letters;
  readonly #asks: Asks;
  readonly #agreement: Agreement;

  constructor(host: TunnelHost) {
    this.#host = host;
    const { id, vi } = host.setup();
    this.#pairs = new Pairs(id, vi, host.leases, () => this.#tunnels.values());
    this.#letters = new Letters(host.setup, host.emit);
    this.#agreement = new Agreement(host.setup, host.associations);
    this.#asks = new Asks(this.#letters, (tunnel) => this.#agreement.demands(tunnel));
  }

  all(): IterableIterator<Tunnel> {
    return this.#tunnels.values();
  }

  get(peer: Id): Tunnel | undefined {
    return this.#tunnels.get(peer);
  }

  uses(association: AssociationRef): boolean {
    for (const tunnel of this.#tunnels.values()) if (tunnel.association === association) return true;
    return false;
  }

  secureWith(key: string): boolean {
    for (const { contact, security } of this.#tunnels.values()) {
      if (contact.key === key && security?.secure === true) return true;
    }
    return false;
  }

  // What the P2P daemon asks.

  add(peer: Id, contactBytes: Uint8Array, role: 'neighbour' | 'answer', now: Millis): void {
    const contact = decodeContact(contactBytes);
    if (contact === undefined) return this.#refuse(peer, 'BAD_MESSAGE');
    if (peer === this.#host.setup().id) return this.#refuse(peer, 'BAD_ARGUMENT');
    if (contact.node !== peer) return this.#refuse(peer, 'PEER_MISMATCH');
    let tunnel = this.#tunnels.get(peer);
    if (tunnel === undefined) {
      if (this.#isFull()) return this.#refuse(peer, 'LIMIT_REACHED');
      tunnel = createTunnel(peer, contact, now);
      this.#tunnels.set(peer, tunnel);
    }
    this.#takeHold(tunnel, role, now);
    if (carriesPackets(tunnel)) {
      this.#tellUp(tunnel);
      this.#announce(tunnel, now);
      return;
    }
    if (tunnel.phase === 'releasing') {
      // A pair of the peer's leases may name another tunnel of the peer by now.
      if (!tunnel.ours) tunnel.pair = undefined;
      tunnel.phase = 'setting-up';
      tunnel.ask = undefined;
      tunnel.security = undefined;
      tunnel.contact = contact;
    } else if (tunnel.association === undefined) {
      tunnel.contact = contact;
    }
    this.#proceed(tunnel, now);
  }

  release(peer: Id, now: Millis): void {
    const tunnel = this.#tunnels.get(peer);
    if (tunnel === undefined || tunnel.hold === 'none') return;
    this.#dropHold(tunnel, now);
  }

  /** Marks the holds of an earlier P2P daemon; `sweep` drops those that were not taken again. */
  markStale(): void {
    for (const tunnel of this.#tunnels.values()) tunnel.stale = tunnel.hold !== 'none';
  }

  sweep(now: Millis): void {
    for (const tunnel of this.#tunnels.values()) if (tunnel.stale) this.#dropHold(tunnel, now);
  }

  // What other resource daemons say. Certificates have been checked.

  conReq(message: ConReq, association: AssociationRef, contact: ContactInfo, far: FarEnd, now: Millis): void {
    const { from, request } = message;
    const order = this.#asks.note(from.node, contact.key, from.incarnation, request, now);
    if (order === 'older') return;
    if (order === 'earlier-life') return this.#letters.refuse(message, 'CONFLICT', association);
    const security = this.#agreement.toRequest(message, { association, contact, far });
    if (security === undefined) {
      this.#host.complain(from.node, 'SECURITY_MISMATCH');
      return this.#letters.refuse(message, 'SECURITY_MISMATCH', association);
    }
    let tunnel = this.#tunnels.get(from.node);
    if (tunnel === undefined) {
      if (this.#isFull()) return this.#letters.refuse(message, 'LIMIT_REACHED', association);
      tunnel = createTunnel(from.node, contact, now);
      this.#tunnels.set(from.node, tunnel);
    } else if (tunnel.far !== undefined && tunnel.far.record.incarnation > from.incarnation) {
      return this.#letters.refuse(message, 'CONFLICT', association);
    } else if (tunnel.phase === 'up' && tunnel.contact.key !== contact.key) {
      // An id belongs to the key that holds it now; another one with a valid certificate waits until that is gone.
      return this.#letters.refuse(message, 'CONFLICT', association);
    }
    const refusal = this.#pairs.agree(tunnel, message.pair, now);
    if (refusal !== undefined) {
      if (tunnel.phase === 'setting-up' && tunnel.hold === 'none') this.#forget(tunnel, now);
      return this.#letters.refuse(message, refusal, association);
    }
    if ((tunnel.far?.record.incarnation ?? from.incarnation) < from.incarnation) {
      // A new life of the peer knows nothing of us.
      if (tunnel.ask?.kind === 'release') tunnel.ask = undefined;
      tunnel.confirmed = tunnel.ask === undefined ? false : undefined;
    }
    tunnel.remoteHold = true;
    tunnel.contact = contact;
    this.#becomeUp(tunnel, association, far, security);
    this.#letters.accept(tunnel, request, association);
    this.#announce(tunnel, now);
  }

  conResp(message: ConResp, association: AssociationRef, contact: ContactInfo, far: FarEnd, now: Millis): void {
    const tunnel = this.#asked(message.from.node, 'con_req', message.request);
    if (tunnel === undefined) return;
    const known = tunnel.far?.record.incarnation ?? message.from.incarnation;
    if (known > message.from.incarnation) return;
    const isNews = tunnel.ask?.peerRequest === this.#asks.latestOf(tunnel.peer, contact.key);
    const wasDemanded = tunnel.ask?.secure === true;
    // What a later con_req of the peer led to stands: the answer may be older than that.
    const agreed = isNews ? undefined : tunnel.security;
    const security = agreed ?? this.#agreement.toAnswer(message, wasDemanded, { association, contact, far });
    if (security === undefined) {
      this.#host.complain(tunnel.peer, 'SECURITY_MISMATCH');
      return this.#fail(tunnel, 'SECURITY_MISMATCH', now);
    }
    const refusal = this.#pairs.adopt(tunnel, message.pair, now);
    if (refusal !== undefined) return this.#fail(tunnel, refusal, now);
    if (known < message.from.incarnation) tunnel.remoteHold = false;
    else if (tunnel.phase === 'lost' && isNews) tunnel.remoteHold = message.held;
    tunnel.ask = undefined;
    tunnel.confirmed = true;
    tunnel.contact = contact;
    this.#becomeUp(tunnel, association, far, security);
    // Who the peer is has come out by its answer: it may be on our list, or not be on it. And what the answer says may be
    // newer than what we went by, for all we know.
    const isOpen = this.#agreement.demands(tunnel) !== wasDemanded || message.secure !== security.secure;
    if (isOpen) this.#asks.start(tunnel, 'con_req', now);
    else this.#announce(tunnel, now);
  }

  /** Our con_req was answered by somebody whose certificate does not fit. */
  answeredByStranger(peer: Id, request: number, code: ErrorCode, association: AssociationRef, now: Millis): void {
    const tunnel = this.#asked(peer, 'con_req', request);
    if (tunnel?.association === association) this.#fail(tunnel, code, now);
  }

  refused(peer: Id, request: number, code: ErrorCode, association: AssociationRef, now: Millis): void {
    const tunnel = this.#tunnels.get(peer);
    if (tunnel === undefined || this.#host.associations.keyOf(association) !== tunnel.contact.key) return;
    if (request === 0 && GONE.has(code)) {
      this.#die(tunnel, now);
    } else if (tunnel.ask?.kind === 'con_req' && tunnel.ask.request === request) {
      // The peer keeps nothing of a refused request, so there is nothing to release.
      tunnel.ask = undefined;
      tunnel.confirmed = false;
      this.#fail(tunnel, code === 'NOT_FOUND' ? 'PEER_UNREACHABLE' : code, now);
    }
  }

  peerReleased(message: Release, association: AssociationRef, now: Millis): void {
    const key = this.#host.associations.keyOf(association);
    if (key === undefined) return;
    const order = this.#asks.note(message.from, key, message.incarnation, message.request, now);
    if (order === 'older' || order === 'earlier-life') return;
    const tunnel = this.#tunnels.get(message.from);
    const isPeer = tunnel !== undefined && tunnel.contact.key === key;
    if (isPeer) tunnel.remoteHold = false;
    const gone = !isPeer || tunnel.hold === 'none';
    this.#letters.confirmRelease(message, gone, association);
    if (isPeer && gone && carriesPackets(tunnel)) this.#end(tunnel, now);
  }

  released(message: RdMessage & { t: 'released' }, association: AssociationRef, now: Millis): void {
    const tunnel = this.#asked(message.from, 'release', message.request);
    if (tunnel === undefined || this.#host.associations.keyOf(association) !== tunnel.contact.key) return;
    const isNews = tunnel.ask?.peerRequest === this.#asks.latestOf(tunnel.peer, tunnel.contact.key);
    tunnel.ask = undefined;
    tunnel.confirmed = false;
    const { far } = tunnel;
    const stands = isNews && !message.gone && far !== undefined;
    if (stands && tunnel.phase !== 'up') {
      // The peer counts on it, and had told us so before.
      tunnel.remoteHold = true;
      this.#becomeUp(tunnel, association, far, tunnel.security);
    } else if (tunnel.phase === 'releasing') {
      return this.#forget(tunnel, now);
    }
    this.#announce(tunnel, now);
  }

  // What becomes of certificates.

  /** Ends the tunnels to the nodes of these certificates. */
  revoked(serials: ReadonlySet<string>, now: Millis): void {
    for (const tunnel of this.#tunnels.values()) {
      const serial = tunnel.far?.certificate?.serial;
      if (serial !== undefined && serials.has(serial)) this.#void(tunnel, 'CERTIFICATE_REVOKED', now);
    }
  }

  /** Our own certificate is a new one: the peers of tunnels that we hold are shown it, others ask for it in time. */
  introduceAgain(now: Millis): void {
    for (const tunnel of this.#tunnels.values()) if (tunnel.phase === 'up') this.#introduceTo(tunnel, now);
  }

  /** Repeats the con_req of a tunnel that we hold: each end shows its certificate. */
  #introduceTo(tunnel: Tunnel, now: Millis): void {
    // One that is under way may have been answered already, with what we had before.
    if (tunnel.hold !== 'none' && tunnel.ask?.kind !== 'release') this.#asks.start(tunnel, 'con_req', now);
  }

  #watchProof(tunnel: Tunnel, now: Millis): void {
    const proof = tunnel.far?.certificate;
    if (tunnel.far === undefined || proof === undefined) return;
    if (proof.until <= now) return this.#void(tunnel, 'CERTIFICATE_REFUSED', now);
    if (proof.askAt > now) return;
    tunnel.far = { ...tunnel.far, certificate: askingAgain(proof, now) };
    if (tunnel.phase === 'up') this.#introduceTo(tunnel, now);
  }

  #void(tunnel: Tunnel, code: ErrorCode, now: Millis): void {
    this.#letters.sayGone(tunnel, code);
    this.#host.voided(tunnel.peer, code);
    this.#die(tunnel, now);
  }

  // What becomes of associations and of the data plane.

  associationUp(key: string, now: Millis): void {
    for (const tunnel of this.#tunnels.values()) {
      if (tunnel.contact.key === key && tunnel.association === undefined) this.#rebind(tunnel, now);
    }
  }

  associationFailed(key: string, code: ErrorCode, now: Millis): void {
    for (const tunnel of this.#tunnels.values()) {
      if (tunnel.contact.key !== key || tunnel.association !== undefined) continue;
      if (tunnel.phase === 'setting-up') this.#fail(tunnel, code, now);
    }
  }

  associationDown(association: AssociationRef, replaced: boolean, now: Millis): void {
    for (const tunnel of this.#tunnels.values()) {
      if (tunnel.association !== association) continue;
      if (tunnel.phase === 'releasing') this.#forget(tunnel, now);
      else if (tunnel.phase !== 'setting-up' && !replaced) this.#die(tunnel, now);
      else {
        tunnel.association = undefined;
        if (carriesPackets(tunnel)) this.#loosen(tunnel, now);
        this.#rebind(tunnel, now);
      }
    }
  }

  associationMoved(association: AssociationRef, now: Millis): void {
    for (const tunnel of this.#tunnels.values()) {
      if (tunnel.association !== association || !carriesPackets(tunnel)) continue;
      this.#setPlan(tunnel);
      // The new address may be on the list of secure peers.
      if (this.#agreement.tightened(tunnel) !== undefined) this.#askAnew(tunnel, now);
    }
  }

  /** This end's groups have changed: all tunnels are agreed on anew, under the new certificate. */
  reconsider(now: Millis): void {
    for (const tunnel of this.#tunnels.values()) {
      if (carriesPackets(tunnel) || tunnel.ask?.kind === 'con_req') this.#askAnew(tunnel, now);
    }
  }

  broken(peer: Id, now: Millis): void {
    const tunnel = this.#tunnels.get(peer);
    if (tunnel === undefined || !carriesPackets(tunnel)) return;
    this.#host.tell({ t: 'tunnel.down', key: peer, reason: 'failed' });
    this.#host.unset(peer);
    this.#letters.sayGone(tunnel);
    this.#forget(tunnel, now);
  }

  pairsArrived(now: Millis): void {
    for (const tunnel of this.#tunnels.values()) {
      if (tunnel.phase === 'setting-up' && tunnel.pair === undefined) this.#proceed(tunnel, now);
    }
  }

  /** The node closes: peers need not wait until it is silent. */
  close(): void {
    for (const tunnel of this.#tunnels.values()) this.#letters.sayGone(tunnel);
  }

  deadline(): Millis | undefined {
    let least = Number.POSITIVE_INFINITY;
    for (const { ask, until, answerUntil, far } of this.#tunnels.values()) {
      const proof = far?.certificate;
      if (proof !== undefined) least = Math.min(least, proof.until, proof.askAt);
      if (ask !== undefined) least = Math.min(least, ask.nextAt, ask.giveUpAt);
      if (until !== undefined) least = Math.min(least, until);
      if (answerUntil !== undefined) least = Math.min(least, answerUntil);
    }
    return Number.isFinite(least) ? (least as Millis) : undefined;
  }

  timer(now: Millis): void {
    for (const tunnel of this.#tunnels.values()) {
      this.#watchProof(tunnel, now);
      if (!this.#tunnels.has(tunnel.peer)) continue;
      if (tunnel.answerUntil !== undefined && tunnel.answerUntil <= now) this.#dropHold(tunnel, now);
      if (tunnel.until !== undefined && tunnel.until <= now) this.#outOfTime(tunnel, now);
      const { ask } = tunnel;
      if (ask !== undefined && ask.giveUpAt <= now) this.#fail(tunnel, 'PEER_UNREACHABLE', now);
      else if (ask !== undefined && ask.nextAt <= now) this.#asks.send(tunnel, ask, now);
    }
  }

  // Holds.

  #takeHold(tunnel: Tunnel, role: 'neighbour' | 'answer', now: Millis): void {
    tunnel.stale = false;
    if (role === 'answer' && tunnel.hold === 'neighbour') return;
    tunnel.hold = role;
    tunnel.answerUntil = role === 'answer' ? after(now, ANSWER_HOLD_MS) : undefined;
  }

  #dropHold(tunnel: Tunnel, now: Millis): void {
    tunnel.hold = 'none';
    tunnel.stale = false;
    tunnel.answerUntil = undefined;
    if (tunnel.phase === 'setting-up') this.#leave(tunnel, now);
    else if (tunnel.phase === 'up' && !tunnel.remoteHold) this.#end(tunnel, now);
    else if (tunnel.phase !== 'releasing') this.#announce(tunnel, now);
  }

  /** Tells the peer of our hold, unless it knows. */
  #announce(tunnel: Tunnel, now: Millis): void {
    const holds = tunnel.hold !== 'none';
    const kind = holds ? 'con_req' : 'release';
    if (tunnel.confirmed === holds) tunnel.ask = undefined;
    else if (tunnel.ask?.kind !== kind) this.#asks.start(tunnel, kind, now);
  }

  // Setting up.

  /** Goes on with setting up as far as association and pair allow. */
  #proceed(tunnel: Tunnel, now: Millis): void {
    tunnel.association ??= this.#host.associations.find(tunnel.contact.key);
    if (tunnel.association === undefined) {
      this.#host.associations.want(tunnel.contact, this.#host.setup().vi.id, now);
      return;
    }
    if (!this.#pairs.provide(tunnel, now)) {
      tunnel.until ??= after(now, GIVE_UP_MS);
      return;
    }
    tunnel.until = undefined;
    const { ask } = tunnel;
    const isAsked = ask?.kind === 'con_req' && ask.secure === this.#agreement.demands(tunnel);
    if (!isAsked) this.#asks.start(tunnel, 'con_req', now);
    else this.#asks.send(tunnel, ask, now);
  }

  #becomeUp(tunnel: Tunnel, association: AssociationRef, far: FarEnd, security: Security | undefined): void {
    const before = tunnel.far;
    const wasUp = carriesPackets(tunnel);
    const link = this.#pairs.linkOf(tunnel);
    const changed = !wasUp || !sameFarEnd(before, far) || link?.local.ipv6 !== tunnel.link?.local.ipv6;
    const moved = tunnel.association !== association || tunnel.security?.secure !== security?.secure;
    tunnel.phase = 'up';
    tunnel.until = undefined;
    tunnel.association = association;
    tunnel.far = far;
    tunnel.link = link;
    tunnel.security = security;
    if (changed || moved) this.#setPlan(tunnel);
    if (!changed) return;
    this.#tellUp(tunnel);
  }

  #setPlan(tunnel: Tunnel): void {
    const { peer, association, link, security } = tunnel;
    const endpoint = association === undefined ? undefined : this.#host.associations.endpointOf(association);
    // Without an association the data plane keeps what it has: a secure tunnel is bound to one that is gone, and drops.
    if (association === undefined || endpoint === undefined || security === undefined) return;
    this.#host.set({ peer, association, endpoint, link, ...security });
  }

  /** Agrees with the peer anew. More security takes effect at once, less when the peer has answered. */
  #askAnew(tunnel: Tunnel, now: Millis): void {
    const tightened = this.#agreement.tightened(tunnel);
    if (carriesPackets(tunnel) && tightened !== undefined) {
      tunnel.security = tightened;
      this.#setPlan(tunnel);
    }
    // Only who holds a tunnel may ask for it: where nothing does, we hold it for a moment.
    if (tunnel.hold === 'none') this.#takeHold(tunnel, 'answer', now);
    this.#asks.start(tunnel, 'con_req', now);
  }

  /** The association is gone and its peer perhaps not: what each end holds is told anew. */
  #loosen(tunnel: Tunnel, now: Millis): void {
    tunnel.phase = 'lost';
    tunnel.until = after(now, REBIND_MS);
    tunnel.remoteHold = false;
    tunnel.confirmed = undefined;
    tunnel.ask = undefined;
  }

  #rebind(tunnel: Tunnel, now: Millis): void {
    if (tunnel.phase === 'setting-up') return this.#proceed(tunnel, now);
    tunnel.association = this.#host.associations.find(tunnel.contact.key);
    if (tunnel.association !== undefined) {
      // The other association may lead to an address that is on the list of secure peers.
      if (tunnel.security !== undefined && this.#agreement.tightened(tunnel) !== undefined) {
        return this.#askAnew(tunnel, now);
      }
      this.#setPlan(tunnel);
      this.#announce(tunnel, now);
    } else if (tunnel.hold !== 'none') {
      this.#host.associations.want(tunnel.contact, this.#host.setup().vi.id, now);
    }
  }

  // Ends.

  /** Nobody holds it any more: packets stop, and the peer is told. */
  #end(tunnel: Tunnel, now: Millis): void {
    this.#host.tell({ t: 'tunnel.down', key: tunnel.peer, reason: 'released' });
    this.#host.unset(tunnel.peer);
    this.#leave(tunnel, now);
  }

  /** Keeps the tunnel, without packets, until the peer has heard that we do not hold it. */
  #leave(tunnel: Tunnel, now: Millis): void {
    tunnel.hold = 'none';
    tunnel.answerUntil = undefined;
    tunnel.until = undefined;
    if (tunnel.confirmed === false || tunnel.association === undefined) return this.#forget(tunnel, now);
    tunnel.phase = 'releasing';
    if (tunnel.ask?.kind !== 'release') this.#asks.start(tunnel, 'release', now);
  }

  #fail(tunnel: Tunnel, code: ErrorCode, now: Millis): void {
    if (carriesPackets(tunnel)) {
      this.#host.tell({ t: 'tunnel.down', key: tunnel.peer, reason: 'peer-dead' });
      this.#host.unset(tunnel.peer);
    } else {
      this.#refuse(tunnel.peer, code);
    }
    tunnel.remoteHold = false;
    this.#leave(tunnel, now);
  }

  #die(tunnel: Tunnel, now: Millis): void {
    if (carriesPackets(tunnel)) {
      this.#host.tell({ t: 'tunnel.down', key: tunnel.peer, reason: 'peer-dead' });
      this.#host.unset(tunnel.peer);
    } else if (tunnel.phase === 'setting-up') {
      this.#refuse(tunnel.peer, 'PEER_UNREACHABLE');
    }
    this.#forget(tunnel, now);
  }

  #forget(tunnel: Tunnel, now: Millis): void {
    this.#pairs.drop(tunnel, now);
    this.#tunnels.delete(tunnel.peer);
  }

  #outOfTime(tunnel: Tunnel, now: Millis): void {
    tunnel.until = undefined;
    if (tunnel.phase === 'lost') this.#fail(tunnel, 'PEER_UNREACHABLE', now);
    else if (tunnel.phase === 'setting-up') this.#fail(tunnel, 'NO_ADDRESS_PAIR', now);
  }

  // Messages.

  #asked(peer: Id, kind: 'con_req' | 'release', request: number): Tunnel | undefined {
    const tunnel = this.#tunnels.get(peer);
    return tunnel?.ask?.kind === kind && tunnel.ask.request === request ? tunnel : undefined;
  }

  #tellUp(tunnel: Tunnel): void {
    const view = describeTunnel(tunnel, this.#host.setup());
    if (view !== undefined) this.#host.tell({ t: 'tunnel.up', tunnel: view });
  }

  #refuse(peer: Id, code: ErrorCode): void {
    this.#host.tell({ t: 'failed', key: peer, code });
  }

  #isFull(): boolean {
    return this.#tunnels.size >= this.#host.setup().vi.definition.tunnelsMax;
  }
}
