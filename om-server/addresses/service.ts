/**
 * What the address server does, whichever way it is asked: it takes the requests of one turn of the event loop
 * together, carries them out as one transaction, and answers when that is on the disk.
 */
import { randomBytes } from 'node:crypto';
import type { ErrorCode } from '../../overlay/errors.ts';
import type { Clock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import {
  ADDRESS_VERSION,
  type FromAddressServer,
  fromAddressServerCodec,
  type ToAddressServer,
  toAddressServerCodec,
} from '../../overlay/messages/address.ts';
import type { AddressTransport } from '../../overlay/vi.ts';
import type { Leases, Lessee } from '../store/leases.ts';
import type { Caller, Callers } from './callers.ts';
import { Turns } from './turns.ts';

/** Requests of one transaction; more begin another. */
export const BATCH_MAX = 1024;
/** A turn of the event loop that brings so many is followed by another before they are carried out: more are waiting. */
const GATHER = 16;
const EPOCH_BYTES = 6;

/** Takes the answer, not sealed. */
export type Reply = (answer: Uint8Array) => void;

export type ServiceOptions = {
  readonly callers: Callers;
  readonly leases: Leases;
  readonly clock: Clock;
  readonly log: Log;
  /** That one node may make. */
  readonly requestsPerSecond: number;
};

type Waiting = { readonly caller: Caller; readonly message: ToAddressServer; readonly reply: Reply };

export class AddressService {
  readonly callers: Callers;
  readonly #leases: Leases;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #turns: Turns;
  readonly #epoch = randomBytes(EPOCH_BYTES).readUIntBE(0, EPOCH_BYTES);
  #waiting: Waiting[] = [];

  constructor({ callers, leases, clock, log, requestsPerSecond }: ServiceOptions) {
    this.callers = callers;
    this.#leases = leases;
    this.#clock = clock;
    this.#log = log;
    this.#turns = new Turns(requestsPerSecond);
  }

  /** False for what is no request; it gets no answer. The caller is known to be who it says. */
  ask(caller: Caller, transport: AddressTransport, bytes: Uint8Array, reply: Reply): boolean {
    const decoded = toAddressServerCodec.decode(bytes);
    if (!decoded.ok) return false;
    const message = decoded.value;
    const standing = this.callers.standing(caller, this.#clock.wall());
    const refusal = standing.ok ? refusalOf(message, standing.value, transport) : standing.code;
    if (refusal !== undefined || !standing.ok) {
      this.#answer(reply, { t: 'refused', counter: message.counter, code: refusal ?? 'NODE_REMOVED' });
      return true;
    }
    const epoch = this.#epoch;
    const turn = this.#turns.take(
      standing.value.node,
      message.epoch === epoch ? message.counter : -1,
      this.#clock.now(),
    );
    if (turn.kind === 'next') this.#enqueue({ caller, message, reply });
    else if (turn.kind === 'too-many')
      this.#answer(reply, { t: 'refused', counter: message.counter, code: 'LIMIT_REACHED' });
    else this.#answer(reply, { t: 'stale', counter: message.counter, epoch, highest: Math.max(0, turn.highest) });
    return true;
  }

  /** Carries out and answers what is waiting. */
  flush(): void {
    const batch = this.#waiting;
    if (batch.length === 0) return;
    this.#waiting = [];
    const now = this.#clock.wall();
    let answers: FromAddressServer[];
    try {
      answers = this.#leases.batch(() => batch.map(({ caller, message }) => this.#carryOut(caller, message, now)));
    } catch (error) {
      this.#log.error({ err: error, requests: batch.length }, 'requests for addresses could not be written down');
      answers = batch.map(({ message }) => ({ t: 'refused', counter: message.counter, code: 'SYSTEM' }));
    }
    for (const [i, { reply }] of batch.entries()) this.#answer(reply, answers[i] as FromAddressServer);
  }

  #enqueue(waiting: Waiting): void {
    this.#waiting.push(waiting);
    if (this.#waiting.length === 1) setImmediate(() => this.#gather(0));
    else if (this.#waiting.length >= BATCH_MAX) this.flush();
  }

  /** `before`: how many were waiting a turn ago. */
  #gather(before: number): void {
    const { length } = this.#waiting;
    if (length - before >= GATHER) setImmediate(() => this.#gather(length));
    else this.flush();
  }

  #carryOut(caller: Caller, message: ToAddressServer, now: number): FromAddressServer {
    const { counter } = message;
    // It may have been removed, or its VI, since it asked.
    const standing = this.callers.standing(caller, now);
    if (!standing.ok) return { t: 'refused', counter, code: standing.code };
    const lessee = standing.value;
    if (message.t === 'keep') {
      return { t: 'kept', counter, pairs: this.#leases.keep(lessee, message, message.pairs, now) };
    }
    if (message.t === 'release') {
      this.#leases.release(lessee, message.pairs);
      return { t: 'released', counter };
    }
    const request = Buffer.from(message.request).toString('hex');
    const leased = this.#leases.lease(lessee, request, message.count, now);
    return leased.ok
      ? { t: 'leased', counter, pairs: [...leased.value] }
      : { t: 'refused', counter, code: leased.code };
  }

  #answer(reply: Reply, answer: FromAddressServer): void {
    reply(fromAddressServerCodec.encode(answer));
  }
}

function refusalOf({ version }: ToAddressServer, { vi }: Lessee, transport: AddressTransport): ErrorCode | undefined {
  if (version !== ADDRESS_VERSION) return 'BAD_VERSION';
  return vi.definition.addressServer.transport === transport ? undefined : 'NOT_PERMITTED';
}
