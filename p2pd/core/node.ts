/** One virtual node's part in the ring: wires the parts together and hands each input to the one it concerns. */
import { between, type Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import type { P2pdMessage } from '../../overlay/messages/p2pd-p2pd.ts';
import type { RingReportMessage, ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { Answer } from './answer.ts';
import { type Context, earlier } from './context.ts';
import { Fingers } from './fingers.ts';
import type { Endpoint } from './io.ts';
import { Join } from './join.ts';
import { Leave } from './leave.ts';
import { MISSES_MAX } from './limits.ts';
import { Lookup } from './lookup.ts';
import { Neighbours } from './neighbours.ts';
import type { Peer } from './peers.ts';
import { Proximity } from './proximity.ts';
import { Requests } from './requests.ts';
import { restore } from './restore.ts';
import { Reunion } from './reunion.ts';
import { Ring } from './ring.ts';
import { Routes } from './routes.ts';
import { Stabiliser } from './stabilise.ts';

type Welcome = Extract<ToP2pd, { t: 'welcome' }>;

export class VirtualNode {
  readonly #ctx: Context;
  readonly #ring: Ring;
  readonly #fingers: Fingers;
  readonly #lookup: Lookup;
  readonly #neighbours: Neighbours;
  readonly #proximity: Proximity;
  readonly #routes: Routes;
  readonly #requests = new Requests();
  readonly #stabiliser: Stabiliser;
  readonly #answer: Answer;
  readonly #join: Join;
  readonly #leave: Leave;
  readonly #reunion: Reunion;
  /** Each may have something to do at some time. */
  readonly #parts: readonly { due(): Millis | undefined }[];
  #version = 0;
  #phase = '';
  /** What tunnels and routes were made for, and until when they hold without anything happening. */
  #settled = -1;
  #settledPhase = '';
  #settledUntil: Millis | undefined;
  #reported = '';
  #reportedVersions = '';

  /** `left` is told when the node has left the ring. */
  constructor(ctx: Context, left: () => void) {
    this.#ctx = ctx;
    this.#ring = new Ring(ctx, (id) => this.#onGone(id));
    this.#lookup = new Lookup(this.#ring);
    this.#fingers = new Fingers(this.#ring, this.#lookup);
    this.#neighbours = new Neighbours(this.#ring, this.#fingers);
    this.#proximity = new Proximity(this.#ring, this.#fingers, this.#neighbours, this.#lookup);
    this.#routes = new Routes(this.#ring, this.#neighbours, (id) => this.#proximity.rttForRoutes(id));
    this.#stabiliser = new Stabiliser(this.#ring, this.#neighbours, this.#requests);
    this.#answer = new Answer(this.#ring, this.#neighbours);
    this.#join = new Join(this.#ring, this.#neighbours, this.#lookup, () => this.#onEntered());
    this.#reunion = new Reunion(this.#ring, this.#neighbours, this.#lookup, this.#stabiliser);
    this.#leave = new Leave(this.#ring, this.#routes, this.#requests, left);
    this.#parts = [
      this.#reunion,
      this.#ring,
      this.#answer,
      this.#lookup,
      this.#join,
      this.#stabiliser,
      this.#fingers,
      this.#proximity,
      this.#leave,
      this.#requests,
      this.#neighbours,
      this.#routes,
    ];
  }

  get generation(): number {
    return this.#routes.generation;
  }

  get leaving(): boolean {
    return this.#ring.phase === 'leaving';
  }

  /** For tests and tools: the state behind this node. Not to be written to. */
  get ring(): Ring {
    return this.#ring;
  }

  get proximity(): Proximity {
    return this.#proximity;
  }

  get fingers(): Fingers {
    return this.#fingers;
  }

  /** How many entries the tables have that grow and shrink, by name. */
  tables(): Record<string, number> {
    const { chord, graves, peers } = this.#ring;
    return {
      peers: peers.size,
      graves: graves.size,
      knocks: graves.knocks,
      formers: chord.formers.length,
      successors: chord.successors.length,
      requests: this.#requests.size,
      lookups: this.#lookup.size,
      errands: this.#neighbours.errands,
      answers: this.#answer.waiting,
      relays: this.#answer.relays,
    };
  }

  /** The connection to the resource daemon was made anew, or for the first time. */
  welcome(message: Welcome): void {
    const { phase } = this.#ring;
    this.#requests.clear();
    this.#neighbours.resync(message.tunnels);
    this.#routes.resync(message.generation, message.routes);
    this.#reported = '';
    this.#reportedVersions = '';
    if (phase === 'starting') {
      if (!restore(this.#ring, this.#fingers, message.routes)) this.#join.begin();
    } else if (phase === 'joining') this.#join.begin();
    this.#stabiliser.reset();
    this.#fingers.hurry();
  }

  onRd(message: Exclude<ToP2pd, Welcome>): void {
    switch (message.t) {
      case 'tunnel.up':
        return this.#onTunnelUp(message.tunnel);
      case 'failed':
        this.#neighbours.onFailed(message.key, message.code);
        this.#answer.onFailed(message.key);
        this.#proximity.onFailed(message.key);
        return this.#join.onFailed(message.key);
      case 'tunnel.down':
        return this.#neighbours.onDown(message.key, message.reason);
      case 'routes.committed':
        return this.#routes.onCommitted(message.generation);
      case 'routes.refused':
        return this.#routes.onRefused(message.generation);
      case 'contact':
        this.#ctx.self = {
          id: this.#ctx.id,
          incarnation: Math.max(message.incarnation, this.#ctx.self.incarnation),
          contact: message.contact,
        };
        return;
      case 'bootstrap':
        if (!this.#join.onBootstrap(message)) this.#reunion.onBootstrap(message);
        return;
      case 'lookup':
        return this.#lookup.onRdLookup(message.request, message.id);
      case 'leave':
        return this.#leave.begin();
      case 'measured':
        return this.#proximity.onMeasured(message);
      case 'refused':
        return;
    }
  }

  onDatagram(from: Endpoint, message: P2pdMessage): void {
    if (message.t === 'found' && message.owner.id === message.id && this.#lookup.expectsStranger(message.query)) {
      this.#lookup.onFound(message);
      return;
    }
    const sender = this.#senderOf(from, message);
    if (sender === undefined) return;
    this.#ring.heard(sender);
    // One that has left helps others for a while, but is no member any more, whatever it sent before or sends still.
    const member = this.#ring.alive(sender.record);
    switch (message.t) {
      case 'find_successor':
        if (member && (message.origin.id !== sender.id || message.purpose !== 'join')) sender.member = true;
        return this.#answer.onFind(sender, message);
      case 'found':
        if (message.owner.id !== sender.id || !member) return this.#ctx.drop('unexpected');
        sender.member = true;
        if (!this.#lookup.onFound(message)) this.#ctx.drop('unexpected');
        return;
      case 'busy':
        return this.#onBusy(sender, message.query);
      case 'state.get':
        return this.#stabiliser.onStateGet(sender, message);
      case 'state':
        if (!member) return this.#ctx.drop('not-member');
        this.#answer.admitted(sender.id);
        if (message.predecessor !== null) this.#fingers.doubt(sender.id, message.predecessor.id);
        return this.#stabiliser.onState(sender, message);
      case 'notify':
        if (!member) return this.#ctx.drop('not-member');
        this.#answer.admitted(sender.id);
        return this.#stabiliser.onNotify(sender, message);
      case 'ping':
        return this.#stabiliser.onPing(sender, message);
      case 'pong':
        if (this.#requests.answered(message.query, sender.id)?.kind === 'ping') this.#stabiliser.onPong();
        return;
      case 'leaving':
        return this.#leave.onLeaving(sender, message);
      case 'leaving.heard':
        return this.#leave.onHeard(sender, message.query);
    }
  }

  leave(): void {
    this.#leave.begin();
  }

  /** Does what is due, then lets everything follow that the input has caused. */
  settle(): void {
    // Without a resource daemon there is no way out, and nobody's silence means anything.
    if (!this.#ctx.connected) return;
    this.#expire();
    this.#ring.tick();
    this.#answer.tick();
    this.#lookup.tick();
    this.#join.tick();
    this.#reunion.tick();
    this.#follow();
    this.#stabiliser.tick();
    this.#fingers.tick();
    this.#proximity.tick();
    this.#leave.tick();
    this.#follow();
    if (this.#isUnsettled()) this.#provide();
    this.#leave.settle();
    this.#report();
  }

  /** Whether something has happened on which tunnels and routes depend, or it is time for one of them. */
  #isUnsettled(): boolean {
    const { now } = this.#ctx;
    const due = earlier(earlier(this.#neighbours.due(), this.#routes.due()), this.#settledUntil);
    if (due !== undefined && due <= now) return true;
    return this.#settledPhase !== this.#ring.phase || this.#settled !== this.#versions();
  }

  /** Tunnels and routes as the ring wants them. */
  #provide(): void {
    const { peers, graves } = this.#ring;
    const { now } = this.#ctx;
    this.#neighbours.reconcile((id) => this.#routes.uses(id));
    this.#routes.settle();
    this.#settled = this.#versions();
    this.#settledPhase = this.#ring.phase;
    this.#settledUntil = graves.forgottenAt(now);
    for (const { lapsesAt } of peers.all()) {
      if (lapsesAt > now) this.#settledUntil = earlier(this.#settledUntil, lapsesAt);
    }
  }

  #versions(): number {
    const pointers = this.#ring.version + this.#fingers.version;
    return pointers + this.#neighbours.version + this.#proximity.version + this.#routes.version;
  }

  due(): Millis | undefined {
    if (!this.#ctx.connected) return undefined;
    let due: Millis | undefined;
    for (const part of this.#parts) due = earlier(due, part.due());
    return due;
  }

  /** The neighbour that sent this, if it came over the tunnel to it and from its present life. */
  #senderOf(from: Endpoint, message: P2pdMessage): Peer | undefined {
    const peer = this.#ring.peers.get(message.id);
    if (peer?.remote === undefined) {
      this.#ctx.drop('stranger');
      return undefined;
    }
    if (peer.record.incarnation !== message.incarnation) {
      this.#ctx.drop('incarnation');
      return undefined;
    }
    // The data plane lets a link address in by its own tunnel only. A stable address proves less: it may come any way.
    if (from.address !== peer.remote.address || from.port !== peer.remote.port) {
      this.#ctx.drop('address');
      return undefined;
    }
    return peer;
  }

  #onTunnelUp(tunnel: Extract<ToP2pd, { t: 'tunnel.up' }>['tunnel']): void {
    if (tunnel.key === this.#ctx.id || tunnel.peer.id !== tunnel.key) return this.#ctx.drop('unexpected');
    const wasDead = !this.#ring.alive(tunnel.peer);
    const peer = this.#neighbours.onUp(tunnel);
    if (peer === undefined) return;
    if (this.#ring.serving) this.#stabiliser.push(peer.id);
    this.#answer.onUp(peer);
    this.#join.onUp(peer.id);
    const { first } = this.#ring.chord;
    if (first !== undefined && (peer.id === first.id || between(this.#ctx.id, peer.id, first.id)))
      this.#stabiliser.urge();
    this.#reunion.onUp(peer, wasDead);
  }

  #onBusy(sender: Peer, query: number): void {
    if (this.#lookup.onBusy(query) || this.#answer.onBusy(query)) return;
    const request = this.#requests.answered(query, sender.id);
    if (request === undefined) return this.#ctx.drop('unexpected');
    if (request.kind !== 'leaving') this.#stabiliser.onBusy(sender, query);
  }

  #onEntered(): void {
    this.#stabiliser.pushToAll();
    this.#stabiliser.urge();
    this.#stabiliser.urgeGossip();
    this.#fingers.hurry();
  }

  #onGone(id: Id): void {
    this.#fingers.remove(id);
    this.#proximity.onGone(id);
    this.#stabiliser.onGone(id);
  }

  /** Questions that remained unanswered. */
  #expire(): void {
    for (const request of this.#requests.expire(this.#ctx.now)) {
      const peer = this.#ring.peers.get(request.peer);
      if (request.kind === 'stabilise') this.#stabiliser.onMiss(request.query);
      if (peer === undefined || request.kind === 'leaving') continue;
      peer.misses++;
      if (peer.misses >= MISSES_MAX) this.#ring.bury(peer.record, 'silent');
    }
  }

  /** What changed in the ring sets the other parts going. */
  #follow(): void {
    const { chord, phase } = this.#ring;
    if (chord.version === this.#version && phase === this.#phase) return;
    this.#version = chord.version;
    this.#phase = phase;
    this.#stabiliser.urge();
    this.#stabiliser.urgeGossip();
    this.#fingers.revise();
  }

  #report(): void {
    const { chord, phase } = this.#ring;
    const versions = `${phase} ${chord.version} ${this.#fingers.version}`;
    if (versions === this.#reportedVersions || !this.#ctx.connected) return;
    this.#reportedVersions = versions;
    const report: RingReportMessage = {
      phase,
      predecessor: chord.predecessor?.id ?? null,
      successors: chord.successors.map(({ id }) => id),
      fingers: this.#fingers.entries.map(([bit, { id }]) => ({ bit, node: id })),
    };
    const fingers = report.fingers.map(({ bit, node }) => `${bit}:${node}`);
    const text = [phase, report.predecessor, ...report.successors, ...fingers].join();
    if (text === this.#reported) return;
    this.#reported = text;
    this.#ctx.toRd({ t: 'ring.report', ...report });
  }
}
