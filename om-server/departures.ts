/** Leaving: by the node itself, or because the administrator removes it. */
import { GIVE_BACK_MS } from '../overlay/om-api.ts';
import type { Presences } from './presence.ts';
import type { Database } from './store/database.ts';
import type { Invitations } from './store/invitations.ts';
import type { Leases } from './store/leases.ts';
import type { Node, Nodes } from './store/nodes.ts';

export class Departures {
  readonly #database: Database;
  readonly #nodes: Nodes;
  readonly #leases: Leases;
  readonly #invitations: Invitations;
  readonly #presences: Presences;

  constructor(database: Database, nodes: Nodes, leases: Leases, invitations: Invitations, presences: Presences) {
    this.#database = database;
    this.#nodes = nodes;
    this.#leases = leases;
    this.#invitations = invitations;
    this.#presences = presences;
  }

  /** The node says that it is gone: its leases are freed. One that never came up gives its use of the invitation back. */
  leave(node: Node, now: number): void {
    const cameUp = this.#presences.wasMember(node) || now >= node.joinedAt + GIVE_BACK_MS;
    this.#database.transaction(() => {
      if (!this.#nodes.delete(node)) return;
      this.#leases.releaseAll(node);
      if (!cameUp) this.#invitations.giveBack(node.invitation, now);
    });
    this.#presences.forget(node);
  }

  /** The node may be up still and use its leases, so they stay until they end. */
  remove(node: Node): void {
    this.#database.transaction(() => this.#nodes.delete(node));
    this.#presences.forget(node);
  }
}
