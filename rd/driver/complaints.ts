/** Warnings that strangers can cause as often as they like: each kind is logged at most once in EVERY_MS. */
import type { Clock } from '../../overlay/lib/clock.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';

export const EVERY_MS = 60_000;

type Kind = { quietUntil: number; untold: number };

export class Complaints {
  readonly #log: Pick<Log, 'warn'>;
  readonly #clock: Pick<Clock, 'now'>;
  /** By the text; there are as many as the program has texts. */
  readonly #kinds = new Map<string, Kind>();

  constructor(log: Pick<Log, 'warn'>, clock: Pick<Clock, 'now'> = systemClock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** `text` is the kind; `untold` in the log counts those since the last that was told. */
  warn(details: Readonly<Record<string, unknown>>, text: string): void {
    const now = this.#clock.now();
    const kind = this.#kinds.get(text) ?? { quietUntil: now, untold: 0 };
    this.#kinds.set(text, kind);
    if (now < kind.quietUntil) {
      kind.untold += 1;
      return;
    }
    this.#log.warn({ ...details, untold: kind.untold }, text);
    kind.quietUntil = now + EVERY_MS;
    kind.untold = 0;
  }
}
