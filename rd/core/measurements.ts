/**
 * Round-trip time and capacity of the base network's paths, measured for P2P daemons. It is done inside an association:
 * both ends are authenticated, so a third party gets no more than copies of a handshake's first datagram, whoever made
 * up a contact with its address. Where no association leads to the peer one is made, kept for a moment in case the peer is
 * chosen, and closed.
 *
 * What is measured is remembered by the peer's daemon and answers later questions for a while, failures too. How much is
 * measured is limited by node, by daemon, and, where an association has to be made, by host: a contact is only what
 * somebody said.
 */
import type { ErrorCode } from '../../overlay/errors.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import type { ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { Allowance } from './allowance.ts';
import type { Associations } from './associations.ts';
import type { ContactInfo } from './contact.ts';
import { type AssociationRef, type NodeRef, type Output, SELF } from './io.ts';
import {
  MEASURE_ALL,
  MEASURE_ASKS_MAX,
  MEASURE_CAPACITIES,
  MEASURE_CAPACITY_FRESH_MS,
  MEASURE_FAILED_FRESH_MS,
  MEASURE_GIVE_UP_MS,
  MEASURE_HOSTS_MAX,
  MEASURE_KNOWN_MAX,
  MEASURE_LINGER_MS,
  MEASURE_NODE,
  MEASURE_RTT_FRESH_MS,
  MEASURE_STRANGERS,
  MEASURE_STRANGERS_OF_HOST,
  MEASURES_MAX,
} from './limits.ts';

/** One question of a P2P daemon. */
export type Question = {
  readonly node: NodeRef;
  readonly request: number;
  /** Beside the round-trip time the bandwidth. */
  readonly capacity: boolean;
  readonly answer: (message: ToP2pd & { t: 'measured' }) => void;
};

export type Target = {
  readonly contact: ContactInfo;
  /** The one to measure; undefined: any with that daemon, or a new one. */
  readonly association: AssociationRef | undefined;
  /** The VI under which a new association is made; undefined: none is made. */
  readonly serverName: string | undefined;
};

type Running = {
  readonly questions: Question[];
  association: AssociationRef | undefined;
  /** The association is there for this only. */
  readonly isOurs: boolean;
  /** The VI under which it is made. */
  readonly serverName: string;
  /** What the data plane measures now includes the capacity. */
  capacity: boolean;
  readonly until: Millis;
};

type Value = { readonly value: number; readonly until: Millis };
type Known = { rttMs?: Value; bitsPerSecond?: Value; failed?: { readonly code: ErrorCode; readonly until: Millis } };

export class Measurements {
  readonly #associations: Associations;
  readonly #emit: (output: Output) => void;
  readonly #running = new Map<string, Running>();
  readonly #known = new Map<string, Known>();
  /** Associations made for a measurement that is over, and when they are closed unless they serve a tunnel by then. */
  readonly #lingering = new Map<AssociationRef, Millis>();
  readonly #ofNode = new Map<NodeRef, Allowance>();
  readonly #ofHost = new Map<string, Allowance>();
  #all: Allowance | undefined;
  #strangers: Allowance | undefined;
  #capacities: Allowance | undefined;

  constructor(associations: Associations, emit: (output: Output) => void) {
    this.#associations = associations;
    this.#emit = emit;
  }

