/** The revocation list of a node's CA, kept beside its membership: it holds also while the overlay manager is away. */
import type { Log } from '../../overlay/lib/log.ts';
import { ok } from '../../overlay/lib/result.ts';
import type { DataDirectory, Membership } from './files.ts';
import type { Revocations } from './revocations.ts';

export class SavedRevocations {
  readonly #data: DataDirectory;
  readonly #revocations: Revocations;
  readonly #membership: () => Membership;
  readonly #log: Log;
  /** Number of the list that is on the disk. */
  #saved = 0;

  constructor(data: DataDirectory, revocations: Revocations, membership: () => Membership, log: Log) {
    this.#data = data;
    this.#revocations = revocations;
    this.#membership = membership;
    this.#log = log;
  }

  /** Goes by the list of an earlier life. */
  recall(): void {
    const pem = this.#data.revocations(this.#membership());
    const taken = pem === undefined ? ok() : this.#revocations.take(this.#membership().ca, pem);
    // Another node under the same CA may have saved a newer one.
    if (taken.ok || taken.code === 'CONFLICT') return;
    const text = 'the saved revocation list cannot be used; a new one will be fetched';
    this.#log.error({ problem: taken.message }, text);
  }

  /** The overlay manager says that its list has this number; `list` is its text, where ours has a lower one. */
  follow(number: number, list: string | undefined): void {
    const { ca } = this.#membership();
    const taken = list === undefined ? ok() : this.#revocations.take(ca, list);
    if (!taken.ok) {
      this.#log.error({ problem: taken.message }, 'the overlay manager’s revocation list is not taken');
      return;
    }
    this.#revocations.confirm(ca, number);
    const current = this.#revocations.numberOf(ca);
    const pem = this.#revocations.pemOf(ca);
    if (pem === null || this.#saved === current) return;
    const saved = this.#data.saveRevocations(this.#membership(), pem);
    if (saved.ok) this.#saved = current;
    else this.#log.error({ problem: saved.message }, 'the revocation list cannot be saved; trying again');
  }
}
