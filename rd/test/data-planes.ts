/**
 * The data planes of daemons as their cores see them: associations, one for each pair of endpoints, made by handshakes of
 * messages that may be lost and late. What native/core/association.h does, in virtual time and without bytes.
 */
import { below, fraction, type Rng } from '../../overlay/lib/rng.ts';
import { type Endpoint, type Family, familyOf, sameEndpoint } from '../core/contact.ts';
import type { AssociationDown, AssociationRef, Input } from '../core/io.ts';

const RETRANSMIT_MS = 250;
const RETRANSMIT_MS_MAX = 2000;
const HANDSHAKE_MS = 5000;
const SILENCE_MS = 2000;
const EARLY_MAX = 16;
/** Before a handshake's first answer: the cookie has made its way back and forth. */
const COOKIE_MS = 10;

/** A daemon, by what its data plane has to know. */
export type Daemon = { readonly key: string; readonly endpoints: readonly Endpoint[] };

export type Surroundings<D extends Daemon> = {
  readonly rng: Rng;
  readonly daemons: () => readonly D[];
  /** Runs it when a message of now arrives; `extraMs`: what it takes longer. */
  readonly later: (run: () => void, extraMs?: number) => void;
  readonly loss: () => number;
  /** What the way by that family takes longer, milliseconds; Infinity: nothing comes through. */
  readonly wayMs: (from: D, to: D, family: Family) => number;
  readonly input: (daemon: D, input: Input) => void;
};

type Association<D extends Daemon> = {
  readonly ref: AssociationRef;
  readonly slot: Slot<D>;
  role: 'client' | 'server';
  state: 'handshaking' | 'up' | 'gone';
  /** Of the ClientHello: where both begin, the larger one stays client. */
  random: number;
  /** Counts handshakes under this name: what belongs to an earlier one counts for nothing. */
  attempt: number;
  /** The other end of the same handshake. */
  mate: Association<D> | undefined;
  /** The caller has heard of it, and so hears of its end. */
  known: boolean;
  early: (() => void)[];
};

/** What one daemon has with one endpoint of another. `pending`: a handshake beside an association that is up. */
type Slot<D extends Daemon> = {
  readonly owner: D;
  readonly other: D;
  readonly family: Family;
  current: Association<D> | undefined;
  pending: Association<D> | undefined;
};

export class DataPlanes<D extends Daemon> {
  readonly #around: Surroundings<D>;
  readonly #slots: Slot<D>[] = [];
  readonly #associations = new Map<AssociationRef, Association<D>>();
  #last = 0;

  constructor(around: Surroundings<D>) {
    this.#around = around;
  }

  /** The handle, or undefined where the daemon has no way there. */
  associate(from: D, endpoint: Endpoint): AssociationRef | undefined {
    const family = familyOf(endpoint.address);
    const to = this.#around.daemons().find(({ endpoints }) => endpoints.some((own) => sameEndpoint(own, endpoint)));
    if (to === undefined) {
      const ref = ++this.#last as AssociationRef;
      this.#around.later(() => this.#tellDown(from, ref, 'timeout'), HANDSHAKE_MS);
      return ref;
    }
    if (!from.endpoints.some(({ address }) => familyOf(address) === family)) return undefined;
    const slot = this.#slot(from, to, family);
    if (slot.current === undefined) {
      const association = this.#make(slot, 'client');
      this.#begin(association);
      this.#around.later(() => this.#hello(association, association.attempt, RETRANSMIT_MS), COOKIE_MS);
    }
    const { current } = slot;
    if (current === undefined) throw new Error('it was just made');
    current.known = true;
    return current.ref;
  }

  close(ref: AssociationRef): void {
    const association = this.#associations.get(ref);
    if (association !== undefined) this.#end(association, 'closed');
  }