  ask(question: Question, target: Target, now: Millis): void {
    const { key } = target.contact;
    const association = target.association ?? this.#associations.find(key);
    if (association === SELF) return reply(question, 0, null, question.capacity ? 'BAD_ARGUMENT' : undefined);
    if (this.#answerKnown(question, key, now)) return;
    const running = this.#running.get(key);
    if (running !== undefined && running.questions.length < MEASURE_ASKS_MAX) {
      running.questions.push(question);
      return;
    }
    const refusal = this.#refusal(question, target, association, now);
    if (refusal !== undefined) return reply(question, null, null, refusal);
    const begun: Running = {
      questions: [question],
      association: undefined,
      isOurs: association === undefined,
      serverName: target.serverName ?? '',
      capacity: false,
      until: after(now, MEASURE_GIVE_UP_MS),
    };
    this.#running.set(key, begun);
    if (association !== undefined) this.#begin(begun, association, now);
    else this.#associations.want(target.contact, begun.serverName, now);
  }

  /** The node is gone, and nobody waits for its answers. */
  forget(node: NodeRef): void {
    this.#ofNode.delete(node);
    for (const { questions } of this.#running.values()) {
      for (const question of questions.filter((other) => other.node === node)) {
        questions.splice(questions.indexOf(question), 1);
      }
    }
  }

  /** Measured by the data plane; null: no answers, or too few. */
  measured(association: AssociationRef, rttMs: number | null, bitsPerSecond: number | null, now: Millis): void {
    for (const [key, running] of this.#running) {
      if (running.association !== association) continue;
      if (rttMs === null) return this.#fail(key, 'TIMEOUT', now);
      const known = this.#remember(key);
      known.rttMs = { value: rttMs, until: after(now, MEASURE_RTT_FRESH_MS) };
      if (bitsPerSecond !== null) {
        known.bitsPerSecond = { value: bitsPerSecond, until: after(now, MEASURE_CAPACITY_FRESH_MS) };
      }
      const isMore = !running.capacity && running.questions.some(({ capacity }) => capacity);
      const mayMore = isMore && this.#mayCapacity(now);
      const asked = running.questions.splice(0);
      for (const question of asked) {
        if (question.capacity && mayMore) {
          running.questions.push(question);
          continue;
        }
        const bits = question.capacity ? bitsPerSecond : null;
        const code = isMore ? 'LIMIT_REACHED' : 'TIMEOUT';
        reply(question, rttMs, bits, question.capacity && bits === null ? code : undefined);
      }
      if (mayMore) this.#start(running, association, true);
      else this.#end(key, now);
      return;
    }
  }

  associationUp(key: string, association: AssociationRef, now: Millis): void {
    const running = this.#running.get(key);
    if (running !== undefined && running.association === undefined) this.#begin(running, association, now);
  }

  associationFailed(key: string, vi: string, code: ErrorCode, now: Millis): void {
    const running = this.#running.get(key);
    if (running?.serverName === vi && running.association === undefined) this.#fail(key, code, now);
  }

  associationDown(association: AssociationRef, now: Millis): void {
    this.#lingering.delete(association);
    for (const [key, running] of this.#running) {
      if (running.association === association) this.#fail(key, 'PEER_UNREACHABLE', now);
    }
  }

  uses(association: AssociationRef): boolean {
    for (const running of this.#running.values()) if (running.association === association) return true;
    return false;
  }

  deadline(): Millis | undefined {
    let least = Number.POSITIVE_INFINITY;
    for (const { until } of this.#running.values()) least = Math.min(least, until);
    for (const until of this.#lingering.values()) least = Math.min(least, until);
    return Number.isFinite(least) ? (least as Millis) : undefined;
  }

  /** `serves`: whether a tunnel or a measurement uses the association. */
  timer(serves: (association: AssociationRef) => boolean, now: Millis): void {
    for (const [key, running] of this.#running) if (running.until <= now) this.#fail(key, 'TIMEOUT', now);
    for (const [association, until] of this.#lingering) {
      if (until > now) continue;
      this.#lingering.delete(association);
      if (!serves(association)) this.#emit({ kind: 'association.close', association });
    }
  }

  #answerKnown(question: Question, key: string, now: Millis): boolean {
    const known = this.#known.get(key);
    const rttMs = fresh(known?.rttMs, now);
    const bits = fresh(known?.bitsPerSecond, now);
    if (rttMs !== undefined && (!question.capacity || bits !== undefined)) {
      reply(question, rttMs, question.capacity ? (bits ?? null) : null);
      return true;
    }
    if (known?.failed === undefined || known.failed.until <= now) return false;
    reply(question, null, null, known.failed.code);
    return true;
  }

  #refusal(
    { node, capacity }: Question,
    { contact, serverName }: Target,
    association: AssociationRef | undefined,
    now: Millis,
  ): ErrorCode | undefined {
    const isStranger = association === undefined;
    if (isStranger && serverName === undefined) return 'PEER_UNREACHABLE';
    if (this.#running.size >= MEASURES_MAX) return 'LIMIT_REACHED';
    const ofNode = this.#ofNode.get(node) ?? new Allowance(MEASURE_NODE, now);
    this.#ofNode.set(node, ofNode);
    if (!ofNode.take(now)) return 'LIMIT_REACHED';
    this.#all ??= new Allowance(MEASURE_ALL, now);
    if (!this.#all.take(now)) return 'LIMIT_REACHED';
    if (isStranger && !this.#mayApproach(contact, now)) return 'LIMIT_REACHED';
    return !isStranger && capacity && !this.#mayCapacity(now) ? 'LIMIT_REACHED' : undefined;
  }

  /** Whether the endpoints of a contact may be sent the beginning of a handshake: somebody may have made them up. */
  #mayApproach({ endpoints }: ContactInfo, now: Millis): boolean {
    this.#strangers ??= new Allowance(MEASURE_STRANGERS, now);
    if (!this.#strangers.take(now)) return false;
    for (const [host, allowance] of this.#ofHost) if (allowance.isFull(now)) this.#ofHost.delete(host);
    return endpoints.every(({ address }) => {
      const allowance = this.#ofHost.get(address) ?? new Allowance(MEASURE_STRANGERS_OF_HOST, now);
      if (!this.#ofHost.has(address) && this.#ofHost.size >= MEASURE_HOSTS_MAX) return false;
      this.#ofHost.set(address, allowance);
      return allowance.take(now);
    });
  }

  #mayCapacity(now: Millis): boolean {
    this.#capacities ??= new Allowance(MEASURE_CAPACITIES, now);
    return this.#capacities.take(now);
  }

  #begin(running: Running, association: AssociationRef, now: Millis): void {
    const wants = running.questions.some(({ capacity }) => capacity);
    // With an association that was there, it was allowed before.
    this.#start(running, association, wants && (!running.isOurs || this.#mayCapacity(now)));
  }

  #start(running: Running, association: AssociationRef, capacity: boolean): void {
    running.association = association;
    running.capacity = capacity;
    this.#emit({ kind: 'measure', association, capacity });
  }

  #fail(key: string, code: ErrorCode, now: Millis): void {
    const running = this.#running.get(key);
    if (running === undefined) return;
    this.#remember(key).failed = { code, until: after(now, MEASURE_FAILED_FRESH_MS) };
    for (const question of running.questions) reply(question, null, null, code);
    this.#end(key, now);
  }

  #end(key: string, now: Millis): void {
    const running = this.#running.get(key);
    this.#running.delete(key);
    if (running?.isOurs !== true || running.association === undefined) return;
    this.#lingering.set(running.association, after(now, MEASURE_LINGER_MS));
  }

  /** What is known of that daemon, to be added to; of too many, the one added to longest ago is forgotten. */
  #remember(key: string): Known {
    const known = this.#known.get(key) ?? {};
    this.#known.delete(key);
    if (this.#known.size >= MEASURE_KNOWN_MAX) {
      const oldest = this.#known.keys().next();
      if (oldest.done !== true) this.#known.delete(oldest.value);
    }
    this.#known.set(key, known);
    delete known.failed;
    return known;
  }
}

function fresh(value: Value | undefined, now: Millis): number | undefined {
  return value !== undefined && value.until > now ? value.value : undefined;
}

function reply({ request, answer }: Question, rttMs: number | null, bitsPerSecond: number | null, error?: ErrorCode) {
  answer({ t: 'measured', request, rttMs, bitsPerSecond, ...(error === undefined ? {} : { error }) });
}
