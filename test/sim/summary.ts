/** What many runs came to. */
import type { Outcome } from './run.ts';

export class Summary {
  count = 0;
  failures = 0;
  readonly #idealMs: number[] = [];
  #events = 0;
  #asked = 0;
  #right = 0;
  #looks = 0;
  #broken = 0;
  #unownedMs = 0;
  #ownedTwiceMs = 0;
  #looseMs = 0;

  add({ failure, idealMs, events, lookups, findings }: Outcome): void {
    this.count++;
    if (failure !== undefined) this.failures++;
    if (idealMs !== undefined) this.#idealMs.push(idealMs);
    this.#events += events;
    this.#asked += lookups.asked;
    this.#right += lookups.right;
    this.#looks += findings.looks;
    this.#broken += findings.broken;
    this.#unownedMs = Math.max(this.#unownedMs, findings.unownedMs);
    this.#ownedTwiceMs = Math.max(this.#ownedTwiceMs, findings.ownedTwiceMs);
    this.#looseMs = Math.max(this.#looseMs, findings.looseMs);
  }

  text(seconds: number): string {
    const sorted = this.#idealMs.toSorted((a, b) => a - b);
    const at = (part: number): string =>
      `${((sorted[Math.floor(part * (sorted.length - 1))] ?? 0) / 1000).toFixed(1)} s`;
    const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(2)} %`;
    return [
      `${this.count} runs, ${this.failures} failed, in ${seconds.toFixed(0)} s; ${(this.#events / 1e6).toFixed(1)} million events`,
      `ideal after the last step: median ${at(0.5)}, 99 % ${at(0.99)}, longest ${at(1)}`,
      `lookups that named the right owner, under faults: ${percent(this.#right, this.#asked)} of ${this.#asked}`,
      `moments at which the proof's invariants did not hold: ${percent(this.#broken, this.#looks)} of ${this.#looks}`,
      `longest while nothing disturbed: keys delivered by nobody ${Math.round(this.#unownedMs)} ms, by two nodes ` +
        `${Math.round(this.#ownedTwiceMs)} ms, ends of a tunnel that disagree ${Math.round(this.#looseMs)} ms`,
    ].join('\n');
  }
}
