/**
 * Which tunnels there shall be: routing drives provisioning. The ring's pointers and fingers say which neighbours are
 * wanted; the difference to what is held goes to the resource daemon.
 */
import type { ErrorCode } from '../../overlay/errors.ts';
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import type { RdTunnel, ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { canonical, earlier } from './context.ts';
import type { Fingers } from './fingers.ts';
import { evictOldest } from './graves.ts';
import {
  ERRAND_MS,
  ERRANDS_MAX,
  GRACE_PERIODS,
  LAPSE_MS,
  TUNNEL_FAILURES_MAX,
  TUNNEL_MS,
  TUNNEL_RETRY_MS,
  TUNNEL_RETRY_MS_MAX,
} from './limits.ts';
import type { Peer } from './peers.ts';
import type { Ring } from './ring.ts';

/** Failures that say nothing about the peer. */
const OUR_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'LIMIT_REACHED',
  'NO_ADDRESS_PAIR',
  'NOT_READY',
  'SYSTEM',
  'INTERNAL',
]);

export type DownReason = Extract<ToP2pd, { t: 'tunnel.down' }>['reason'];

export class Neighbours {
  readonly #ring: Ring;
  readonly #fingers: Fingers;
  readonly #errands = new Map<Id, { readonly record: NodeRecord; readonly until: Millis }>();

  #due: Millis | undefined;
  /** Counts changes of what is wanted beside the ring. */
  version = 0;

  constructor(ring: Ring, fingers: Fingers) {
    this.#ring = ring;
    this.#fingers = fingers;
  }

  /** Tunnels wanted for a question only. */
  get errands(): number {
    return this.#errands.size;
  }

