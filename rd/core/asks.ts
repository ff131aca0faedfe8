/**
 * Requests to peers, numbered and repeated until answered; and the numbers of theirs, so that an answer's news can be
 * told from what they said later.
 */
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import type { Letters } from './letters.ts';
import { GIVE_UP_MS, RETRY_MS, RETRY_MS_MAX } from './limits.ts';
import { type Order, Seen } from './seen.ts';
import type { Ask, Tunnel } from './tunnel.ts';

const NEVER = Number.POSITIVE_INFINITY as Millis;

export class Asks {
  readonly #letters: Letters;
  readonly #seen = new Seen();
  readonly #demands: (tunnel: Tunnel) => boolean;
  #last = 0;

  /** `demands`: whether a con_req demands security. */
  constructor(letters: Letters, demands: (tunnel: Tunnel) => boolean) {
    this.#letters = letters;
    this.#demands = demands;
  }

  /** In place of one of before. What asks for a tunnel for the first time is given up at the same time as that. */
  start(tunnel: Tunnel, kind: Ask['kind'], now: Millis): void {
    this.#last += 1;
    tunnel.confirmed = undefined;
    const isFirst = tunnel.far === undefined && kind === 'con_req';
    const before = tunnel.ask?.kind === kind ? tunnel.ask.giveUpAt : after(now, GIVE_UP_MS);
    tunnel.ask = {
      kind,
      request: this.#last,
      secure: this.#demands(tunnel),
      peerLatest: this.latestOf(tunnel.peer, tunnel.contact.key),
      nextAt: now,
      intervalMs: RETRY_MS,
      giveUpAt: isFirst ? before : NEVER,
    };
    this.send(tunnel, tunnel.ask, now);
  }

  /** Sends it, or sends it again, where there is an association to do so. */
  send(tunnel: Tunnel, ask: Ask, now: Millis): void {
    ask.nextAt = after(now, ask.intervalMs);
    ask.intervalMs = Math.min(ask.intervalMs * 2, RETRY_MS_MAX);
    if (tunnel.association !== undefined) this.#letters.ask(tunnel, ask, tunnel.association);
  }

  /** The peer has introduced itself: what is asked of it is repeated until answered. */
  heard({ ask }: Tunnel): void {
    if (ask !== undefined) ask.giveUpAt = NEVER;
  }

  /** How a peer's request relates to its latest one; a newer one becomes the latest. */
  note(peer: Id, key: string, incarnation: number, request: number, now: Millis): Order {
    return this.#seen.note(peer, key, incarnation, request, now);
  }

  /** Names the peer's latest request. */
  latestOf(peer: Id, key: string): string {
    return this.#seen.latest(peer, key);
  }
}
