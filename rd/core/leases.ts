/**
 * Link pairs of one virtual node: leased from the address server in blocks ahead of need, so that setting up a tunnel
 * never waits for it, and handed back where there are too many.
 */
import type { Millis } from '../../overlay/lib/clock.ts';
import { after } from '../../overlay/lib/clock.ts';
import {
  LEASE_BLOCK,
  LEASE_BLOCK_MIN,
  LEASE_BLOCK_PART,
  LEASE_EXTEND_AFTER,
  LEASE_RETRY_MS,
  LEASE_RETRY_MS_MAX,
  LEASE_SPARE_BLOCKS,
  PAIR_REST_MS,
} from './limits.ts';

type FreePair = { readonly pair: number; readonly restsUntil: number };

export type LeaseOrder =
  | { readonly kind: 'leases.request'; readonly request: string; readonly count: number }
  | { readonly kind: 'leases.keep'; readonly pairs: readonly number[] }
  | { readonly kind: 'leases.changed'; readonly pairs: readonly number[]; readonly msLeft: number };

export type LeaseOptions = {
  readonly pairs: readonly number[];
  readonly msLeft: number;
  /** Begins the ids of requests; unlike any used before for this node. Hexadecimal, 8 to 24 digits. */
  readonly requestPrefix: string;
  /** See blockOf. */
  readonly block: number;
};

/** How many pairs a node of a VI with so many pairs fetches at once. */
export function blockOf(capacity: number): number {
  return Math.max(LEASE_BLOCK_MIN, Math.min(LEASE_BLOCK, Math.floor(capacity * LEASE_BLOCK_PART)));
}

export class Leases {
  /** Oldest first, so that a pair lies still as long as possible before it names another tunnel. */
  #free: FreePair[] = [];
  readonly #used = new Set<number>();
  readonly #orders: LeaseOrder[] = [];
  readonly #prefix: string;
  readonly #block: number;
  #counter = 0;
  #pending: string | undefined;
  /** While the pairs to keep are being told, no new ones are asked for: they would not be among them. */
  #isKeeping = false;
  /** The address server has not answered yet which of them are still ours: it may count more of them as ours. */
  #owesKeep = false;
  /** In use, and not on lease any more: they do not come back. */
  readonly #lost = new Set<number>();
  #retryMs = LEASE_RETRY_MS;
  #retryAt: Millis | undefined;
  #extendAt: Millis | undefined;
  #extendRetryMs = LEASE_RETRY_MS;
  #expiresAt: Millis;

  constructor(options: LeaseOptions | undefined, now: Millis) {
    this.#prefix = options?.requestPrefix ?? '';
    this.#block = options?.block ?? 0;
    this.#expiresAt = now;
    if (options === undefined) return;
    this.#free = options.msLeft > 0 ? options.pairs.map((pair) => ({ pair, restsUntil: 0 })) : [];
    this.#expiresAt = after(now, Math.max(0, options.msLeft));
    // What is held is told first, so that pairs lost in a crash go back to the address server.
    this.#keep();
  }

  /** For a VI without numbered links: has no pairs and never asks for any. */
  static none(now: Millis): Leases {
    return new Leases(undefined, now);
  }

  get free(): number {
    return this.#free.length;
  }

