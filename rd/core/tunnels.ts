/** The tunnels of one virtual node: what its P2P daemon wants of them, and what becomes of them as the world changes. */
import type { ErrorCode } from '../../overlay/errors.ts';
import type { Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import { Agreement } from './agreement.ts';
import { Asks } from './asks.ts';
import { decodeContact } from './contact.ts';
import { Dialogue } from './dialogue.ts';
import type { AssociationRef } from './io.ts';
import { Letters } from './letters.ts';
import { Lifecycle, type TunnelHost, type TunnelParts } from './lifecycle.ts';
import { Pairs } from './pairs.ts';
import { askingAgain, carriesPackets, type Tunnel } from './tunnel.ts';
import { TunnelTable } from './tunnel-table.ts';

export class Tunnels {
  readonly #host: TunnelHost;
  readonly #parts: TunnelParts;
  readonly #table: TunnelTable;
  readonly #life: Lifecycle;
  readonly #dialogue: Dialogue;
  #deadline: Millis | undefined;
  /** Something may have changed a time since #deadline was found: every way in says so. */
  #isStale = true;

  constructor(host: TunnelHost) {
    this.#host = host;
    const { id, vi } = host.setup();
    const table = new TunnelTable(() => host.setup().vi.definition.tunnelsMax);
    const letters = new Letters(host.setup, host.emit);
    const agreement = new Agreement(host.setup, host.associations);
    const pairs = new Pairs(id, vi, host.leases, () => table.all());
    const asks = new Asks(letters, (tunnel) => agreement.demands(tunnel));
    this.#table = table;
    this.#parts = { host, table, pairs, letters, asks, agreement };
    this.#life = new Lifecycle(this.#parts);
    this.#dialogue = new Dialogue(this.#parts, this.#life);
  }

  /** For what other resource daemons say. */
  get dialogue(): Dialogue {
    this.#isStale = true;
    return this.#dialogue;
  }

  all(): IterableIterator<Tunnel> {
    return this.#table.all();
  }

  get(peer: Id): Tunnel | undefined {
    return this.#table.get(peer);
  }

  uses(association: AssociationRef): boolean {
    for (const tunnel of this.#table.all()) if (tunnel.association === association) return true;
    return false;
  }

  // What the P2P daemon asks.

  add(peer: Id, contactBytes: Uint8Array, role: 'neighbour' | 'answer', now: Millis): void {
    this.#isStale = true;
    const contact = decodeContact(contactBytes);
    if (contact === undefined) return this.#life.refuse(peer, 'BAD_MESSAGE');
    if (peer === this.#host.setup().id) return this.#life.refuse(peer, 'BAD_ARGUMENT');
    if (contact.node !== peer) return this.#life.refuse(peer, 'PEER_MISMATCH');
    const tunnel = this.#table.get(peer) ?? this.#table.make(peer, contact, 'self', now);
    if (tunnel === undefined) return this.#life.refuse(peer, 'LIMIT_REACHED');
    this.#life.takeHold(tunnel, role, now);
    if (carriesPackets(tunnel)) {
      this.#life.tellUp(tunnel);
      this.#life.announce(tunnel, now);
      if (tunnel.association !== undefined) return;
      // The peer may be found where it is now.
      tunnel.contact = contact;
      return this.#life.rebind(tunnel, now);
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
    this.#life.proceed(tunnel, now);
  }

  release(peer: Id, now: Millis): void {
    this.#isStale = true;
    const tunnel = this.#table.get(peer);
    if (tunnel === undefined || tunnel.hold === 'none') return;
    this.#life.dropHold(tunnel, now);
  }

  /** Marks the holds of an earlier P2P daemon; `sweep` drops those that were not taken again. */
  markStale(): void {
    for (const tunnel of this.#table.all()) tunnel.stale = tunnel.hold !== 'none';
  }

  sweep(now: Millis): void {
    this.#isStale = true;
    for (const tunnel of this.#table.all()) if (tunnel.stale) this.#life.dropHold(tunnel, now);
  }

  // What becomes of certificates and groups.

  /** Ends the tunnels to the nodes of these certificates. */
  revoked(serials: ReadonlySet<string>, now: Millis): void {
    this.#isStale = true;
    for (const tunnel of this.#table.all()) {
      const serial = tunnel.far?.certificate?.serial;
      if (serial !== undefined && serials.has(serial)) this.#life.void(tunnel, 'CERTIFICATE_REVOKED', now);
    }
  }

  /** Our own certificate is a new one: the peers of tunnels that we hold are shown it, others ask for it in time. */
  introduceAgain(now: Millis): void {
    this.#isStale = true;
    for (const tunnel of this.#table.all()) if (tunnel.phase === 'up') this.#life.introduce(tunnel, now);
  }

  /** This end's groups or addresses have changed: all tunnels are agreed on anew, with what it shows of itself now. */
  reconsider(now: Millis): void {
    this.#isStale = true;
    for (const tunnel of this.#table.all()) {
      if (carriesPackets(tunnel) || tunnel.ask?.kind === 'con_req') this.#life.askAnew(tunnel, now);
    }
  }

  #watchProof(tunnel: Tunnel, now: Millis): void {
    const proof = tunnel.far?.certificate;
    if (tunnel.far === undefined || proof === undefined) return;
    if (proof.until <= now) return this.#life.void(tunnel, 'CERTIFICATE_REFUSED', now);
    if (proof.askAt > now) return;
    tunnel.far = { ...tunnel.far, certificate: askingAgain(proof, now) };
    if (tunnel.phase === 'up') this.#life.introduce(tunnel, now);
  }

  // What becomes of associations and of the data plane.

  associationUp(key: string, now: Millis): void {
    this.#isStale = true;
    for (const tunnel of this.#table.all()) {
      if (tunnel.association === undefined && tunnel.contact.key === key) this.#life.rebind(tunnel, now);
    }
  }

  associationFailed(key: string, code: ErrorCode, now: Millis): void {
    this.#isStale = true;
    for (const tunnel of this.#table.all()) {
      if (tunnel.association !== undefined || tunnel.contact.key !== key) continue;
      if (tunnel.phase === 'setting-up') this.#life.fail(tunnel, code, now);
    }
  }

  associationDown(association: AssociationRef, replaced: boolean, now: Millis): void {
    this.#isStale = true;
    for (const tunnel of this.#table.all()) {
      if (tunnel.association !== association) continue;
      if (tunnel.phase === 'releasing') this.#life.forget(tunnel, now);
      else if (tunnel.phase === 'setting-up' || replaced) this.#life.loosen(tunnel, now);
      else this.#life.die(tunnel, now);
    }
  }

  associationMoved(association: AssociationRef, now: Millis): void {
    this.#isStale = true;
    for (const tunnel of this.#table.all()) {
      if (tunnel.association !== association || !carriesPackets(tunnel)) continue;
      this.#life.setPlan(tunnel);
      // The new address may be on the list of secure peers.
      if (this.#parts.agreement.tightened(tunnel) !== undefined) this.#life.askAnew(tunnel, now);
    }
  }

  broken(peer: Id, now: Millis): void {
    this.#isStale = true;
    const tunnel = this.#table.get(peer);
    if (tunnel !== undefined && carriesPackets(tunnel)) this.#life.broken(tunnel, now);
  }

  pairsArrived(now: Millis): void {
    this.#isStale = true;
    for (const tunnel of this.#table.all()) {
      if (tunnel.phase === 'setting-up' && tunnel.pair === undefined) this.#life.proceed(tunnel, now);
    }
  }

  /** The node closes: peers need not wait until it is silent. */
  close(): void {
    for (const tunnel of this.#table.all()) this.#parts.letters.sayGone(tunnel);
  }

  // Time.

  deadline(): Millis | undefined {
    if (!this.#isStale) return this.#deadline;
    this.#isStale = false;
    let least = Number.POSITIVE_INFINITY;
    for (const { ask, until, answerUntil, ackDue, far } of this.#table.all()) {
      const proof = far?.certificate;
      if (proof !== undefined) least = Math.min(least, proof.until, proof.askAt);
      if (ask !== undefined) least = Math.min(least, ask.nextAt, ask.giveUpAt);
      if (until !== undefined) least = Math.min(least, until);
      if (answerUntil !== undefined) least = Math.min(least, answerUntil);
      if (ackDue !== undefined) least = Math.min(least, ackDue.at);
    }
    this.#deadline = Number.isFinite(least) ? (least as Millis) : undefined;
    return this.#deadline;
  }

  timer(now: Millis): void {
    const due = this.deadline();
    if (due === undefined || due > now) return;
    this.#isStale = true;
    for (const tunnel of this.#table.all()) {
      this.#watchProof(tunnel, now);
      if (!this.#table.has(tunnel)) continue;
      if (tunnel.answerUntil !== undefined && tunnel.answerUntil <= now) this.#life.dropHold(tunnel, now);
      if (tunnel.ackDue !== undefined && tunnel.ackDue.at <= now) this.#life.becomeReady(tunnel);
      if (tunnel.until !== undefined && tunnel.until <= now) this.#life.outOfTime(tunnel, now);
      const { ask } = tunnel;
      if (ask !== undefined && ask.giveUpAt <= now) this.#life.fail(tunnel, 'PEER_UNREACHABLE', now);
      else if (ask !== undefined && ask.nextAt <= now) this.#parts.asks.send(tunnel, ask, now);
    }
  }
}
