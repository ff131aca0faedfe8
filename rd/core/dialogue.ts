/** What other resource daemons say about the tunnels of one node, and how it is answered. Certificates have been checked. */
import type { ErrorCode } from '../../overlay/errors.ts';
import type { Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import type { RdMessage } from '../../overlay/messages/rd-rd.ts';
import type { ContactInfo } from './contact.ts';
import type { AssociationRef } from './io.ts';
import type { ConReq, ConResp, Release } from './letters.ts';
import type { Lifecycle, TunnelParts } from './lifecycle.ts';
import { carriesPackets, type FarEnd, type Tunnel } from './tunnel.ts';

/** Codes with which a peer says that it has ended the tunnel. */
const GONE: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'CERTIFICATE_REVOKED', 'CERTIFICATE_REFUSED']);

export class Dialogue {
  readonly #parts: TunnelParts;
  readonly #life: Lifecycle;

  constructor(parts: TunnelParts, life: Lifecycle) {
    this.#parts = parts;
    this.#life = life;
  }

  conReq(message: ConReq, association: AssociationRef, contact: ContactInfo, far: FarEnd, now: Millis): void {
    const { host, table, pairs, letters, asks, agreement } = this.#parts;
    const { from, request } = message;
    const order = asks.note(from.node, contact.key, from.incarnation, request, now);
    if (order === 'older') return;
    if (order === 'earlier-life') return letters.refuse(message, 'CONFLICT', association);
    const known = table.get(from.node);
    const way = this.#wayOf(known, association, far);
    const security = agreement.toRequest(message, { association: way, contact, far });
    if (security === undefined) {
      host.complain(from.node, 'SECURITY_MISMATCH');
      return letters.refuse(message, 'SECURITY_MISMATCH', association);
    }
    if (known?.far !== undefined && known.far.record.incarnation > from.incarnation) {
      return letters.refuse(message, 'CONFLICT', association);
    }
    // An id belongs to the key that holds it now; another one with a valid certificate waits until that is gone.
    if (known?.phase === 'up' && known.contact.key !== contact.key) {
      return letters.refuse(message, 'CONFLICT', association);
    }
    const tunnel = known ?? table.make(from.node, contact, 'peer', now);
    if (tunnel === undefined) return letters.refuse(message, 'LIMIT_REACHED', association);
    const refusal = pairs.agree(tunnel, message.pair, now);
    if (refusal !== undefined) {
      if (tunnel.phase === 'setting-up' && tunnel.hold === 'none') this.#life.forget(tunnel, now);
      return letters.refuse(message, refusal, association);
    }
    if ((tunnel.far?.record.incarnation ?? from.incarnation) < from.incarnation) {
      // A new life of the peer knows nothing of us.
      if (tunnel.ask?.kind === 'release') tunnel.ask = undefined;
      tunnel.confirmed = tunnel.ask === undefined ? false : undefined;
    }
    tunnel.remoteHold = true;
    tunnel.contact = contact;
    this.#life.becomeUp(tunnel, way, far, security, request, now);
    letters.accept(tunnel, request, way);
    this.#life.announce(tunnel, now);
  }

  conResp(message: ConResp, association: AssociationRef, contact: ContactInfo, far: FarEnd, now: Millis): void {
    const { host, pairs, letters, asks, agreement } = this.#parts;
    const tunnel = this.#asked(message.from.node, 'con_req', message.request);
    if (tunnel === undefined) return;
    const known = tunnel.far?.record.incarnation ?? message.from.incarnation;
    if (known > message.from.incarnation) return;
    const isNews = tunnel.ask?.peerLatest === asks.latestOf(tunnel.peer, contact.key);
    const wasDemanded = tunnel.ask?.secure === true;
    // What a later con_req of the peer led to stands: the answer may be older than that.
    const agreed = isNews ? undefined : tunnel.security;
    const way = this.#wayOf(tunnel, association, far, isNews);
    const security = agreed ?? agreement.toAnswer(message, wasDemanded, { association: way, contact, far });
    if (security === undefined) {
      host.complain(tunnel.peer, 'SECURITY_MISMATCH');
      return this.#life.fail(tunnel, 'SECURITY_MISMATCH', now);
    }
    // So does the pair: where both had asked, each would take the one that the other has just given up.
    const isPairOpen = isNews || tunnel.pair === undefined;
    const refusal = isPairOpen ? pairs.adopt(tunnel, message.pair, now) : undefined;
    if (refusal !== undefined) return this.#life.fail(tunnel, refusal, now);
    if (isNews) tunnel.remoteHold = message.held;
    else if (known < message.from.incarnation) tunnel.remoteHold = false;
    tunnel.ask = undefined;
    tunnel.confirmed = true;
    tunnel.contact = contact;
    this.#life.becomeUp(tunnel, way, far, security, undefined, now);
    letters.acknowledge(message, association);
    // Who the peer is has come out by its answer: it may be on our list, or not be on it. And what the answer says may be
    // newer than what we went by, for all we know; the peer may be bound to where it answered.
    const isOpen =
      agreement.demands(tunnel) !== wasDemanded ||
      message.secure !== security.secure ||
      message.pair !== tunnel.pair ||
      way !== association;
    if (isOpen) asks.start(tunnel, 'con_req', now);
    else this.#life.announce(tunnel, now);
  }

