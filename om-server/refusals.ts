/** Joins that were refused, counted: anybody can send them, so that a line of the log for each would fill a disk. */
import type { ErrorCode } from '../overlay/errors.ts';

export class Refusals {
  readonly #counts = new Map<ErrorCode, number>();

  count(code: ErrorCode): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  /** How many since the last time, by their reason; undefined if there were none. */
  take(): Partial<Record<ErrorCode, number>> | undefined {
    if (this.#counts.size === 0) return undefined;
    const counts = Object.fromEntries(this.#counts);
    this.#counts.clear();
    return counts;
  }
}
