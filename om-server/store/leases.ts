/** The address server: pairs of link addresses, leased to nodes. A pair is never leased to two nodes at a time. */
import { linkCapacity, parseCidr } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { LEASE_MS, LEASE_PAIRS_MAX, type LeaseRequest, type LeaseResponse } from '../../overlay/om-api.ts';
import type { ViConfig } from '../../overlay/vi.ts';
import type { Database, Row } from './database.ts';
import { LowestFree } from './lowest-free.ts';
import type { Node } from './nodes.ts';

/**
 * No lease ends earlier than this after a start of the server, milliseconds: nodes could not extend theirs while it
 * was down, and use them still.
 */
export const LEASE_AFTER_START_MS = LEASE_MS / 4;

export class Leases {
  readonly #database: Database;
  readonly #free = new LowestFree();

  constructor(database: Database, now: number) {
    this.#database = database;
    const earliest = now + LEASE_AFTER_START_MS;
    database.run('UPDATE leases SET expires_at = ? WHERE expires_at < ?', earliest, earliest);
  }

  /** The lowest free pairs; for a request seen before, what is still leased by it. */
  lease(vi: ViConfig, node: Node, { request, count }: LeaseRequest, now: number): Result<LeaseResponse> {
    this.sweep(now);
    return this.#database.transaction((): Result<LeaseResponse> => {
      const sql = 'SELECT pair, expires_at FROM leases WHERE node = ? AND request = ? ORDER BY pair';
      const before = this.#database.all(sql, node.key, request);
      if (before.length > 0) return ok(responseOf(before));
      const held = this.#held(node);
      if (held + count > LEASE_PAIRS_MAX) {
        return fail(
          'LIMIT_REACHED',
          `The node holds ${held} link address pairs, of at most ${LEASE_PAIRS_MAX}; free some.`,
        );
      }
      const pairs = this.#free.find(vi.id, count, capacityOf(vi), (pair) => this.#isTaken(vi.id, pair));
      if (pairs.length === 0) {
        return fail(
          'POOL_EXHAUSTED',
          `All pairs of ${vi.definition.linkPool} are leased; make a VI with a larger linkPool.`,
        );
      }
      const expiresAt = now + LEASE_MS;
      for (const pair of pairs) {
        const insert = 'INSERT INTO leases (vi, pair, node, request, expires_at) VALUES (?, ?, ?, ?, ?)';
        this.#database.run(insert, vi.id, pair, node.key, request, expiresAt);
      }
      return ok({ pairs, expiresAt });
    });
  }

  /** Extends the lease of these and frees all others of the node. A pair that the node does not hold is left out. */
  keep(vi: ViConfig, node: Node, pairs: readonly number[], now: number): LeaseResponse {
    const expiresAt = now + LEASE_MS;
    const kept = new Set(pairs);
    const held = this.#database.all('SELECT pair FROM leases WHERE node = ? ORDER BY pair', node.key).map(pairOf);
    this.#database.transaction(() => {
      for (const pair of held) {
        if (!kept.has(pair)) this.#database.run('DELETE FROM leases WHERE vi = ? AND pair = ?', vi.id, pair);
      }
      this.#database.run('UPDATE leases SET expires_at = ? WHERE node = ?', expiresAt, node.key);
    });
    for (const pair of held) if (!kept.has(pair)) this.#free.freed(vi.id, pair);
    return { pairs: held.filter((pair) => kept.has(pair)), expiresAt };
  }

  /** Frees these, as far as the node holds them. */
  release(vi: ViConfig, node: Node, pairs: readonly number[]): void {
    const sql = 'DELETE FROM leases WHERE vi = ? AND pair = ? AND node = ?';
    const freed = this.#database.transaction(() =>
      pairs.filter((pair) => this.#database.run(sql, vi.id, pair, node.key) === 1),
    );
    for (const pair of freed) this.#free.freed(vi.id, pair);
  }

  /** Frees what has expired; the number of pairs. */
  sweep(now: number): number {
    const rows = this.#database.all('DELETE FROM leases WHERE expires_at <= ? RETURNING vi, pair', now);
    for (const row of rows) this.#free.freed(String(row['vi']), pairOf(row));
    return rows.length;
  }

  /** A node that says itself that it is gone frees what it holds. */
  releaseAll(node: Node): void {
    const rows = this.#database.all('DELETE FROM leases WHERE node = ? RETURNING vi, pair', node.key);
    for (const row of rows) this.#free.freed(String(row['vi']), pairOf(row));
  }

  forgetVi(vi: string): void {
    this.#free.forget(vi);
  }

  usage(vi: ViConfig): { linkPairsLeased: number; linkPairsTotal: number } {
    const leased = Number(this.#database.get('SELECT count(*) AS n FROM leases WHERE vi = ?', vi.id)?.['n']);
    return { linkPairsLeased: leased, linkPairsTotal: capacityOf(vi) };
  }

  #held(node: Node): number {
    return Number(this.#database.get('SELECT count(*) AS n FROM leases WHERE node = ?', node.key)?.['n']);
  }

  #isTaken(vi: string, pair: number): boolean {
    return this.#database.get('SELECT 1 FROM leases WHERE vi = ? AND pair = ?', vi, pair) !== undefined;
  }
}

function capacityOf(vi: ViConfig): number {
  const pool = parseCidr(vi.definition.linkPool);
  if (pool === undefined) throw new Error(`${vi.definition.linkPool} is no network`);
  return linkCapacity(pool);
}

function responseOf(rows: readonly Row[]): LeaseResponse {
  return { pairs: rows.map(pairOf), expiresAt: Math.min(...rows.map((row) => Number(row['expires_at']))) };
}

function pairOf(row: Row): number {
  return Number(row['pair']);
}
