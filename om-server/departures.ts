/** Leaving: by the node itself, or because the administrator removes it. */
import { ok, type Result } from '../overlay/lib/result.ts';
import { GIVE_BACK_MS } from '../overlay/om-api.ts';
import type { Presences } from './presence.ts';
import type { Certificates } from './store/certificates.ts';
import type { Database } from './store/database.ts';
import type { Invitations } from './store/invitations.ts';
import type { Leases } from './store/leases.ts';
import type { Node, Nodes } from './store/nodes.ts';

export type Removal = {
  /** Of the node, which are revoked. */
  readonly certificates: number;
  /** It has one that was never written down, and cannot be revoked: until when that is valid. Null where it has none. */
  readonly unlistedUntil: number | null;
};

export class Departures {
  readonly #database: Database;
  readonly #nodes: Nodes;
  readonly #leases: Leases;
  readonly #invitations: Invitations;
  readonly #presences: Presences;
  readonly #certificates: Certificates;

  constructor(
    database: Database,
    nodes: Nodes,
    leases: Leases,
    invitations: Invitations,
    presences: Presences,
    certificates: Certificates,
  ) {
    this.#database = database;
    this.#nodes = nodes;
    this.#leases = leases;
    this.#invitations = invitations;
    this.#presences = presences;
    this.#certificates = certificates;
  }

  /** The node says that it is gone: its certificates are revoked and its leases freed. One that never came up gives its use of the invitation back. */
  leave(node: Node, now: number): void {
    const cameUp = this.#presences.wasMember(node) || now >= node.joinedAt + GIVE_BACK_MS;
    const isGone = this.#database.transaction(() => {
      this.#certificates.revokeAll(node, 'departed', now);
      if (!this.#nodes.delete(node)) return false;
      this.#leases.deleteAll(node.key);
      if (!cameUp) this.#invitations.giveBack(node.invitation, now);
      return true;
    });
    if (isGone) this.#leases.forgetNode(node.key);
    this.#presences.forget(node);
  }

  /**
   * The node may be up still and use its leases, so they stay until they end. LIMIT_REACHED where its certificates cannot
   * be revoked, and then it stays.
   */
  remove(node: Node, now: number): Result<Removal> {
    const removed = this.#database.transaction((): Result<Removal> => {
      const certifiedUntil = this.#nodes.certifiedUntil(node);
      const revoked = this.#certificates.revokeAll(node, 'removed', now);
      if (!revoked.ok) return revoked;
      this.#nodes.delete(node);
      const isUnknown = revoked.value === 0 && certifiedUntil > now;
      return ok({ certificates: revoked.value, unlistedUntil: isUnknown ? certifiedUntil : null });
    });
    if (removed.ok) this.#presences.forget(node);
    return removed;
  }
}
