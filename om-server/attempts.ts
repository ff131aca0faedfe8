/** Limits how often somebody may guess a secret. */
import { isIPv6 } from 'node:net';
import { cidrContains, formatAddress, parseAddress } from '../overlay/addresses.ts';

export const FAILURES_MAX = 30;
export const FAILURES_WINDOW_MS = 60_000;
export const SOURCES_MAX = 10_000;

type Failures = { count: number; readonly since: number };

/** Counts failures by source address in a table of fixed size; the oldest entry makes room where it is full. */
export class Attempts {
  readonly #bySource = new Map<string, Failures>();

  isBlocked(address: string, now: number): boolean {
    const failures = this.#bySource.get(sourceOf(address));
    return failures !== undefined && now - failures.since < FAILURES_WINDOW_MS && failures.count >= FAILURES_MAX;
  }

  failed(address: string, now: number): void {
    const source = sourceOf(address);
    const failures = this.#bySource.get(source);
    if (failures !== undefined && now - failures.since < FAILURES_WINDOW_MS) {
      failures.count++;
      return;
    }
    this.#bySource.delete(source);
    if (this.#bySource.size >= SOURCES_MAX) {
      const oldest = this.#bySource.keys().next().value;
      if (oldest !== undefined) this.#bySource.delete(oldest);
    }
    this.#bySource.set(source, { count: 1, since: now });
  }
}

const MAPPED = { network: Uint8Array.from([...new Uint8Array(10), 0xff, 0xff, 0, 0, 0, 0]), length: 96 };

/** An IPv4 address, or the /64 of an IPv6 address: who has one address of it has all of them. */
function sourceOf(address: string): string {
  const bytes = isIPv6(address) ? parseAddress(address) : undefined;
  if (bytes === undefined) return address;
  if (cidrContains(MAPPED, bytes)) return formatAddress(bytes.subarray(12));
  return formatAddress(Uint8Array.from([...bytes.subarray(0, 8), ...new Uint8Array(8)]));
}
