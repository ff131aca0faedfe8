/** A node's membership, in memory and on the disk. A disk that is full does not end the node: it is tried again. */
import type { NodeRecord } from '../../overlay/fields.ts';
import { formatId } from '../../overlay/id.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { type DataDirectory, type Membership, REMEMBERED_MAX } from './files.ts';
import { toBase64 } from './identity.ts';

/** Peers learnt are written down together after this. */
const SAVE_MS = 5000;
const SAVE_RETRY_MS = 30_000;

export class SavedMembership {
  readonly #data: DataDirectory;
  readonly #log: Log;
  #value: Membership;
  #problem: string | null = null;
  #timer: NodeJS.Timeout | undefined;

  /** Nothing is written before the first `change` or `save`. */
  constructor(data: DataDirectory, membership: Membership, log: Log) {
    this.#data = data;
    this.#value = membership;
    this.#log = log;
  }

  get value(): Membership {
    return this.#value;
  }

  /** Why it is not on the disk as it should be, one sentence. */
  get problem(): string | null {
    return this.#problem;
  }

  change(fields: Partial<Membership>): void {
    this.#value = { ...this.#value, ...fields };
    this.save();
  }

  /** Who could be asked for the way into the ring when the overlay manager does not answer. */
  remember(record: NodeRecord): void {
    const id = formatId(record.id);
    const others = this.#value.peers.filter((peer) => peer.id !== id);
    const peer = { id, incarnation: record.incarnation, contact: toBase64(record.contact) };
    this.#value = { ...this.#value, peers: [peer, ...others].slice(0, REMEMBERED_MAX) };
    this.#saveLater(SAVE_MS);
  }

  save(): void {
    const saved = this.#data.saveMembership(this.#value);
    if (saved.ok) {
      this.#problem = null;
      return;
    }
    this.#problem = `The membership is not saved: ${saved.message}`;
    this.#log.error({ problem: saved.message }, 'the membership cannot be saved');
    this.#saveLater(SAVE_RETRY_MS);
  }

  /** Writes no more by itself. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #saveLater(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.save();
    }, ms).unref();
  }
}
