/** The tunnels of one virtual node, by the peer at the other end: at most one to each, and no more than the VI allows. */
import type { Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import type { ContactInfo } from './contact.ts';
import { createTunnel, type Tunnel } from './tunnel.ts';

/**
 * One place in eight is for tunnels that this node asks for. Where many nodes come at once, each wants a tunnel to the
 * few that are there, and these must not be kept from each other.
 */
const OWN_PART = 8;

export class TunnelTable {
  readonly #tunnels = new Map<Id, Tunnel>();
  readonly #max: () => number;

  constructor(max: () => number) {
    this.#max = max;
  }

  all(): IterableIterator<Tunnel> {
    return this.#tunnels.values();
  }

  get(peer: Id): Tunnel | undefined {
    return this.#tunnels.get(peer);
  }

  has(tunnel: Tunnel): boolean {
    return this.#tunnels.get(tunnel.peer) === tunnel;
  }

  /** A new one to a peer that has none; undefined where there is no place for it. */
  make(peer: Id, contact: ContactInfo, asker: 'self' | 'peer', now: Millis): Tunnel | undefined {
    const max = this.#max();
    const kept = asker === 'self' ? 0 : Math.floor(max / OWN_PART);
    if (this.#tunnels.size >= max - kept) return undefined;
    const tunnel = createTunnel(peer, contact, now);
    this.#tunnels.set(peer, tunnel);
    return tunnel;
  }

  remove(tunnel: Tunnel): void {
    this.#tunnels.delete(tunnel.peer);
  }
}