  /** Every pair that is leased. */
  all(): number[] {
    return [...this.#used, ...this.#free.map((free) => free.pair)];
  }

  /** Those that were taken and not given back. */
  inUse(): number[] {
    return [...this.#used];
  }

  /** A pair for a new tunnel; undefined when none is there, and more have been asked for. */
  take(now: Millis): number | undefined {
    const rested = this.#free.findIndex((free) => free.restsUntil <= now);
    const [taken] = this.#free.splice(Math.max(0, rested), 1);
    if (taken !== undefined) this.#used.add(taken.pair);
    this.#refill();
    return taken?.pair;
  }

  /** Takes this very pair, which a peer still has for a tunnel to us. False unless it is ours and free. */
  claim(pair: number): boolean {
    const index = this.#free.findIndex((free) => free.pair === pair);
    if (index < 0) return false;
    this.#free.splice(index, 1);
    this.#used.add(pair);
    return true;
  }

  isUsed(pair: number): boolean {
    return this.#used.has(pair);
  }

  giveBack(pair: number, now: Millis): void {
    if (!this.#used.delete(pair)) throw new Error(`pair ${pair} is not in use`);
    if (this.#lost.delete(pair)) return;
    this.#free.push({ pair, restsUntil: after(now, PAIR_REST_MS) });
  }

  /** The address server's answer to a request; undefined where it did not answer. */
  granted(request: string, pairs: readonly number[] | undefined, msLeft: number, now: Millis): void {
    if (request !== this.#pending) return;
    if (pairs === undefined) {
      this.#retryAt = after(now, this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, LEASE_RETRY_MS_MAX);
      return;
    }
    this.#pending = undefined;
    this.#retryAt = undefined;
    this.#retryMs = LEASE_RETRY_MS;
    const known = new Set(this.all());
    for (const pair of pairs) if (!known.has(pair)) this.#free.push({ pair, restsUntil: now });
    const expiresAt = after(now, msLeft);
    // One date for all pairs: the earliest of them.
    if (known.size === 0 || expiresAt < this.#expiresAt) this.#expiresAt = expiresAt;
    if (!this.#owesKeep) this.#scheduleExtension(now);
    this.#changed(now);
    this.#refill();
  }

  /** The address server's answer to `leases.keep`: the pairs that are still on lease; undefined where it is silent. */
  kept(pairs: readonly number[] | undefined, msLeft: number, now: Millis): void {
    this.#isKeeping = false;
    if (pairs === undefined) {
      this.#extendAt = after(now, this.#extendRetryMs);
      this.#extendRetryMs = Math.min(this.#extendRetryMs * 2, LEASE_RETRY_MS_MAX);
      this.#refill();
      return;
    }
    this.#owesKeep = false;
    const leased = new Set(pairs);
    this.#free = this.#free.filter(({ pair }) => leased.has(pair));
    for (const pair of this.#used) if (!leased.has(pair)) this.#lost.add(pair);
    this.#extendRetryMs = LEASE_RETRY_MS;
    this.#expiresAt = after(now, msLeft);
    this.#scheduleExtension(now);
    this.#changed(now);
    this.#refill();
  }

  deadline(): Millis | undefined {
    const times = [this.#retryAt, this.#extendAt, this.#free.length > 0 ? this.#expiresAt : undefined];
    return times.reduce((least, time) => (time !== undefined && (least === undefined || time < least) ? time : least));
  }

  timer(now: Millis): void {
    if (this.#free.length > 0 && this.#expiresAt <= now) {
      // The server may have given them to others by now.
      this.#free = [];
      this.#changed(now);
      this.#refill();
    }
    if (this.#retryAt !== undefined && this.#retryAt <= now && this.#pending !== undefined) {
      this.#retryAt = undefined;
      this.#orders.push({ kind: 'leases.request', request: this.#pending, count: this.#block });
    }
    if (this.#extendAt !== undefined && this.#extendAt <= now) {
      this.#extendAt = undefined;
      // A grant in flight must not be undone by naming only what is known here.
      if (this.#pending !== undefined) this.#extendAt = after(now, LEASE_RETRY_MS);
      else this.#keep();
    }
  }

  poll(): LeaseOrder | undefined {
    return this.#orders.shift();
  }

  #keep(): void {
    this.#free.splice(0, Math.max(0, this.#free.length - LEASE_SPARE_BLOCKS * this.#block));
    this.#isKeeping = true;
    this.#owesKeep = true;
    this.#orders.push({ kind: 'leases.keep', pairs: this.all() });
  }

  #refill(): void {
    if (this.#free.length * 2 >= this.#block || this.#pending !== undefined || this.#isKeeping) return;
    this.#counter += 1;
    this.#pending = this.#prefix + this.#counter.toString(16).padStart(8, '0');
    this.#orders.push({ kind: 'leases.request', request: this.#pending, count: this.#block });
  }

  #scheduleExtension(now: Millis): void {
    this.#extendAt = after(now, Math.max(LEASE_RETRY_MS, (this.#expiresAt - now) * LEASE_EXTEND_AFTER));
  }

  #changed(now: Millis): void {
    this.#orders.push({ kind: 'leases.changed', pairs: this.all(), msLeft: Math.max(0, this.#expiresAt - now) });
  }
}
