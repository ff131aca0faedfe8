/** So much at once, and so much a second after that. */
import type { Millis } from '../../overlay/lib/clock.ts';

export type Allowed = { readonly burst: number; readonly perSecond: number };

export class Allowance {
  readonly #allowed: Allowed;
  #left: number;
  #at: Millis;

  constructor(allowed: Allowed, now: Millis) {
    this.#allowed = allowed;
    this.#left = allowed.burst;
    this.#at = now;
  }

  /** False, and nothing is taken, where there is none left. */
  take(now: Millis): boolean {
    this.#fill(now);
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  /** As good as new: nothing is forgotten with it. */
  isFull(now: Millis): boolean {
    this.#fill(now);
    return this.#left >= this.#allowed.burst;
  }

  #fill(now: Millis): void {
    const { burst, perSecond } = this.#allowed;
    this.#left = Math.min(burst, this.#left + ((now - this.#at) * perSecond) / 1000);
    this.#at = now;
  }
}
