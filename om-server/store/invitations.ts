/** Invitations. Of a secret only the SHA-256 is kept: who reads the database cannot join with it. */
import { createHash, randomBytes } from 'node:crypto';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { InvitationSummary } from '../../overlay/om-api.ts';
import type { Database, Row } from './database.ts';
import type { Vi } from './vis.ts';

const SECRET_BYTES = 16;
export const INVITATIONS_PER_VI_MAX = 10_000;
/** Uses that one invitation gets back. Each may cost a place for as long as a certificate lasts. */
export const GIVEN_BACK_MAX = 16;
/** Invitations that ended are listed for so long. */
const KEPT_MS = 30 * 86_400_000;

type Order = { readonly expiresSeconds: number; readonly uses: number; readonly groups: readonly string[] };

export class Invitations {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  create(vi: Vi, order: Order, now: number): Result<{ invitation: InvitationSummary; secret: Uint8Array }> {
    const secret = Uint8Array.from(randomBytes(SECRET_BYTES));
    const id = `inv-${randomBytes(6).toString('hex')}`;
    const expiresAt = now + order.expiresSeconds * 1000;
    return this.#database.transaction(() => {
      this.#database.run('DELETE FROM invitations WHERE vi = ? AND expires_at < ?', vi.config.id, now - KEPT_MS);
      const count = Number(
        this.#database.get('SELECT count(*) AS n FROM invitations WHERE vi = ?', vi.config.id)?.['n'],
      );
      if (count >= INVITATIONS_PER_VI_MAX) {
        return fail(
          'LIMIT_REACHED',
          `The VI has ${count} invitations; use one for several nodes, or wait until some are old.`,
        );
      }
      this.#database.run(
        'INSERT INTO invitations (id, vi, secret_hash, created_at, expires_at, uses_left, groups) VALUES (?, ?, ?, ?, ?, ?, ?)',
        id,
        vi.config.id,
        hashOf(secret),
        now,
        expiresAt,
        order.uses,
        JSON.stringify(order.groups),
      );
      const groups = [...order.groups];
      const common = { id, vi: vi.config.name, createdAt: now, expiresAt, groups };
      return ok({ invitation: { ...common, usesLeft: order.uses, state: 'open' as const }, secret });
    });
  }

  list(vi: Vi, now: number): InvitationSummary[] {
    const rows = this.#database.all('SELECT * FROM invitations WHERE vi = ? ORDER BY created_at, id', vi.config.id);
    return rows.map((row) => summaryOf(row, vi, now));
  }

  revoke(vi: Vi, id: string, now: number): Result<InvitationSummary> {
    this.#database.run('UPDATE invitations SET revoked = 1 WHERE vi = ? AND id = ?', vi.config.id, id);
    const row = this.#database.get('SELECT * FROM invitations WHERE vi = ? AND id = ?', vi.config.id, id);
    return row === undefined
      ? fail('NOT_FOUND', `There is no invitation ${id} to this VI.`)
      : ok(summaryOf(row, vi, now));
  }

  /** The invitation with this secret. The time of the look-up tells of the hash only, from which no secret follows. */
  bySecret(vi: Vi, secret: Uint8Array, now: number): InvitationSummary | undefined {
    const row = this.#database.get('SELECT * FROM invitations WHERE secret_hash = ?', hashOf(secret));
    return row === undefined || row['vi'] !== vi.config.id ? undefined : summaryOf(row, vi, now);
  }

  /** False if no use is left. Call it within the transaction that it pays for. */
  use(id: string): boolean {
    return (
      this.#database.run('UPDATE invitations SET uses_left = uses_left - 1 WHERE id = ? AND uses_left > 0', id) === 1
    );
  }

  /** The use of a node that did not come up; not if the invitation has ended or had too many of them back. */
  giveBack(id: string, now: number): boolean {
    const sql = `UPDATE invitations SET uses_left = uses_left + 1, given_back = given_back + 1
      WHERE id = ? AND revoked = 0 AND expires_at > ? AND given_back < ?`;
    return this.#database.run(sql, id, now, GIVEN_BACK_MAX) === 1;
  }
}

function hashOf(secret: Uint8Array): Uint8Array {
  return createHash('sha256').update(secret).digest();
}

function summaryOf(row: Row, vi: Vi, now: number): InvitationSummary {
  return {
    id: String(row['id']),
    vi: vi.config.name,
    createdAt: Number(row['created_at']),
    expiresAt: Number(row['expires_at']),
    usesLeft: Number(row['uses_left']),
    groups: JSON.parse(String(row['groups'])) as string[],
    state: stateOf(row, now),
  };
}

function stateOf(row: Row, now: number): InvitationSummary['state'] {
  if (row['revoked'] === 1) return 'revoked';
  if (row['uses_left'] === 0) return 'used';
  return Number(row['expires_at']) <= now ? 'expired' : 'open';
}
