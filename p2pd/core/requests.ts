/** Questions to neighbours that wait for an answer: a missing answer is what suspicion is made of. */
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { REQUEST_MS, REQUESTS_MAX } from './limits.ts';

export type RequestKind = 'stabilise' | 'ping' | 'leaving';
export type Request = { readonly query: number; readonly peer: Id; readonly kind: RequestKind; readonly due: Millis };

export class Requests {
  readonly #open = new Map<number, Request>();

  get size(): number {
    return this.#open.size;
  }

  /** False when the table is full. */
  open(query: number, peer: Id, kind: RequestKind, now: Millis): boolean {
    if (this.#open.size >= REQUESTS_MAX) return false;
    this.#open.set(query, { query, peer, kind, due: after(now, REQUEST_MS) });
    return true;
  }

  /** Closes the question that this answers. */
  answered(query: number, peer: Id): Request | undefined {
    const request = this.#open.get(query);
    if (request?.peer !== peer) return undefined;
    this.#open.delete(query);
    return request;
  }

  isOpen(peer: Id, kind: RequestKind): boolean {
    for (const request of this.#open.values()) if (request.peer === peer && request.kind === kind) return true;
    return false;
  }

  /** Closes and returns the questions whose time is over. */
  expire(now: Millis): Request[] {
    const expired: Request[] = [];
    for (const request of this.#open.values()) {
      // Inserted in the order of their due times, since all wait equally long.
      if (request.due > now) break;
      this.#open.delete(request.query);
      expired.push(request);
    }
    return expired;
  }

  /** Forgets all, without blame: the fault was on our side. */
  clear(): void {
    this.#open.clear();
  }

  due(): Millis | undefined {
    for (const request of this.#open.values()) return request.due;
    return undefined;
  }
}
