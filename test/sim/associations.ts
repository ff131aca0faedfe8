/**
 * The associations between simulated resource daemons, as the data plane keeps them: a handshake of six datagrams that
 * may be lost and are repeated, one association for two daemons that began at once, another beside it when a daemon
 * began anew, and an end when nothing is heard for long or the other end says goodbye. Keep-alives are not sent one by
 * one: an end falls silent to the other the moment that no keep-alive would pass, and speaks again when one would.
 */
import { fraction, type Rng } from '../../overlay/lib/rng.ts';
import type { RdMessage } from '../../overlay/messages/rd-rd.ts';
import type { AssociationDown, AssociationRef } from '../../rd/core/io.ts';
import type { BaseNetwork } from './base-network.ts';
import { KIND } from './events.ts';

const HANDSHAKE_MS = 5000;
const REPEAT_MS = 250;
const REPEAT_MS_MAX = 2000;
/** Control messages that came before the last datagram of the handshake. */
const EARLY_MAX = 16;

/** An association as one of its ends has it. */
export type End = {
  readonly machine: number;
  readonly peer: number;
  readonly ref: AssociationRef;
  association: Association;
  state: 'handshake' | 'up' | 'gone';
  /** The daemon has heard of it, and so hears of its end. */
  known: boolean;
  /** Nothing has been heard since it counts this spell; 0 while it hears something. */
  spell: number;
  readonly early: RdMessage[];
};

export type Association = {
  readonly random: number;
  readonly startedAt: number;
  readonly client: End;
  server: End | undefined;
  repeatMs: number;
  /** It gave way to one that the other daemon began. */
  void: boolean;
};

type Slot = { current: End | undefined; pending: End | undefined };

/** What the associations need of the world. */
export type Surroundings = {
  readonly rng: Rng;
  readonly network: BaseNetwork;
  readonly keepAliveMs: number;
  readonly silenceMs: number;
  now(): number;
  post(ms: number, kind: number, node: number, extra: number, body: unknown): void;
  /** Its resource daemon lives and does not stand still. */
  isRunning(machine: number): boolean;
  up(end: End): void;
  down(end: End, reason: AssociationDown): void;
};

export class Associations {
  readonly #world: Surroundings;
  readonly #slots: Map<number, Slot>[] = [];
  readonly #ends: Map<AssociationRef, End>[] = [];
  #refs = 0;
  /** Datagrams of handshakes that were sent. */
  flights = 0;
  #spells = 0;

  constructor(world: Surroundings) {
    this.#world = world;
  }

  end(machine: number, ref: AssociationRef): End | undefined {
    return this.#ends[machine]?.get(ref);
  }

  endsOf(machine: number): Iterable<End> {
    return this.#ends[machine]?.values() ?? [];
  }

  /** The end of the other machine, once there is one. */
  other(end: End): End | undefined {
    const { client, server } = end.association;
    return end === client ? server : client;
  }

