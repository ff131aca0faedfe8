/** The certificates that nodes have, by their serial numbers, and those that were revoked before their time. */
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { REVOCATIONS_MAX, type Revocation } from '../../overlay/revocation-list.ts';
import { CLOCK_SKEW_MS, type NodeCertificate } from '../ca.ts';
import type { Database } from './database.ts';
import type { Node } from './nodes.ts';

/** A certificate is given again to its node, in place of a new one, while more than this part of its life is left. */
const FRESH_PART = 1 / 2;

const NUMBER = 'revocation_number';
const ISSUED_AT = 'revocation_issued_at';

/** `departed`: the node said itself that it is gone. `removed`: it is to be out, or out of groups that it had. */
export type RevocationCause = 'departed' | 'removed';

/** `node`: its key in the database. */
export type CertificateHolder = { readonly node: number; readonly vi: string; readonly expiresAt: number };

export class Certificates {
  readonly #database: Database;
  #number: number;
  #losses = 0;

  constructor(database: Database) {
    this.#database = database;
    this.#number = this.#meta(NUMBER);
  }

  /** Of the list as it is now; 0 where nothing was ever revoked. */
  get number(): number {
    return this.#number;
  }

  /** Changes whenever a certificate may have lost its holder before its time. */
  get losses(): number {
    return this.#losses;
  }

  /** Whose certificate it is, with the end of it; undefined where that node is gone or the certificate was revoked. */
  holder(serial: string): CertificateHolder | undefined {
    const sql = 'SELECT node, vi, expires_at FROM certificates JOIN nodes ON key = node WHERE serial = ?';
    const row = this.#database.get(sql, serial);
    if (row === undefined || this.isRevoked(serial)) return undefined;
    return { node: Number(row['node']), vi: String(row['vi']), expiresAt: Number(row['expires_at']) };
  }

  /**
   * The last one that was issued to the node, while it is fresh. Who asks again gets it again: the answer may have been
   * lost, and however often a node asks, it has few certificates that are valid.
   */
  fresh(node: number, now: number): NodeCertificate | undefined {
    const sql = `SELECT serial, pem, issued_at, expires_at FROM certificates
      WHERE node = ? AND pem NOT NULL ORDER BY expires_at DESC LIMIT 1`;
    const row = this.#database.get(sql, node);
    if (row === undefined) return undefined;
    const expiresAt = Number(row['expires_at']);
    const isFresh = expiresAt - now > (expiresAt - Number(row['issued_at'])) * FRESH_PART;
    return isFresh ? { pem: String(row['pem']), serial: String(row['serial']), expiresAt } : undefined;
  }

  /**
   * Writes down a certificate before it is handed out, and gives the one to hand out: another one where that has been
   * issued meanwhile. Within a transaction.
   */
  issued(node: number, certificate: NodeCertificate, now: number): NodeCertificate {
    this.#database.run('DELETE FROM certificates WHERE node = ? AND expires_at <= ?', node, now - CLOCK_SKEW_MS);
    const fresh = this.fresh(node, now);
    if (fresh !== undefined) return fresh;
    const { pem, serial, expiresAt } = certificate;
    const sql = 'INSERT OR IGNORE INTO certificates (serial, node, expires_at, pem, issued_at) VALUES (?, ?, ?, ?, ?)';
    this.#database.run(sql, serial, node, expiresAt, pem, now);
    return certificate;
  }

  /** A certificate that a node presents: one of before these were written down is known from then on. */
  seen(node: number, serial: string, expiresAt: number): void {
    const sql = 'INSERT OR IGNORE INTO certificates (serial, node, expires_at) VALUES (?, ?, ?)';
    this.#database.run(sql, serial, node, expiresAt);
  }

  isRevoked(serial: string): boolean {
    return this.#database.get('SELECT 1 FROM revocations WHERE serial = ?', serial) !== undefined;
  }

  /**
   * Revokes all certificates of a node that are valid, those before the last renewal too: they prove the same place.
   * Within a transaction. The number of them; LIMIT_REACHED where the list is full of nodes that were removed.
   */
  revokeAll(node: Pick<Node, 'key'>, cause: RevocationCause, now: number): Result<number> {
    this.#losses++;
    const rows = this.#database.all('DELETE FROM certificates WHERE node = ? RETURNING serial, expires_at', node.key);
    const valid = rows.filter((row) => Number(row['expires_at']) > now - CLOCK_SKEW_MS);
    if (valid.length === 0) return ok(0);
    this.#prune(now);
    if (!this.#makeRoom(valid.length)) {
      // It has given up its place and its certificate itself; that it cannot be listed must not keep it here.
      if (cause === 'departed') return ok(0);
      const full = `The revocation list has its ${REVOCATIONS_MAX} certificates`;
      return fail('LIMIT_REACHED', `${full}; wait until some have expired, or make a VI with a lower certificateDays.`);
    }
    for (const row of valid) {
      this.#database.run(
        'INSERT OR REPLACE INTO revocations (serial, revoked_at, expires_at, departed) VALUES (?, ?, ?, ?)',
        String(row['serial']),
        now,
        Number(row['expires_at']),
        Number(cause === 'departed'),
      );
    }
    this.#renumber(now);
    return ok(valid.length);
  }

  /** Takes those off the list that would have expired anyway. Whether there were any. */
  prune(now: number): boolean {
    return this.#database.transaction(() => {
      const pruned = this.#prune(now) > 0;
      if (pruned) this.#renumber(now);
      return pruned;
    });
  }

  list(): { readonly number: number; readonly issuedAt: number; readonly revocations: readonly Revocation[] } {
    const rows = this.#database.all('SELECT serial, revoked_at FROM revocations ORDER BY serial');
    const revocations = rows.map((row) => ({ serial: String(row['serial']), revokedAt: Number(row['revoked_at']) }));
    return { number: this.#number, issuedAt: this.#meta(ISSUED_AT), revocations };
  }

  /** Those of nodes that left by themselves make way, the first to expire first. */
  #makeRoom(count: number): boolean {
    const excess = this.#count() + count - REVOCATIONS_MAX;
    if (excess <= 0) return true;
    const sql = `DELETE FROM revocations WHERE serial IN
      (SELECT serial FROM revocations WHERE departed = 1 ORDER BY expires_at LIMIT ?)`;
    return this.#database.run(sql, excess) === excess;
  }

  #count(): number {
    return Number(this.#database.get('SELECT count(*) AS n FROM revocations')?.['n']);
  }

  #prune(now: number): number {
    return this.#database.run('DELETE FROM revocations WHERE expires_at <= ?', now - CLOCK_SKEW_MS);
  }

  /** At least the seconds since 1970: also of an overlay manager restored from a backup, the numbers go on growing. */
  #renumber(now: number): void {
    this.#number = Math.max(this.#number + 1, Math.floor(now / 1000));
    const sql = 'INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)';
    this.#database.run(sql, NUMBER, String(this.#number));
    this.#database.run(sql, ISSUED_AT, String(now));
  }

  #meta(key: string): number {
    return Number(this.#database.get('SELECT value FROM meta WHERE key = ?', key)?.['value'] ?? 0);
  }
}