  acknowledged(peer: Id, request: number, association: AssociationRef): void {
    const { host, table } = this.#parts;
    const tunnel = table.get(peer);
    if (tunnel === undefined || host.associations.keyOf(association) !== tunnel.contact.key) return;
    if (tunnel.ackDue !== undefined && request >= tunnel.ackDue.request) this.#life.becomeReady(tunnel);
  }

  /** Our con_req was answered by somebody whose certificate does not fit. */
  answeredByStranger(peer: Id, request: number, code: ErrorCode, association: AssociationRef, now: Millis): void {
    const tunnel = this.#asked(peer, 'con_req', request);
    if (tunnel?.association === association) this.#life.fail(tunnel, code, now);
  }

  refused(peer: Id, request: number, code: ErrorCode, association: AssociationRef, now: Millis): void {
    const { host, table } = this.#parts;
    const tunnel = table.get(peer);
    if (tunnel === undefined || host.associations.keyOf(association) !== tunnel.contact.key) return;
    if (request === 0 && GONE.has(code)) {
      this.#life.die(tunnel, now);
    } else if (tunnel.ask?.kind === 'con_req' && tunnel.ask.request === request) {
      // The peer keeps nothing of a refused request, so there is nothing to release.
      tunnel.ask = undefined;
      tunnel.confirmed = false;
      this.#life.fail(tunnel, code === 'NOT_FOUND' ? 'PEER_UNREACHABLE' : code, now);
    }
  }

  peerReleased(message: Release, association: AssociationRef, now: Millis): void {
    const { host, table, letters, asks } = this.#parts;
    const key = host.associations.keyOf(association);
    if (key === undefined) return;
    const order = asks.note(message.from, key, message.incarnation, message.request, now);
    if (order === 'older' || order === 'earlier-life') return;
    const tunnel = table.get(message.from);
    const isPeer = tunnel !== undefined && tunnel.contact.key === key;
    if (isPeer) tunnel.remoteHold = false;
    const gone = !isPeer || tunnel.hold === 'none';
    letters.confirmRelease(message, gone, association);
    if (isPeer && gone && carriesPackets(tunnel)) this.#life.end(tunnel, now);
  }

  released(message: RdMessage & { t: 'released' }, association: AssociationRef, now: Millis): void {
    const { host, asks } = this.#parts;
    const tunnel = this.#asked(message.from, 'release', message.request);
    if (tunnel === undefined || host.associations.keyOf(association) !== tunnel.contact.key) return;
    const isNews = tunnel.ask?.peerLatest === asks.latestOf(tunnel.peer, tunnel.contact.key);
    tunnel.ask = undefined;
    tunnel.confirmed = false;
    const { far } = tunnel;
    const stands = isNews && !message.gone && far !== undefined;
    if (stands && tunnel.phase !== 'up') {
      // The peer counts on it, and had told us so before.
      tunnel.remoteHold = true;
      this.#life.becomeUp(tunnel, this.#wayOf(tunnel, association, far), far, tunnel.security, undefined, now);
    } else if (tunnel.phase === 'releasing') {
      return this.#life.forget(tunnel, now);
    } else if (isNews && message.gone) {
      // A con_req of an earlier tunnel, late on its way, had told us of a hold that the peer does not have.
      tunnel.remoteHold = false;
      return this.#life.end(tunnel, now);
    }
    this.#life.announce(tunnel, now);
  }

  /**
   * The association to which a tunnel is bound after a message that came by `arrived`. Both ends must be bound to the same
   * one, for records of an association mean nothing in another. So the end that leads keeps to the one that it has, and
   * the other follows it, if the message is the latest. A new life of the peer has none of those that were up while the
   * former one spoke.
   */
  #wayOf(tunnel: Tunnel | undefined, arrived: AssociationRef, far: FarEnd, isLatest = true): AssociationRef {
    const { associations } = this.#parts.host;
    const bound = tunnel?.association;
    const key = associations.keyOf(arrived);
    if (bound === undefined || key === undefined || associations.keyOf(bound) !== key) return arrived;
    const isNewLife = (tunnel?.far?.record.incarnation ?? far.record.incarnation) < far.record.incarnation;
    if (isNewLife && associations.upSince(bound) <= (tunnel?.heardAt ?? 0)) return arrived;
    return associations.leads(key) || !isLatest ? bound : arrived;
  }

  #asked(peer: Id, kind: 'con_req' | 'release', request: number): Tunnel | undefined {
    const tunnel = this.#parts.table.get(peer);
    return tunnel?.ask?.kind === kind && tunnel.ask.request === request ? tunnel : undefined;
  }
}