  associate(machine: number, peer: number): AssociationRef {
    const slot = this.#slot(machine, peer);
    if (slot.current !== undefined) {
      slot.current.known = true;
      return slot.current.ref;
    }
    const { rng } = this.#world;
    const association = { random: rng.uint32(), startedAt: this.#world.now(), repeatMs: REPEAT_MS } as Association;
    const client = this.#makeEnd(machine, peer, association);
    Object.assign(association, { client, server: undefined, void: false });
    client.known = true;
    slot.current = client;
    this.#fly(association, 1);
    this.#limit(client);
    return client.ref;
  }

  close(machine: number, ref: AssociationRef): void {
    const end = this.end(machine, ref);
    if (end !== undefined) this.#finish(end, 'closed');
  }

  send(machine: number, ref: AssociationRef, message: RdMessage): void {
    const end = this.end(machine, ref);
    if (end?.state !== 'up') return;
    const other = this.other(end);
    const ms = this.#world.network.delay(machine, end.peer);
    if (other !== undefined && ms !== undefined)
      this.#world.post(ms, KIND.CONTROL, end.peer, 0, { end: other, message });
  }

  /** Whether the daemon hears this control message now; one that comes a little early is kept. */
  accepts(end: End, message: RdMessage): boolean {
    if (end.state === 'handshake' && end.early.length < EARLY_MAX) end.early.push(message);
    return end.state === 'up';
  }

  /** The daemon died without a word. */
  vanish(machine: number): void {
    const ends = [...this.endsOf(machine)];
    this.#ends[machine]?.clear();
    this.#slots[machine]?.clear();
    for (const end of ends) end.state = 'gone';
    for (const end of ends) this.#listen(this.other(end));
  }

  /** What passes between the two, or whether one of them runs, may have changed. */
  recheck(machine: number): void {
    for (const end of this.endsOf(machine)) {
      this.#listen(end);
      this.#listen(this.other(end));
    }
  }

  onFlight(association: Association, flight: number): void {
    const { client } = association;
    if (association.void || client.state !== 'handshake') return;
    const receiver = flight % 2 === 1 ? client.peer : client.machine;
    if (!this.#world.isRunning(receiver)) return this.#repeatLater(association, flight);
    switch (flight) {
      case 1:
        if (!this.#givesWay(association)) return this.#repeatLater(association, flight);
        break;
      case 3:
        if (!this.#accept(association)) return this.#repeatLater(association, flight);
        break;
      case 5:
        if (association.server?.state === 'handshake') this.#establish(association.server);
        if (association.server?.state !== 'up') return this.#repeatLater(association, 1);
        break;
      case 6:
        return this.#establish(client);
    }
    this.#fly(association, flight + 1);
  }

  onRepeat(association: Association, flight: number): void {
    const { client } = association;
    if (association.void || client.state !== 'handshake') return;
    if (this.#world.isRunning(client.machine)) this.#fly(association, flight);
    else this.#repeatLater(association, flight);
  }

  onHandshakeOver(end: End): void {
    const isOver = end.association.startedAt + HANDSHAKE_MS <= this.#world.now();
    if (end.state === 'handshake' && isOver) this.#finish(end, 'timeout');
  }

  onSilence(end: End, spell: number): void {
    if (end.spell === spell && end.state === 'up') this.#finish(end, 'lost');
  }

  onGoodbye(end: End): void {
    if (end.state === 'up') this.#finish(end, 'lost', false);
  }

  #fly(association: Association, flight: number): void {
    const { client } = association;
    const { network } = this.#world;
    this.flights++;
    const [from, to] = flight % 2 === 1 ? [client.machine, client.peer] : [client.peer, client.machine];
    const isOpen = flight % 2 === 0 || network.canBegin(from, to);
    const ms = isOpen ? network.delay(from, to) : undefined;
    if (ms === undefined) this.#repeatLater(association, flight);
    else this.#world.post(ms, KIND.FLIGHT, to, flight, association);
  }

  /** The client repeats what the lost datagram was, or answered. */
  #repeatLater(association: Association, flight: number): void {
    const { client } = association;
    const own = flight % 2 === 1 ? flight : flight - 1;
    this.#world.post(association.repeatMs, KIND.REPEAT, client.machine, own, association);
    association.repeatMs = Math.min(2 * association.repeatMs, REPEAT_MS_MAX);
  }

  /** Both began: the larger random stays client. */
  #givesWay({ client, random }: Association): boolean {
    const current = this.#slots[client.peer]?.get(client.machine)?.current;
    const weBegan = current?.state === 'handshake' && current.association.client === current;
    return !weBegan || current.association.random < random;
  }

  #accept(association: Association): boolean {
    const { client } = association;
    if (association.server !== undefined && association.server.state !== 'gone') return true;
    if (!this.#givesWay(association)) return false;
    const slot = this.#slot(client.peer, client.machine);
    const { current } = slot;
    if (current?.state === 'up') {
      if (slot.pending !== undefined) this.#forget(slot.pending);
      slot.pending = this.#makeEnd(client.peer, client.machine, association);
      association.server = slot.pending;
      this.#limit(slot.pending);
      return true;
    }
    if (current === undefined) {
      slot.current = this.#makeEnd(client.peer, client.machine, association);
      association.server = slot.current;
      this.#limit(slot.current);
      return true;
    }
    // A handshake of ours gives way, under the name that the daemon knows it by.
    current.association.void = true;
    current.association = association;
    association.server = current;
    this.#limit(current);
    return true;
  }

  #limit(end: End): void {
    const ms = end.association.startedAt + HANDSHAKE_MS - this.#world.now();
    this.#world.post(ms, KIND.HANDSHAKE_OVER, end.machine, 0, end);
  }

  #establish(end: End): void {
    const slot = this.#slot(end.machine, end.peer);
    if (slot.pending === end) {
      const old = slot.current;
      slot.pending = undefined;
      // Before the daemon hears of the old one's end: it may look for another at once, and is to find this one.
      slot.current = end;
      if (old !== undefined) this.#finish(old, 'replaced', false);
    }
    end.state = 'up';
    end.known = true;
    this.#world.up(end);
    this.#listen(end);
    this.#listen(this.other(end));
    for (const message of end.early.splice(0)) this.#world.post(0, KIND.CONTROL, end.machine, 0, { end, message });
  }

  #finish(end: End, reason: AssociationDown, goodbye = true): void {
    const { state } = end;
    if (state === 'gone') return;
    this.#forget(end);
    const other = this.other(end);
    if (state === 'up' && goodbye && other !== undefined) {
      const ms = this.#world.network.delay(end.machine, end.peer);
      if (ms !== undefined) this.#world.post(ms, KIND.GOODBYE, end.peer, 0, other);
    }
    if (end.known) this.#world.down(end, reason);
    this.#listen(other);
  }

  #forget(end: End): void {
    end.state = 'gone';
    this.#ends[end.machine]?.delete(end.ref);
    const slot = this.#slots[end.machine]?.get(end.peer);
    if (slot === undefined) return;
    if (slot.pending === end) slot.pending = undefined;
    if (slot.current === end) {
      slot.current = slot.pending;
      slot.pending = undefined;
    }
    if (slot.current === undefined) this.#slots[end.machine]?.delete(end.peer);
  }

  /** Begins to count silence, or ends it. */
  #listen(end: End | undefined): void {
    if (end?.state !== 'up') return;
    const other = this.other(end);
    const { network, keepAliveMs, silenceMs, rng } = this.#world;
    const speaks = other?.state === 'up' && this.#world.isRunning(end.peer) && network.passes(end.peer, end.machine);
    if (speaks) end.spell = 0;
    else if (end.spell === 0) {
      end.spell = ++this.#spells;
      // The last keep-alive came up to one period ago.
      this.#world.post(silenceMs - keepAliveMs * fraction(rng), KIND.SILENCE, end.machine, end.spell, end);
    }
  }

  #makeEnd(machine: number, peer: number, association: Association): End {
    const ref = ++this.#refs as AssociationRef;
    const end: End = { machine, peer, ref, association, state: 'handshake', known: false, spell: 0, early: [] };
    this.#ends[machine] ??= new Map();
    this.#ends[machine].set(ref, end);
    return end;
  }

  #slot(machine: number, peer: number): Slot {
    this.#slots[machine] ??= new Map();
    let slot = this.#slots[machine].get(peer);
    if (slot === undefined) {
      slot = { current: undefined, pending: undefined };
      this.#slots[machine].set(peer, slot);
    }
    return slot;
  }
}
