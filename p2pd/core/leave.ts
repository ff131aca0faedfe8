/**
 * Leaving without anybody noticing: first the successor takes our range over, then our own routes lead there and
 * everybody else is told; packets under way are still forwarded for a while; then we are gone.
 */
import { between, type Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { earlier } from './context.ts';
import type { Message } from './io.ts';
import { DRAIN_MS, LEAVING_MS, LEAVING_RETRY_MS } from './limits.ts';
import type { Peer } from './peers.ts';
import type { Requests } from './requests.ts';
import type { Ring } from './ring.ts';
import type { Routes } from './routes.ts';

type Step = 'staying' | 'telling-heir' | 'draining' | 'done';

export class Leave {
  readonly #ring: Ring;
  readonly #routes: Routes;
  readonly #requests: Requests;
  readonly #left: () => void;
  readonly #heard = new Set<Id>();
  /** Leavers to whom we owe `leaving.heard` once our routes have taken their range over. */
  readonly #owed = new Map<Id, number>();
  #step: Step = 'staying';
  #retryAt: Millis | undefined;
  #deadline: Millis | undefined;

  /** `left` is told when nothing remains to be done. */
  constructor(ring: Ring, routes: Routes, requests: Requests, left: () => void) {
    this.#ring = ring;
    this.#routes = routes;
    this.#requests = requests;
    this.#left = left;
  }

  begin(): void {
    if (this.#step !== 'staying') return;
    const { ctx, serving, alone } = this.#ring;
    if (!serving || alone) return this.#finish();
    this.#ring.phase = 'leaving';
    this.#step = 'telling-heir';
    this.#deadline = after(ctx.now, LEAVING_MS);
    this.#retryAt = ctx.now;
    this.tick();
  }

  /** Another node leaves. */
  onLeaving(sender: Peer, message: Message<'leaving'>): void {
    const { chord, ctx, phase } = this.#ring;
    const wasPredecessor = chord.predecessor?.id === sender.id;
    // Who leaves takes nothing over. Our predecessor waits until it hears from us, and then turns to our successor.
    if (phase === 'leaving' && wasPredecessor) return;
    this.#owed.set(sender.id, message.query);
    if (!this.#ring.alive(sender.record)) return;
    const wasFirst = chord.first?.id === sender.id;
    if (wasFirst) this.#retryAt = ctx.now;
    const { predecessor, successors } = message;
    const [head, ...rest] = successors.filter((record) => record.id !== ctx.id && this.#ring.alive(record));
    this.#ring.bury(sender.record, 'left');
    // The leaver may know of others beside it that have left before we hear it of them.
    if (wasFirst && head !== undefined) {
      this.#clear(sender.id, head.id);
      if (this.#ring.formation.formed) this.#ring.adopt(head, rest);
    }
    if (!wasPredecessor || predecessor === null) return;
    this.#clear(predecessor.id, sender.id);
    if (!this.#ring.formation.formed || chord.predecessor !== undefined || predecessor.id === ctx.id) return;
    if (this.#ring.alive(predecessor)) chord.setPredecessor(predecessor);
  }

  /** Nobody lies between the two. One that does nevertheless is back as soon as it is heard of. */
  #clear(low: Id, high: Id): void {
    const { chord, formation } = this.#ring;
    for (const record of [...chord.successors, ...formation.others]) {
      if (!between(low, record.id, high)) continue;
      // In a forming ring the next member list would bring it back.
      if (formation.formed) this.#ring.remove(record.id);
      else this.#ring.bury(record, 'unreachable');
    }
  }

  onHeard(sender: Peer, query: number): void {
    if (this.#requests.answered(query, sender.id) === undefined) return;
    this.#heard.add(sender.id);
    if (this.#step === 'telling-heir' && this.#ring.chord.first?.id === sender.id) this.#bequeath();
  }

  /** Called when all else has been done with an input: pays what is owed. */
  settle(): void {
    if (this.#owed.size === 0 || (this.#ring.member && !this.#routes.settled)) return;
    for (const [id, query] of this.#owed) {
      const peer = this.#ring.peers.get(id);
      if (peer?.remote !== undefined) this.#ring.ctx.send(peer.remote, { t: 'leaving.heard', query });
    }
    this.#owed.clear();
  }

  tick(): void {
    const { ctx, chord } = this.#ring;
    if (this.#step === 'telling-heir') {
      if (chord.first === undefined) return this.#finish();
      if (this.#deadline !== undefined && this.#deadline <= ctx.now) this.#bequeath();
      else if (this.#retryAt !== undefined && this.#retryAt <= ctx.now) {
        this.#retryAt = after(ctx.now, LEAVING_RETRY_MS);
        this.#tell(chord.first.id);
      }
    }
    if (this.#step === 'draining') {
      if (this.#deadline !== undefined && this.#deadline <= ctx.now) return this.#finish();
      if (this.#retryAt !== undefined && this.#retryAt <= ctx.now) this.#tellAll();
    }
  }

  due(): Millis | undefined {
    return this.#step === 'telling-heir' || this.#step === 'draining'
      ? earlier(this.#retryAt, this.#deadline)
      : undefined;
  }

  #bequeath(): void {
    const { ctx, chord } = this.#ring;
    const heir = chord.successors.find(({ id }) => this.#ring.up(id) !== undefined);
    if (heir === undefined) return this.#finish();
    this.#routes.bequeath(heir.id);
    this.#step = 'draining';
    this.#deadline = after(ctx.now, DRAIN_MS);
    this.#tellAll();
  }

  #tellAll(): void {
    const { ctx } = this.#ring;
    this.#retryAt = after(ctx.now, LEAVING_RETRY_MS);
    for (const peer of this.#ring.peers.all()) if (!this.#heard.has(peer.id)) this.#tell(peer.id);
  }

  #tell(id: Id): void {
    const { ctx, chord } = this.#ring;
    // Also over tunnels that may be going: their other ends may still count on us.
    const peer = this.#ring.peers.get(id);
    if (peer?.remote === undefined) return;
    const query = ctx.query();
    if (!this.#requests.open(query, id, 'leaving', ctx.now)) return;
    const successors = chord.successors.slice(0, ctx.r - 1);
    ctx.send(peer.remote, { t: 'leaving', query, predecessor: chord.predecessor ?? null, successors });
  }

  #finish(): void {
    this.#step = 'done';
    this.#ring.phase = 'left';
    this.#left();
  }
}
