/**
 * Becoming a member: find a node of the ring, ask it for our place, adopt the list of the node responsible for our id,
 * set up the tunnels to that list, and only then take part. It is tried for ever. A node that is alone goes the same way
 * from time to time, in case others are alone as well.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { jittered } from '../../overlay/lib/rng.ts';
import type { ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import type { Message } from './io.ts';
import {
  ALONE_MS,
  ALONE_MS_MAX,
  ASKS_PER_BOOTSTRAP,
  BOOTSTRAP_MS,
  CONNECT_MS,
  GATE_MS,
  GATES_MAX,
  JOIN_RETRY_MS,
  JOIN_RETRY_MS_MAX,
} from './limits.ts';
import type { Lookup, Outcome } from './lookup.ts';
import type { Neighbours } from './neighbours.ts';
import type { Ring } from './ring.ts';

/**
 * `idle`: a member with company. `waiting`: until the next attempt. `bootstrap`: for the resource daemon's answer.
 * `gates`: for a tunnel to a node of the ring. `asking`: for our place. `connecting`: for the neighbours' tunnels.
 */
type Step = 'idle' | 'waiting' | 'bootstrap' | 'gates' | 'asking' | 'connecting';

export class Join {
  readonly #ring: Ring;
  readonly #neighbours: Neighbours;
  readonly #lookup: Lookup;
  readonly #entered: () => void;
  #step: Step = 'idle';
  #due: Millis | undefined;
  #gates: NodeRecord[] = [];
  /** Gates for which a tunnel has been asked. */
  #opened = 0;
  /** Gate by which the last question went. */
  #turn = 0;
  #failures = 0;
  #aloneMs = ALONE_MS;
  #formed = false;

  /** `entered` is told when the node has become a member. */
  constructor(ring: Ring, neighbours: Neighbours, lookup: Lookup, entered: () => void) {
    this.#ring = ring;
    this.#neighbours = neighbours;
    this.#lookup = lookup;
    this.#entered = entered;
  }

