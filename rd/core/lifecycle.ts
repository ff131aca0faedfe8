/** The steps in the life of a tunnel, as tunnel.ts draws it, and what P2P daemon and data plane are told of each. */
import type { ErrorCode } from '../../overlay/errors.ts';
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { ANSWER_HOLD_MS, type ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import type { Agreement } from './agreement.ts';
import type { Asks } from './asks.ts';
import type { Associations } from './associations.ts';
import type { AssociationRef, NodeSetup, Output, TunnelPlan } from './io.ts';
import type { Leases } from './leases.ts';
import type { Letters } from './letters.ts';
import { GIVE_UP_MS, READY_MS, REBIND_MS } from './limits.ts';
import type { Pairs } from './pairs.ts';
import type { Security } from './security.ts';
import { carriesPackets, describeTunnel, type FarEnd, sameFarEnd, type Tunnel } from './tunnel.ts';
import type { TunnelTable } from './tunnel-table.ts';

export type TunnelHost = {
  readonly setup: () => NodeSetup;
  readonly leases: Leases;
  readonly associations: Associations;
  readonly emit: (output: Output) => void;
  readonly tell: (message: ToP2pd) => void;
  readonly set: (plan: TunnelPlan) => void;
  readonly unset: (peer: Id) => void;
  /** Which tunnels packets are sent through is another question now. */
  readonly changed: () => void;
  /** The peer was refused for a reason that its operator or ours should hear of. */
  readonly complain: (peer: Id, code: ErrorCode) => void;
  /** A tunnel has ended because of its peer's certificate. */
  readonly voided: (peer: Id, code: ErrorCode) => void;
};

/** What the tunnels of one node share. */
export type TunnelParts = {
  readonly host: TunnelHost;
  readonly table: TunnelTable;
  readonly pairs: Pairs;
  readonly letters: Letters;
  readonly asks: Asks;
  readonly agreement: Agreement;
};

export class Lifecycle {
  readonly #host: TunnelHost;
  readonly #parts: TunnelParts;

  constructor(parts: TunnelParts) {
    this.#host = parts.host;
    this.#parts = parts;
  }

  // Holds.

  takeHold(tunnel: Tunnel, role: 'neighbour' | 'answer', now: Millis): void {
    tunnel.stale = false;
    if (role === 'answer' && tunnel.hold === 'neighbour') return;
    tunnel.hold = role;
    tunnel.answerUntil = role === 'answer' ? after(now, ANSWER_HOLD_MS) : undefined;
  }

  dropHold(tunnel: Tunnel, now: Millis): void {
    tunnel.hold = 'none';
    tunnel.stale = false;
    tunnel.answerUntil = undefined;
    if (tunnel.phase === 'setting-up') this.#leave(tunnel, now);
    else if (tunnel.phase === 'up' && !tunnel.remoteHold) this.end(tunnel, now);
    else if (tunnel.phase !== 'releasing') this.announce(tunnel, now);
  }

  /** Tells the peer of our hold, unless it knows. */
  announce(tunnel: Tunnel, now: Millis): void {
    const holds = tunnel.hold !== 'none';
    const kind = holds ? 'con_req' : 'release';
    if (tunnel.confirmed === holds) tunnel.ask = undefined;
    else if (tunnel.ask?.kind !== kind) this.#parts.asks.start(tunnel, kind, now);
  }

  // Setting up.

  /** Goes on with setting up as far as association and pair allow. */
  proceed(tunnel: Tunnel, now: Millis): void {
    const { asks, agreement, pairs } = this.#parts;
    tunnel.association ??= this.#host.associations.find(tunnel.contact.key);
    if (tunnel.association === undefined) return this.#lookFor(tunnel, now);
    if (!pairs.provide(tunnel, now)) {
      tunnel.until ??= after(now, GIVE_UP_MS);
      return;
    }
    tunnel.until = undefined;
    const { ask } = tunnel;
    const isAsked = ask?.kind === 'con_req' && ask.secure === agreement.demands(tunnel);
    if (!isAsked) asks.start(tunnel, 'con_req', now);
    else asks.send(tunnel, ask, now);
  }

  /** `request`: the con_req by which the peer asked for it; undefined where the peer is known to have its end. */
  becomeUp(
    tunnel: Tunnel,
    association: AssociationRef,
    far: FarEnd,
    security: Security | undefined,
    request: number | undefined,
    now: Millis,
  ): void {
    const before = tunnel.far;
    const wasUp = carriesPackets(tunnel);
    const isSameLife = before !== undefined && before.record.incarnation === far.record.incarnation;
    const wasReady = tunnel.ready;
    const link = this.#parts.pairs.linkOf(tunnel);
    const changed = !wasUp || !sameFarEnd(before, far) || link?.local.ipv6 !== tunnel.link?.local.ipv6;
    const moved = tunnel.association !== association || tunnel.security?.secure !== security?.secure;
    tunnel.phase = 'up';
    tunnel.until = undefined;
    tunnel.association = association;
    tunnel.far = far;
    tunnel.link = link;
    tunnel.security = security;
    tunnel.heardAt = now;
    this.#parts.asks.heard(tunnel);
    if (request === undefined) this.#setReady(tunnel);
    else if (!wasUp || !isSameLife) this.#awaitAck(tunnel, request, now);
    if (changed || moved) this.setPlan(tunnel);
    if (changed || wasReady !== tunnel.ready) this.tellUp(tunnel);
  }

  /** The peer says that it has its end, or time says so. */
  becomeReady(tunnel: Tunnel): void {
    if (tunnel.ready || !carriesPackets(tunnel)) return;
    this.#setReady(tunnel);
    this.tellUp(tunnel);
  }

  #setReady(tunnel: Tunnel): void {
    tunnel.ready = true;
    tunnel.ackDue = undefined;
    this.#host.changed();
  }

  #awaitAck(tunnel: Tunnel, request: number, now: Millis): void {
    tunnel.ready = false;
    tunnel.ackDue = { request, at: after(now, READY_MS) };
    this.#host.changed();
  }

  setPlan(tunnel: Tunnel): void {
    const { peer, association, link, security } = tunnel;
    const endpoint = association === undefined ? undefined : this.#host.associations.endpointOf(association);
    // Without an association the data plane keeps what it has: a secure tunnel is bound to one that is gone, and drops.
    if (association === undefined || endpoint === undefined || security === undefined) return;
    tunnel.placed = true;
    this.#host.set({ peer, association, endpoint, link, ...security });
  }

  /** Agrees with the peer anew. More security takes effect at once, less when the peer has answered. */
  askAnew(tunnel: Tunnel, now: Millis): void {
    const tightened = this.#parts.agreement.tightened(tunnel);
    if (carriesPackets(tunnel) && tightened !== undefined) {
      tunnel.security = tightened;
      this.setPlan(tunnel);
    }
    // Only who holds a tunnel may ask for it: where nothing does, we hold it for a moment.
    if (tunnel.hold === 'none') this.takeHold(tunnel, 'answer', now);
    this.#parts.asks.start(tunnel, 'con_req', now);
  }

  /** Repeats the con_req of a tunnel that we hold: each end shows its certificate. */
  introduce(tunnel: Tunnel, now: Millis): void {
    // One that is under way may have been answered already, with what we had before.
    if (tunnel.hold !== 'none' && tunnel.ask?.kind !== 'release') this.#parts.asks.start(tunnel, 'con_req', now);
  }

  // Associations.

  /** Its association is gone, and its peer perhaps not: what each end holds is told anew, by the next association. */
  loosen(tunnel: Tunnel, now: Millis): void {
    tunnel.association = undefined;
    if (carriesPackets(tunnel)) {
      tunnel.phase = 'lost';
      tunnel.until = after(now, REBIND_MS);
      tunnel.remoteHold = false;
      tunnel.confirmed = undefined;
      tunnel.ask = undefined;
    } else if (tunnel.ask !== undefined) {
      // What was sent may still arrive, later than what is sent by the next association.
      this.#parts.asks.start(tunnel, tunnel.ask.kind, now);
    }
    this.rebind(tunnel, now);
  }

  /** Takes up an association for a tunnel that has none, or looks for one. */
  rebind(tunnel: Tunnel, now: Millis): void {
    if (tunnel.phase === 'setting-up') return this.proceed(tunnel, now);
    tunnel.association = this.#host.associations.find(tunnel.contact.key);
    if (tunnel.association !== undefined) {
      // The other association may lead to an address that is on the list of secure peers.
      if (tunnel.security !== undefined && this.#parts.agreement.tightened(tunnel) !== undefined) {
        return this.askAnew(tunnel, now);
      }
      this.setPlan(tunnel);
      this.announce(tunnel, now);
    } else if (tunnel.hold !== 'none') {
      this.#lookFor(tunnel, now);
    }
  }

  #lookFor(tunnel: Tunnel, now: Millis): void {
    this.#host.associations.want(tunnel.contact, this.#host.setup().vi.id, now);
  }

  // Ends.

  /** Nobody holds it any more: nothing is sent through it, and the peer is told. */
  end(tunnel: Tunnel, now: Millis): void {
    this.#sayDown(tunnel, 'released');
    this.#host.changed();
    this.#leave(tunnel, now);
  }

  /** Ends it on our side, whoever holds it; the peer is told. */
  fail(tunnel: Tunnel, code: ErrorCode, now: Millis): void {
    if (carriesPackets(tunnel)) this.#sayDown(tunnel, 'peer-dead');
    else this.refuse(tunnel.peer, code);
    this.#unset(tunnel);
    tunnel.remoteHold = false;
    this.#leave(tunnel, now);
  }

  /** The peer has no such tunnel any more, or is gone. */
  die(tunnel: Tunnel, now: Millis): void {
    if (carriesPackets(tunnel)) this.#sayDown(tunnel, 'peer-dead');
    else if (tunnel.phase === 'setting-up') this.refuse(tunnel.peer, 'PEER_UNREACHABLE');
    this.forget(tunnel, now);
  }

  /** Its peer's certificate is void. */
  void(tunnel: Tunnel, code: ErrorCode, now: Millis): void {
    this.#parts.letters.sayGone(tunnel, code);
    this.#host.voided(tunnel.peer, code);
    this.die(tunnel, now);
  }

  /** The data plane or the kernel would not make it. */
  broken(tunnel: Tunnel, now: Millis): void {
    this.#sayDown(tunnel, 'failed');
    this.#parts.letters.sayGone(tunnel);
    this.forget(tunnel, now);
  }

  outOfTime(tunnel: Tunnel, now: Millis): void {
    tunnel.until = undefined;
    if (tunnel.phase === 'lost') this.fail(tunnel, 'PEER_UNREACHABLE', now);
    else if (tunnel.phase === 'setting-up') this.fail(tunnel, 'NO_ADDRESS_PAIR', now);
  }

  forget(tunnel: Tunnel, now: Millis): void {
    this.#unset(tunnel);
    this.#parts.pairs.drop(tunnel, now);
    this.#parts.table.remove(tunnel);
  }

  /** Keeps the tunnel, sending nothing through it, until the peer has heard that we do not hold it. */
  #leave(tunnel: Tunnel, now: Millis): void {
    tunnel.hold = 'none';
    tunnel.answerUntil = undefined;
    tunnel.until = undefined;
    if (tunnel.confirmed === false || tunnel.association === undefined) return this.forget(tunnel, now);
    tunnel.phase = 'releasing';
    tunnel.ready = false;
    tunnel.ackDue = undefined;
    if (tunnel.ask?.kind !== 'release') this.#parts.asks.start(tunnel, 'release', now);
  }

  #sayDown({ peer }: Tunnel, reason: (ToP2pd & { t: 'tunnel.down' })['reason']): void {
    this.#host.tell({ t: 'tunnel.down', key: peer, reason });
  }

  #unset(tunnel: Tunnel): void {
    tunnel.ready = false;
    tunnel.ackDue = undefined;
    if (!tunnel.placed) return;
    tunnel.placed = false;
    this.#host.unset(tunnel.peer);
  }

  // Messages to the P2P daemon.

  tellUp(tunnel: Tunnel): void {
    const view = describeTunnel(tunnel, this.#host.setup());
    if (view !== undefined) this.#host.tell({ t: 'tunnel.up', tunnel: view });
  }

  refuse(peer: Id, code: ErrorCode): void {
    this.#host.tell({ t: 'failed', key: peer, code });
  }
}