  /** `deliver` runs when it arrives, with the other end and its handle. */
  send(ref: AssociationRef, deliver: (to: D, at: AssociationRef) => void, extraMs: number): void {
    const association = this.#associations.get(ref);
    const mate = association?.mate;
    if (association?.state !== 'up' || mate === undefined) return;
    this.#transmit(
      association,
      () => {
        const arrive = (): void => deliver(mate.slot.owner, mate.ref);
        if (mate.mate !== association) return;
        if (mate.state === 'up') arrive();
        else if (mate.state === 'handshaking' && mate.early.length < EARLY_MAX) mate.early.push(arrive);
      },
      extraMs,
    );
  }

  /** What the daemon at the other end calls it, where it is up at both ends. */
  otherEnd(ref: AssociationRef): AssociationRef | undefined {
    const association = this.#associations.get(ref);
    const mate = association?.mate;
    return association?.state === 'up' && mate?.state === 'up' && mate.mate === association ? mate.ref : undefined;
  }

  /** Associations that are up, both ends counted as one. */
  get count(): number {
    return this.#slots.filter(({ current }) => current?.state === 'up').length / 2;
  }

  /** Those of `a` with `b` that are up, with the family of their way. */
  between(a: D, b: D): { ref: AssociationRef; family: Family }[] {
    return this.#slots.flatMap(({ owner, other, family, current }) =>
      owner === a && other === b && current?.state === 'up' ? [{ ref: current.ref, family }] : [],
    );
  }

  /** Both ends lose what they have with each other, not at the same time. */
  cut(a: D, b: D): void {
    for (const { ref } of this.between(a, b)) {
      const here = this.#associations.get(ref);
      const there = here?.mate;
      for (const end of [here, there]) {
        if (end === undefined) continue;
        end.mate = undefined;
        this.#around.later(() => this.#end(end, 'lost'));
      }
    }
  }

  /** The daemon is gone and says nothing. The other ends take their associations for `reason` as soon as they hear of it. */
  vanish(daemon: D, reason: 'replaced' | 'lost'): void {
    for (const slot of this.#slots) {
      if (slot.owner !== daemon) continue;
      for (const association of [slot.current, slot.pending]) {
        if (association === undefined) continue;
        const { mate } = association;
        association.known = false;
        this.#remove(association);
        if (mate === undefined) continue;
        if (reason === 'lost') this.#doubt(mate);
        else this.#around.later(() => this.#end(mate, 'replaced'));
      }
    }
  }

  // Handshakes.

  #hello(client: Association<D>, attempt: number, waitMs: number): void {
    if (client.state !== 'handshaking' || client.role !== 'client' || client.attempt !== attempt) return;
    const { random } = client;
    // Without its first answer there is nothing else to repeat.
    this.#transmit(client, () => this.#heardHello(client, random));
    this.#repeat(waitMs, (next) => this.#hello(client, attempt, next));
  }

  #heardHello(client: Association<D>, random: number): void {
    const slot = this.#slot(client.slot.other, client.slot.owner, client.slot.family);
    const { current, pending } = slot;
    if ([current, pending].some((known) => known?.mate === client && known.random === random)) return;
    const weBegan = current?.state === 'handshaking' && current.role === 'client';
    if (weBegan && current.random > random) return;
    const server = (current?.state === 'up' ? pending : current) ?? this.#make(slot, 'server');
    server.role = 'server';
    server.mate = client;
    server.random = random;
    this.#begin(server);
    this.#flight(server, client, server.attempt, RETRANSMIT_MS);
  }

  /** The server's part; the client answers it, and is up when the answer to that has come. */
  #flight(server: Association<D>, client: Association<D>, attempt: number, waitMs: number): void {
    if (server.state !== 'handshaking' || server.attempt !== attempt) return;
    this.#transmit(server, () => {
      if (client.state !== 'handshaking' || client.role !== 'client' || client.random !== server.random) return;
      if (client.mate === server) return;
      client.mate = server;
      // Records under other keys cannot be read.
      client.early = [];
      this.#finish(client, server, client.attempt, RETRANSMIT_MS);
    });
    this.#repeat(waitMs, (next) => this.#flight(server, client, attempt, next));
  }

  #finish(client: Association<D>, server: Association<D>, attempt: number, waitMs: number): void {
    if (client.state !== 'handshaking' || client.attempt !== attempt || client.mate !== server) return;
    this.#transmit(client, () => {
      if (server.mate !== client || server.state === 'gone') return;
      if (server.state === 'handshaking') this.#establish(server);
      this.#transmit(server, () => {
        if (client.state === 'handshaking' && client.mate === server) this.#establish(client);
      });
    });
    this.#repeat(waitMs, (next) => this.#finish(client, server, attempt, next));
  }

  #begin(association: Association<D>): void {
    association.attempt += 1;
    association.early = [];
    const { attempt } = association;
    this.#after(HANDSHAKE_MS, () => {
      if (association.state === 'handshaking' && association.attempt === attempt) this.#end(association, 'timeout');
    });
  }

  #establish(association: Association<D>): void {
    const { slot, mate } = association;
    if (slot.pending === association && slot.current !== undefined) this.#end(slot.current, 'replaced');
    association.state = 'up';
    association.known = true;
    this.#doubt(association);
    const endpoint = slot.other.endpoints.find(({ address }) => familyOf(address) === slot.family);
    if (endpoint === undefined || mate === undefined) throw new Error('a handshake has two ends');
    const up = { association: association.ref, endpoint, key: slot.other.key };
    this.#around.input(slot.owner, { kind: 'association.up', ...up });
    const { early } = association;
    association.early = [];
    for (const arrive of early) arrive();
  }

  // Ends.

  /** Nothing may come from the other end any more. */
  #doubt(association: Association<D>): void {
    // One that is not up yet is waited for from when it is.
    if (association.state !== 'up') return;
    this.#after(SILENCE_MS, () => {
      const { mate } = association;
      const isHeard = mate?.state === 'up' && mate.mate === association && this.#wayMs(mate) < Number.POSITIVE_INFINITY;
      if (association.state === 'up' && !isHeard) this.#end(association, 'lost');
    });
  }

  /** Ways have changed: who hears nothing from now on finds out in time. */
  doubtAll(): void {
    for (const { current } of this.#slots) if (current !== undefined) this.#doubt(current);
  }

  #end(association: Association<D>, reason: AssociationDown): void {
    if (association.state === 'gone') return;
    const { mate, slot, ref, known, state } = association;
    if (state === 'up' && reason !== 'replaced' && mate !== undefined) {
      this.#transmit(association, () => {
        if (mate.state === 'up' && mate.mate === association) this.#end(mate, 'lost');
      });
    }
    this.#remove(association);
    if (mate !== undefined) this.#doubt(mate);
    if (known) this.#tellDown(slot.owner, ref, reason);
  }

  #remove(association: Association<D>): void {
    const { slot } = association;
    association.state = 'gone';
    if (slot.pending === association) slot.pending = undefined;
    if (slot.current !== association) return;
    slot.current = slot.pending;
    slot.pending = undefined;
  }

  #tellDown(daemon: D, association: AssociationRef, reason: AssociationDown): void {
    this.#around.input(daemon, { kind: 'association.down', association, reason });
  }

  // Helpers.

  #make(slot: Slot<D>, role: 'client' | 'server'): Association<D> {
    const { rng } = this.#around;
    const fresh = { role, state: 'handshaking', random: rng.uint32(), attempt: 0, known: false } as const;
    const association: Association<D> = {
      ref: ++this.#last as AssociationRef,
      slot,
      mate: undefined,
      early: [],
      ...fresh,
    };
    this.#associations.set(association.ref, association);
    if (slot.current === undefined) slot.current = association;
    else slot.pending = association;
    return association;
  }

  #slot(owner: D, other: D, family: Family): Slot<D> {
    const is = (slot: Slot<D>): boolean => slot.owner === owner && slot.other === other && slot.family === family;
    const found = this.#slots.find(is) ?? { owner, other, family, current: undefined, pending: undefined };
    if (!this.#slots.includes(found)) this.#slots.push(found);
    return found;
  }

  #wayMs({ slot }: Association<D>): number {
    return this.#around.wayMs(slot.owner, slot.other, slot.family);
  }

  #transmit(from: Association<D>, arrive: () => void, extraMs = 0): void {
    const wayMs = this.#wayMs(from);
    if (wayMs === Number.POSITIVE_INFINITY || fraction(this.#around.rng) < this.#around.loss()) return;
    this.#around.later(arrive, wayMs + extraMs);
  }

  #repeat(waitMs: number, again: (nextMs: number) => void): void {
    this.#after(waitMs, () => again(Math.min(waitMs * 2, RETRANSMIT_MS_MAX)));
  }

  #after(ms: number, run: () => void): void {
    this.#around.later(run, ms - below(this.#around.rng, Math.min(ms, 10)));
  }
}