  begin(): void {
    const { ctx } = this.#ring;
    if (!this.#ring.serving) this.#ring.phase = 'joining';
    this.#go('bootstrap', BOOTSTRAP_MS);
    ctx.toRd({ t: 'bootstrap.get' });
  }

  /** True if it was waited for. */
  onBootstrap(message: Extract<ToP2pd, { t: 'bootstrap' }>): boolean {
    if (this.#step !== 'bootstrap') return false;
    this.#onGates(message);
    return true;
  }

  #onGates(message: Extract<ToP2pd, { t: 'bootstrap' }>): void {
    const { ctx } = this.#ring;
    this.#gates = message.nodes.filter((record) => record.id !== ctx.id).slice(0, GATES_MAX);
    if (this.#gates.length === 0) {
      if (!message.found || this.#ring.serving) return this.#pause();
      this.#ring.enter(false);
      return this.#finish();
    }
    this.#opened = 0;
    this.#turn = 0;
    this.#go('gates', 0);
  }

  onUp(id: Id): void {
    if (this.#step === 'gates' && this.#gates.some((gate) => gate.id === id)) this.#ask();
    if (this.#step === 'connecting') this.#connect();
  }

  onFailed(id: Id): void {
    if (this.#step === 'gates' && this.#gates[this.#opened - 1]?.id === id) this.#go('gates', 0);
    if (this.#step === 'connecting') this.#connect();
  }

  tick(): void {
    const { ctx, serving, alone } = this.#ring;
    if (this.#step === 'idle' && serving && alone) {
      this.#aloneMs = ALONE_MS;
      this.#go('waiting', jittered(ctx.rng, this.#aloneMs));
    }
    if (serving && !alone && this.#step !== 'idle') this.#stop();
    if (this.#due === undefined || this.#due > ctx.now) return;
    switch (this.#step) {
      case 'idle':
      case 'asking':
        this.#due = undefined;
        return;
      case 'waiting':
        if (this.#gates.length > 0 && this.#ring.phase === 'joining') return this.#ask();
        return this.begin();
      case 'bootstrap':
        return this.#pause();
      case 'gates':
        return this.#openGate();
      case 'connecting':
        return this.#enter();
    }
  }

  due(): Millis | undefined {
    return this.#due;
  }

  #go(step: Step, ms?: number): void {
    this.#step = step;
    this.#due = ms === undefined ? undefined : after(this.#ring.ctx.now, ms);
  }

  #stop(): void {
    for (const gate of this.#gates) this.#neighbours.unwant(gate.id);
    this.#gates = [];
    this.#failures = 0;
    this.#go('idle');
  }

  /** From the beginning, with new bootstrap nodes, after a while that grows. */
  #pause(): void {
    const { ctx, serving } = this.#ring;
    this.#gates = [];
    this.#failures++;
    this.#aloneMs = Math.min(this.#aloneMs * 2, ALONE_MS_MAX);
    const joining = Math.min(JOIN_RETRY_MS * 2 ** this.#failures, JOIN_RETRY_MS_MAX);
    this.#go('waiting', jittered(ctx.rng, serving ? this.#aloneMs : joining));
  }

  /** One gate after the other, without giving up on those before. */
  #openGate(): void {
    const gate = this.#gates[this.#opened];
    if (gate === undefined) {
      const underWay = this.#gates.some(({ id }) => this.#ring.peers.get(id)?.hold === 'asked');
      if (!underWay) return this.#pause();
      return this.#go('gates', GATE_MS);
    }
    this.#opened++;
    this.#neighbours.want(gate);
    this.#go('gates', GATE_MS);
    if (this.#ring.up(gate.id) !== undefined) this.#ask();
  }

  #ask(): void {
    const { ctx } = this.#ring;
    const open = this.#gates.filter(({ id }) => this.#ring.up(id) !== undefined);
    const gate = open[this.#turn % Math.max(1, open.length)];
    if (gate === undefined) return this.#pause();
    this.#neighbours.want(gate);
    this.#go('asking');
    const done = (outcome: Outcome): void => this.#onOutcome(outcome);
    this.#lookup.ask({ purpose: 'join', target: ctx.id, via: gate.id, attempts: 1, done });
  }

  #onOutcome(outcome: Outcome): void {
    if (this.#step !== 'asking') return;
    if ('found' in outcome) return this.#adopt(outcome.found);
    const { ctx, phase } = this.#ring;
    this.#turn++;
    // Busy is the usual answer while many join a ring that is forming: that is a queue, not a fault.
    if (outcome.failed !== 'busy') this.#failures++;
    if (phase !== 'joining' || this.#failures > this.#gates.length) return this.#pause();
    if (this.#turn >= ASKS_PER_BOOTSTRAP) this.#gates = [];
    this.#go('waiting', jittered(ctx.rng, JOIN_RETRY_MS));
  }

  #adopt(found: Message<'found'>): void {
    const { owner, predecessor, successors, formed } = found;
    this.#ring.phase = 'joining';
    this.#ring.formation.clear();
    this.#formed = formed;
    if (formed) {
      this.#ring.adopt(owner, successors);
      this.#ring.chord.assume(predecessor?.id === this.#ring.ctx.id ? undefined : predecessor?.id);
    } else {
      this.#ring.formation.merge([owner, ...successors].filter((record) => this.#ring.alive(record)));
    }
    this.#go('connecting', CONNECT_MS);
    this.#connect();
  }

  #connect(): void {
    const { chord, formation, peers } = this.#ring;
    const pending = (record: NodeRecord): boolean => {
      const peer = peers.get(record.id);
      return peer === undefined || (peer.remote === undefined && peer.failures === 0);
    };
    const list = this.#formed ? chord.successors : formation.others;
    if (list.length > 0 && !list.some(pending)) this.#enter();
  }

  #enter(): void {
    const { chord, formation } = this.#ring;
    const list = this.#formed ? chord.successors : formation.others;
    if (!list.some(({ id }) => this.#ring.up(id) !== undefined)) return this.begin();
    this.#ring.enter(this.#formed);
    this.#finish();
  }

  #finish(): void {
    this.#stop();
    this.#aloneMs = ALONE_MS;
    this.#entered();
  }
}