  /** Nodes that the ring itself wants: successors, predecessor, fingers, and every member while it forms. */
  ofRing(): Map<Id, NodeRecord> {
    const { chord, formation } = this.#ring;
    const wanted = new Map<Id, NodeRecord>();
    for (const record of this.#fingers.nodes()) wanted.set(record.id, record);
    for (const record of formation.others) wanted.set(record.id, record);
    for (const record of chord.successors) wanted.set(record.id, record);
    if (chord.predecessor !== undefined) wanted.set(chord.predecessor.id, chord.predecessor);
    return wanted;
  }

  /** A tunnel is needed for a while, to ask something. */
  want(record: NodeRecord): void {
    this.version++;
    this.#errands.delete(record.id);
    evictOldest(this.#errands, ERRANDS_MAX);
    this.#errands.set(record.id, { record, until: after(this.#ring.ctx.now, ERRAND_MS) });
  }

  unwant(id: Id): void {
    if (this.#errands.delete(id)) this.version++;
  }

  /** A tunnel over which a find_successor of `origin` shall be answered; its own hold lapses by itself. */
  wantForAnswer(origin: NodeRecord): void {
    this.#ring.ctx.toRd({ t: 'tunnel.add', key: origin.id, contact: origin.contact, role: 'answer' });
  }

  /** Asks for what is missing, and drops what has long been unwanted and carries no route (`routed` says which do). */
  reconcile(routed: (id: Id) => boolean): void {
    const { ctx, peers } = this.#ring;
    for (const [id, errand] of this.#errands) if (errand.until <= ctx.now) this.#errands.delete(id);
    const wanted = this.ofRing();
    for (const [id, errand] of this.#errands) if (!wanted.has(id)) wanted.set(id, errand.record);
    for (const record of wanted.values()) this.#ask(record);
    for (const peer of peers.all()) {
      if (wanted.has(peer.id)) continue;
      if (peer.hold === 'none') {
        if (peer.remote === undefined) peers.delete(peer.id);
        continue;
      }
      peer.unwantedAt ??= ctx.now;
      // One that nobody wants any more and that was never answered needs no grace: it is not there.
      const isOverdue = peer.hold === 'asked' && after(peer.askedAt, TUNNEL_MS) <= ctx.now;
      if (isOverdue || (ctx.now >= this.#releaseAt(peer) && !routed(peer.id))) this.#release(peer);
    }
    this.#due = this.#nextDue();
  }

  onUp(tunnel: RdTunnel): Peer | undefined {
    const { ctx, peers } = this.#ring;
    const known = peers.get(tunnel.key);
    if (known !== undefined && known.record.incarnation < tunnel.peer.incarnation) {
      // The same node, started anew: what it was in the ring is over.
      this.#ring.bury(known.record, 'returned');
      known.record = tunnel.peer;
    }
    const peer = peers.ensure(tunnel.peer);
    if (peer === undefined) {
      ctx.drop('table-full');
      return undefined;
    }
    this.version++;
    this.#ring.refresh(peer, tunnel.peer);
    peer.remote = { address: canonical(tunnel.remote.address), port: tunnel.remote.port };
    peer.ready = tunnel.ready;
    if (peer.hold === 'asked' && tunnel.held) peer.hold = 'held';
    else if (peer.hold === 'held' && !tunnel.held) peer.hold = 'none';
    peer.failures = 0;
    peer.misses = 0;
    peer.lapsesAt = ctx.now;
    this.#ring.graves.lift(tunnel.peer);
    return peer;
  }

  onFailed(id: Id, code: ErrorCode): void {
    const peer = this.#ring.peers.get(id);
    this.version++;
    this.#errands.delete(id);
    if (peer?.hold === 'asked') this.#failed(peer, !OUR_FAULTS.has(code));
  }

  onDown(id: Id, reason: DownReason): void {
    const peer = this.#ring.peers.get(id);
    if (peer === undefined) return;
    this.version++;
    peer.remote = undefined;
    const held = peer.hold === 'held';
    if (held) peer.hold = 'none';
    if (reason === 'peer-dead') this.#ring.bury(peer.record, 'dead');
    else if (reason === 'failed' && held) this.#failed(peer, true);
  }

  /** After a reconnect: `tunnels` are those in place; every hold must be named again. */
  resync(tunnels: readonly RdTunnel[]): void {
    this.version++;
    const { peers } = this.#ring;
    for (const peer of peers.all()) {
      peer.remote = undefined;
      peer.hold = 'none';
      peer.retryAt = this.#ring.ctx.now;
      peer.failures = 0;
      peer.misses = 0;
    }
    for (const tunnel of tunnels) this.onUp(tunnel);
  }

  due(): Millis | undefined {
    return this.#due;
  }

  #nextDue(): Millis | undefined {
    const { ctx, peers } = this.#ring;
    let due: Millis | undefined;
    for (const errand of this.#errands.values()) due = earlier(due, errand.until);
    for (const peer of peers.all()) {
      if (peer.hold === 'asked') due = earlier(due, after(peer.askedAt, TUNNEL_MS));
      else if (peer.retryAt > ctx.now) due = earlier(due, peer.retryAt);
      // One whose time has come and that still carries a route waits for the commit, not for a time.
      const releaseAt = peer.unwantedAt === undefined ? ctx.now : this.#releaseAt(peer);
      if (releaseAt > ctx.now) due = earlier(due, releaseAt);
    }
    return due;
  }

  #ask(record: NodeRecord): void {
    const { ctx, peers } = this.#ring;
    const peer = peers.ensure(record);
    if (peer === undefined) return ctx.drop('table-full');
    peer.unwantedAt = undefined;
    if (peer.hold === 'asked' && after(peer.askedAt, TUNNEL_MS) <= ctx.now) this.#failed(peer, true);
    if (peer.hold !== 'none' || peer.retryAt > ctx.now || !this.#ring.alive(record)) return;
    peer.hold = 'asked';
    peer.askedAt = ctx.now;
    ctx.toRd({ t: 'tunnel.add', key: record.id, contact: record.contact, role: 'neighbour' });
  }

  #failed(peer: Peer, blame: boolean): void {
    const { ctx } = this.#ring;
    peer.hold = 'none';
    peer.failures++;
    peer.retryAt = after(ctx.now, Math.min(TUNNEL_RETRY_MS * 2 ** peer.failures, TUNNEL_RETRY_MS_MAX));
    // Everything waits for the first successor, and the resource daemon has tried for long already.
    const failuresMax = this.#ring.chord.first?.id === peer.id ? 1 : TUNNEL_FAILURES_MAX;
    if (blame && peer.failures >= failuresMax && peer.remote === undefined) this.#ring.bury(peer.record, 'unreachable');
  }

  #releaseAt(peer: Peer): Millis {
    // Those who are gone get no grace: their routes have moved already, and who leaves waits for it.
    const grace = this.#ring.alive(peer.record) ? GRACE_PERIODS * this.#ring.ctx.timers.stabiliseMs : 0;
    return after(peer.unwantedAt ?? this.#ring.ctx.now, grace);
  }

  #release(peer: Peer): void {
    const { ctx } = this.#ring;
    ctx.toRd({ t: 'tunnel.release', key: peer.id });
    peer.hold = 'none';
    peer.unwantedAt = undefined;
    peer.lapsesAt = after(ctx.now, LAPSE_MS);
  }
}
