/** The revocation lists that this daemon goes by: one for each CA, kept on the disk with each membership under it. */
import { fail } from '../../overlay/errors.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { RevocationStatus } from '../../overlay/messages/control.ts';
import { parseRevocationList, type RevocationList } from '../../overlay/revocation-list.ts';

type Held = {
  readonly list: RevocationList;
  /** When the overlay manager last said that there is no newer one, milliseconds since 1970; null: not in this life. */
  readonly confirmedAt: number | null;
};

const NOTHING: ReadonlySet<string> = new Set();

export class Revocations {
  readonly #log: Log;
  /** By the CA's certificate, PEM. */
  readonly #byCa = new Map<string, Held>();
  readonly #listeners: ((caPem: string) => void)[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** Told of each CA whose list is a new one. */
  onChange(listener: (caPem: string) => void): void {
    this.#listeners.push(listener);
  }

  /** 0 where there is none. */
  numberOf(caPem: string): number {
    return this.#byCa.get(caPem)?.list.number ?? 0;
  }

  serialsOf(caPem: string): ReadonlySet<string> {
    return this.#byCa.get(caPem)?.list.serials ?? NOTHING;
  }

  pemOf(caPem: string): string | null {
    return this.#byCa.get(caPem)?.list.pem ?? null;
  }

  statusOf(caPem: string): RevocationStatus | null {
    const held = this.#byCa.get(caPem);
    if (held === undefined) return null;
    const { number, issuedAt, serials } = held.list;
    return { number, certificates: serials.size, issuedAt, confirmedAt: held.confirmedAt };
  }

  /** The overlay manager says that this is the number of its list now. */
  confirm(caPem: string, number: number, wall: number = systemClock.wall()): void {
    const held = this.#byCa.get(caPem);
    if (held?.list.number === number) this.#byCa.set(caPem, { ...held, confirmedAt: wall });
  }

  /**
   * Goes by this list from now on. CONFLICT for one that is older than the one we have; CERTIFICATE_REFUSED and
   * BAD_MESSAGE for one that is not signed by the CA, or is none.
   */
  take(caPem: string, pem: string): Result<void> {
    const parsed = parseRevocationList(pem, caPem);
    if (!parsed.ok) return parsed;
    const list = parsed.value;
    const known = this.numberOf(caPem);
    if (list.number < known) {
      return fail('CONFLICT', `The revocation list ${list.number} is older than ${known}, which we have.`);
    }
    if (list.number === known) return ok();
    this.#byCa.set(caPem, { list, confirmedAt: null });
    this.#log.info({ number: list.number, certificates: list.serials.size }, 'revocation list taken');
    for (const listener of this.#listeners) listener(caPem);
    return ok();
  }
}
