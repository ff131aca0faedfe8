/**
 * Nodes that died or left, so that lists of those who have not heard of it do not bring them back; and nodes to try
 * again, since what looks like death may be a broken network.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { jittered, type Rng } from '../../overlay/lib/rng.ts';
import { earlier } from './context.ts';
import {
  GRAVE_MS,
  GRAVE_UNREACHABLE_MS,
  GRAVES_MAX,
  KNOCK_DEAD_MS,
  KNOCK_FOR_MS,
  KNOCK_MS_MAX,
  KNOCK_SILENT_MS,
  KNOCKS_MAX,
} from './limits.ts';

/**
 * `dead`: silent on the base network. `silent`: inside the VI only. `unreachable`: no tunnel could be made. `left`: it said so, and
 * returns with a higher incarnation only. `returned`: a newer incarnation is there.
 */
export type Cause = 'dead' | 'silent' | 'unreachable' | 'left' | 'returned';

/** A dead node to try again: when next, and the pause after that. */
type Knock = { readonly record: NodeRecord; readonly until: Millis; readonly at: Millis; readonly pauseMs: number };

type Grave = { readonly incarnation: number; readonly cause: Cause; readonly until: Millis };

export class Graves {
  readonly #graves = new Map<Id, Grave>();
  readonly #knocks = new Map<Id, Knock>();

  readonly #rng: Rng;
  /** Counts changes of who is dead, as far as nodes are buried or heard. */
  version = 0;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  get size(): number {
    return this.#graves.size;
  }

  /** Dead nodes that are tried again. */
  get knocks(): number {
    return this.#knocks.size;
  }

  bury(record: NodeRecord, cause: Cause, now: Millis): void {
    const old = this.#graves.get(record.id);
    if (old !== undefined && old.incarnation > record.incarnation) return;
    if (old?.cause === 'left' && old.incarnation === record.incarnation && old.until > now) return;
    this.version++;
    this.#graves.delete(record.id);
    evictOldest(this.#graves, GRAVES_MAX);
    const ms = cause === 'unreachable' ? GRAVE_UNREACHABLE_MS : GRAVE_MS;
    this.#graves.set(record.id, { incarnation: record.incarnation, cause, until: after(now, ms) });
    if (cause !== 'dead' && cause !== 'silent') return;
    evictOldest(this.#knocks, KNOCKS_MAX);
    const until = after(now, KNOCK_FOR_MS);
    const pauseMs = cause === 'dead' ? KNOCK_DEAD_MS : KNOCK_SILENT_MS;
    this.#knocks.set(record.id, { record, until, at: this.#next(now, pauseMs), pauseMs: 2 * pauseMs });
  }

  has(record: { readonly id: Id; readonly incarnation: number }, now: Millis): boolean {
    const grave = this.#graves.get(record.id);
    if (grave === undefined || record.incarnation > grave.incarnation) return false;
    if (grave.until > now) return true;
    this.#graves.delete(record.id);
    return false;
  }

  /** The node has been heard: it lives, unless it is gone by its own word or by a successor of its own id. */
  lift(record: NodeRecord): void {
    this.#knocks.delete(record.id);
    const grave = this.#graves.get(record.id);
    if (grave === undefined || grave.cause === 'left' || grave.cause === 'returned') return;
    this.#graves.delete(record.id);
    this.version++;
  }

  /** When the first grave is forgotten that has not been yet. */
  forgottenAt(now: Millis): Millis | undefined {
    let first: Millis | undefined;
    for (const { until } of this.#graves.values()) if (until > now) first = earlier(first, until);
    return first;
  }

  /** A dead node that is to be tried again now. */
  nextKnock(now: Millis): NodeRecord | undefined {
    for (const [id, knock] of this.#knocks) {
      if (knock.until <= now) this.#knocks.delete(id);
      if (knock.at > now || knock.until <= now) continue;
      const pauseMs = Math.min(2 * knock.pauseMs, KNOCK_MS_MAX);
      this.#knocks.set(id, { ...knock, at: this.#next(now, knock.pauseMs), pauseMs });
      return knock.record;
    }
    return undefined;
  }

  /**
   * Those lost together, as when a network breaks, are not tried together: spread out, some attempt of some node falls
   * soon after the network is whole again, and one is enough.
   */
  #next(now: Millis, pauseMs: number): Millis {
    return after(now, jittered(this.#rng, pauseMs));
  }

  knockDue(): Millis | undefined {
    let due: Millis | undefined;
    for (const { at } of this.#knocks.values()) due = earlier(due, at);
    return due;
  }
}

/** Makes room for one more; maps keep the order of insertion. */
export function evictOldest<K, V>(map: Map<K, V>, limit: number): void {
  if (map.size < limit) return;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}
