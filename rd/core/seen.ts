/**
 * The latest request of each peer, by node and key: a later copy of an older one must not undo it, even when the tunnel
 * it was about has gone. Bounded in time and number.
 */
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { SEEN_MAX, SEEN_MS } from './limits.ts';

type Entry = { incarnation: number; request: number; until: Millis };

export type Order = 'newer' | 'same' | 'older' | 'reborn' | 'earlier-life';

export class Seen {
  readonly #entries = new Map<string, Entry>();

  /** Names the latest request of a peer; another one has another name, also in another life. */
  latest(node: Id, key: string): string {
    const entry = this.#entries.get(`${node}/${key}`);
    return entry === undefined ? '' : `${entry.incarnation}/${entry.request}`;
  }

  /** How a request relates to the latest one before it, and remembers it where it is newer. */
  note(node: Id, key: string, incarnation: number, request: number, now: Millis): Order {
    const name = `${node}/${key}`;
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.until <= now || entry.incarnation < incarnation) {
      this.#put(name, { incarnation, request, until: after(now, SEEN_MS) });
      return entry === undefined ? 'newer' : 'reborn';
    }
    if (entry.incarnation > incarnation) return 'earlier-life';
    if (request < entry.request) return 'older';
    const order = request === entry.request ? 'same' : 'newer';
    this.#put(name, { incarnation, request, until: after(now, SEEN_MS) });
    return order;
  }

  #put(name: string, entry: Entry): void {
    // Insertion order is order of age, so the first entry is the one to give up.
    this.#entries.delete(name);
    if (this.#entries.size >= SEEN_MAX) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(name, entry);
  }
}
