/**
 * Asks the address server for one node's link pairs. One question at a time: what is asked again after a lost answer
 * never comes after something that was asked later.
 */

import { type AddressLink, type LinkEvents, type Seal, tcpLink, tlsLink, udpLink } from './address-links.ts';
import { sealKey } from './address-seal.ts';
import { fail } from './errors.ts';
import { type Clock, systemClock } from './lib/clock.ts';
import { ok, type Result } from './lib/result.ts';
import {
  ADDRESS_PAIRS_MAX,
  ADDRESS_VERSION,
  type FromAddressServer,
  fromAddressServerCodec,
  PAIRS_END,
  type ToAddressServer,
  toAddressServerCodec,
} from './messages/address.ts';
import type { AddressServer } from './om-api.ts';
import { formatEndpoint, type Identity } from './om-transport.ts';
import { serialOf } from './revocation-list.ts';

export type AddressClientOptions = {
  /** Of the overlay manager. */
  readonly host: string;
  readonly caPem: string;
  /** The node's certificate and key. */
  readonly identity: Identity;
  /** Asks the overlay manager with that certificate where the address server is. Called when that is not known. */
  readonly locate: () => Promise<Result<AddressServer>>;
  /** How long a question may go unanswered, milliseconds. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
};

/** OM_UNREACHABLE where it does not answer; otherwise what it refuses with. A call never throws. */
export type AddressClient = {
  /**
   * Leases up to `count` pairs, at most ADDRESS_PAIRS_MAX, for LEASE_MS; POOL_EXHAUSTED where there is none. The same
   * `request` again gets the same pairs: 16 to 32 hexadecimal digits, an even number.
   */
  lease(request: string, count: number): Promise<Result<number[]>>;
  /** Extends the lease of these pairs to LEASE_MS and frees all others of the node. Those that are on lease. */
  keep(pairs: readonly number[]): Promise<Result<number[]>>;
  release(pairs: readonly number[]): Promise<Result<void>>;
  /** Gives up what is being asked, and takes no more questions. */
  close(): void;
};

export function createAddressClient(options: AddressClientOptions): AddressClient {
  return new Client(options);
}

const ANSWER_MS = 10_000;
/** First wait for an answer over UDP, milliseconds; doubled with each repetition. */
const REPEAT_MS = 250;
const REPEAT_MS_MAX = 2000;
/** A connection on which nothing is asked for so long is closed, milliseconds: before the server does it. */
const IDLE_MS = 20_000;
/** Times that one question may be behind the server's counter. */
const STALE_MAX = 4;

type Order = Pick<ToAddressServer, 'version' | 'epoch' | 'counter'>;
type Outcome = FromAddressServer | { readonly t: 'silence' } | { readonly t: 'broken'; readonly why: string };

class Client implements AddressClient {
  readonly #options: AddressClientOptions;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #turn: Promise<unknown> = Promise.resolve();
  #server: AddressServer | undefined;
  #link: AddressLink | undefined;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;
  #epoch = 0;
  /** Begins with the time, so that a node that starts anew is seldom behind itself. */
  #counter: number;
  #pending: { readonly counters: ReadonlySet<number>; readonly settle: (outcome: Outcome) => void } | undefined;

  constructor(options: AddressClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#timeoutMs = options.timeoutMs ?? ANSWER_MS;
    this.#counter = Math.floor(this.#clock.wall()) * 1000;
  }

  async lease(request: string, count: number): Promise<Result<number[]>> {
    const bytes = Uint8Array.from(Buffer.from(request, 'hex'));
    const answer = await this.#inTurn((order) => ({ t: 'lease', ...order, request: bytes, count }));
    return answer.ok ? pairsOf(answer.value) : answer;
  }

  async keep(pairs: readonly number[]): Promise<Result<number[]>> {
    const kept: number[] = [];
    for (const span of spansOf(pairs)) {
      const answer = await this.#inTurn((order) => ({ t: 'keep', ...order, ...span }));
      const some = answer.ok ? pairsOf(answer.value) : answer;
      if (!some.ok) return some;
      kept.push(...some.value);
    }
    return ok(kept);
  }

  async release(pairs: readonly number[]): Promise<Result<void>> {
    for (let at = 0; at < pairs.length; at += ADDRESS_PAIRS_MAX) {
      const some = pairs.slice(at, at + ADDRESS_PAIRS_MAX);
      const answer = await this.#inTurn((order) => ({ t: 'release', ...order, pairs: some }));
      if (!answer.ok) return answer;
    }
    return ok();
  }

  close(): void {
    this.#isClosed = true;
    this.#unlink();
    this.#pending?.settle({ t: 'broken', why: 'it was given up' });
  }

  #unlink(): void {
    clearTimeout(this.#idle);
    this.#link?.close();
    this.#link = undefined;
  }

  #inTurn(questionOf: (order: Order) => ToAddressServer): Promise<Result<FromAddressServer>> {
    const answer = this.#turn.then(() => this.#ask(questionOf));
    this.#turn = answer;
    return answer;
  }

  async #ask(questionOf: (order: Order) => ToAddressServer): Promise<Result<FromAddressServer>> {
    if (this.#isClosed) return fail('OM_UNREACHABLE', 'The address server is not asked any more.');
    clearTimeout(this.#idle);
    const until = this.#clock.now() + this.#timeoutMs;
    const counters = new Set<number>();
    let repeatMs = REPEAT_MS;
    let stale = 0;
    let breaks = 0;
    for (;;) {
      const server = await this.#locate();
      if (!server.ok) return server;
      const isLossy = server.value.transport === 'udp';
      const counter = ++this.#counter;
      counters.add(counter);
      const question = questionOf({ version: ADDRESS_VERSION, epoch: this.#epoch, counter });
      const leftMs = Math.max(0, until - this.#clock.now());
      const outcome = await this.#exchange(
        server.value,
        question,
        counters,
        isLossy ? Math.min(repeatMs, leftMs) : leftMs,
      );
      switch (outcome.t) {
        case 'stale':
          this.#epoch = outcome.epoch;
          this.#counter = Math.max(this.#counter, outcome.highest);
          if (++stale > STALE_MAX) return this.#unreachable(server.value, 'it finds every request late');
          continue;
        case 'silence':
          repeatMs = Math.min(repeatMs * 2, REPEAT_MS_MAX);
          if (this.#clock.now() < until) continue;
          return this.#unreachable(server.value, 'no answer in time');
        case 'broken': {
          // It may have started anew, on another port and with another secret.
          const why = this.#unreachable(server.value, outcome.why);
          if (++breaks > 1 || this.#isClosed || this.#clock.now() >= until) return why;
          continue;
        }
        case 'refused':
          this.#rest();
          return fail(outcome.code);
        case 'leased':
        case 'kept':
        case 'released':
          this.#rest();
          return ok(outcome);
      }
    }
  }

  async #locate(): Promise<Result<AddressServer>> {
    if (this.#server !== undefined) return ok(this.#server);
    const located = await this.#options.locate();
    if (located.ok) this.#server = located.value;
    return located;
  }

  #exchange(
    server: AddressServer,
    question: ToAddressServer,
    counters: ReadonlySet<number>,
    waitMs: number,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      const settle = (outcome: Outcome): void => {
        clearTimeout(timer);
        this.#pending = undefined;
        resolve(outcome);
      };
      const timer = setTimeout(() => settle({ t: 'silence' }), waitMs);
      this.#pending = { counters, settle };
      this.#link ??= this.#open(server);
      this.#link.send(toAddressServerCodec.encode(question));
    });
  }

  #open({ transport, port, secret }: AddressServer): AddressLink {
    const { host, caPem, identity } = this.#options;
    const events: LinkEvents = {
      message: (bytes) => {
        const answer = fromAddressServerCodec.decode(bytes);
        if (answer.ok && this.#pending?.counters.has(answer.value.counter) === true) this.#pending.settle(answer.value);
      },
      broken: (why) => {
        this.#unlink();
        this.#pending?.settle({ t: 'broken', why });
      },
    };
    if (transport === 'tls') return tlsLink({ host, port }, caPem, identity, events);
    const seal: Seal = { serial: serialOf(identity.certPem), key: sealKey(Buffer.from(secret ?? '', 'base64')) };
    return (transport === 'tcp' ? tcpLink : udpLink)({ host, port }, seal, events);
  }

  /** A process that has nothing else to do ends. */
  #rest(): void {
    this.#idle = setTimeout(() => this.#unlink(), IDLE_MS).unref();
  }

  #unreachable({ transport, port }: AddressServer, why: string): Result<never> {
    this.#unlink();
    this.#server = undefined;
    const endpoint = formatEndpoint({ host: this.#options.host, port });
    const text = `The address server at ${endpoint} does not answer by ${transport} (${why})`;
    return fail('OM_UNREACHABLE', `${text}; check that it runs and can be reached.`);
  }
}

function pairsOf(answer: FromAddressServer): Result<number[]> {
  return 'pairs' in answer ? ok(answer.pairs) : fail('BAD_MESSAGE');
}

/** All pairs there may be, in spans of which each has no more of these than one message may name. */
function spansOf(pairs: readonly number[]): { from: number; until: number; pairs: number[] }[] {
  const sorted = [...pairs].sort((a, b) => a - b);
  const spans: { from: number; until: number; pairs: number[] }[] = [];
  for (let at = 0, from = 0; at < Math.max(1, sorted.length); at += ADDRESS_PAIRS_MAX) {
    const until = sorted[at + ADDRESS_PAIRS_MAX] ?? PAIRS_END;
    spans.push({ from, until, pairs: sorted.slice(at, at + ADDRESS_PAIRS_MAX) });
    from = until;
  }
  return spans;
}
