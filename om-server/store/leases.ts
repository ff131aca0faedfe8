/**
 * Pairs of link addresses, leased to nodes in blocks: what one request got and still holds. A pair is never leased to
 * two nodes at a time. All blocks are in memory, where they are looked for, and in the database, where they outlive a
 * crash; a change is one row, however many pairs the block has.
 */
import { linkCapacity, parseCidr } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { LEASE_MS, LEASE_PAIRS_MAX } from '../../overlay/om-api.ts';
import type { ViConfig } from '../../overlay/vi.ts';
import type { Database, Row } from './database.ts';
import { PairPool } from './pair-pool.ts';

/**
 * No lease ends earlier than this after a start of the server, milliseconds: nodes could not extend theirs while it
 * was down, and use them still.
 */
export const LEASE_AFTER_START_MS = LEASE_MS / 4;
/** Least time between two searches for leases that have ended, milliseconds. */
const SWEEP_MS = 1000;

type Block = {
  /** In the database. */
  readonly number: number;
  readonly vi: string;
  readonly node: number;
  readonly request: string;
  pairs: readonly number[];
  expiresAt: number;
};

/** A node, by its key in the database, and its VI. */
export type Lessee = { readonly node: number; readonly vi: ViConfig };

/** The node's pairs in [from, until). */
export type PairSpan = { readonly from: number; readonly until: number };

export class Leases {
  readonly #database: Database;
  /** By node, then by request. */
  readonly #blocks = new Map<number, Map<string, Block>>();
  /** Of the VIs that have asked since the start. */
  readonly #pools = new Map<string, PairPool>();
  #nextNumber = 1;
  /** No lease ends before this. */
  #nextEnd = 0;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(database: Database, now: number) {
    this.#database = database;
    const earliest = now + LEASE_AFTER_START_MS;
    database.run('UPDATE lease_blocks SET expires_at = ? WHERE expires_at < ?', earliest, earliest);
    this.#load();
  }

  /**
   * Carries out what `work` asks for as one transaction: when this returns, all of it is on the disk. If that fails it
   * throws, and none of it has happened.
   */
  batch<T>(work: () => T): T {
    try {
      return this.#database.transaction(work);
    } catch (error) {
      this.#load();
      throw error;
    }
  }

  /** The lowest free pairs; for a request seen before, what is still leased by it. Within a batch. */
  lease({ node, vi }: Lessee, request: string, count: number, now: number): Result<readonly number[]> {
    this.#sweepIfDue(now);
    const before = this.#blocks.get(node)?.get(request);
    if (before !== undefined) {
      this.#change(before, before.pairs, now + LEASE_MS);
      return ok(before.pairs);
    }
    if (this.#held(node) + count > LEASE_PAIRS_MAX) return fail('LIMIT_REACHED');
    const pairs = this.#poolOf(vi).take(count);
    if (pairs.length === 0) return fail('POOL_EXHAUSTED');
    const block = { number: this.#nextNumber++, vi: vi.id, node, request, pairs, expiresAt: now + LEASE_MS };
    this.#remember(block);
    const insert = 'INSERT INTO lease_blocks (block, vi, node, request, pairs, expires_at) VALUES (?, ?, ?, ?, ?, ?)';
    this.#database.run(insert, block.number, vi.id, node, request, JSON.stringify(pairs), block.expiresAt);
    return ok(pairs);
  }

  /** Of the node's pairs in the span extends these and frees the others. Those of them that it holds. Within a batch. */
  keep({ node, vi }: Lessee, { from, until }: PairSpan, pairs: readonly number[], now: number): number[] {
    const wanted = new Set(pairs);
    const kept: number[] = [];
    for (const block of this.#blocksOf(node)) {
      const inside = block.pairs.filter((pair) => pair >= from && pair < until);
      if (inside.length === 0) continue;
      const still = inside.filter((pair) => wanted.has(pair));
      kept.push(...still);
      this.#free(
        vi,
        block,
        inside.filter((pair) => !wanted.has(pair)),
        still.length > 0 ? now + LEASE_MS : undefined,
      );
    }
    return kept.sort((a, b) => a - b);
  }

  /** Frees these, as far as the node holds them. Within a batch. */
  release({ node, vi }: Lessee, pairs: readonly number[]): void {
    const named = new Set(pairs);
    for (const block of this.#blocksOf(node)) {
      const freed = block.pairs.filter((pair) => named.has(pair));
      if (freed.length > 0) this.#free(vi, block, freed);
    }
  }

  /** Frees what has expired; the number of pairs. */
  sweep(now: number): number {
    return this.batch(() => this.#sweep(now));
  }

  /** Of a node that says itself that it is gone, in the database only: within a transaction, and then `forgetNode`. */
  deleteAll(node: number): void {
    for (const { number } of this.#blocksOf(node))
      this.#database.run('DELETE FROM lease_blocks WHERE block = ?', number);
  }

  /** What was deleted in the database is free. */
  forgetNode(node: number): void {
    for (const block of this.#blocksOf(node)) this.#forget(block);
  }

  /** Its blocks went with the VI out of the database. */
  forgetVi(vi: string): void {
    for (const blocks of this.#blocks.values()) {
      for (const block of blocks.values()) if (block.vi === vi) this.#forget(block);
    }
    this.#pools.delete(vi);
  }

  usage(vi: ViConfig): { linkPairsLeased: number; linkPairsTotal: number } {
    return { linkPairsLeased: this.#poolOf(vi).taken, linkPairsTotal: capacityOf(vi) };
  }

  #load(): void {
    this.#blocks.clear();
    this.#pools.clear();
    this.#nextNumber = 1;
    this.#nextEnd = Number.POSITIVE_INFINITY;
    for (const row of this.#database.all('SELECT * FROM lease_blocks')) this.#remember(blockOf(row));
  }

  #remember(block: Block): void {
    let blocks = this.#blocks.get(block.node);
    if (blocks === undefined) {
      blocks = new Map();
      this.#blocks.set(block.node, blocks);
    }
    blocks.set(block.request, block);
    this.#nextNumber = Math.max(this.#nextNumber, block.number + 1);
    this.#nextEnd = Math.min(this.#nextEnd, block.expiresAt);
  }

  #forget(block: Block): void {
    const blocks = this.#blocks.get(block.node);
    blocks?.delete(block.request);
    if (blocks?.size === 0) this.#blocks.delete(block.node);
    const pool = this.#pools.get(block.vi);
    for (const pair of block.pairs) pool?.giveBack(pair);
  }

  /** A copy, since blocks go while they are looked at. */
  #blocksOf(node: number): Block[] {
    return [...(this.#blocks.get(node)?.values() ?? [])];
  }

  #held(node: number): number {
    let held = 0;
    for (const { pairs } of this.#blocks.get(node)?.values() ?? []) held += pairs.length;
    return held;
  }

  #poolOf(vi: ViConfig): PairPool {
    let pool = this.#pools.get(vi.id);
    if (pool === undefined) {
      const taken: number[] = [];
      for (const blocks of this.#blocks.values()) {
        for (const block of blocks.values()) if (block.vi === vi.id) taken.push(...block.pairs);
      }
      pool = new PairPool(
        capacityOf(vi),
        taken.sort((a, b) => a - b),
      );
      this.#pools.set(vi.id, pool);
    }
    return pool;
  }

  /** Frees these pairs of the block, and extends what is left where a new end is given. */
  #free(vi: ViConfig, block: Block, pairs: readonly number[], expiresAt: number = block.expiresAt): void {
    const pool = this.#poolOf(vi);
    const freed = new Set(pairs);
    const left = block.pairs.filter((pair) => !freed.has(pair));
    for (const pair of pairs) pool.giveBack(pair);
    this.#change(block, left, expiresAt);
  }

  /** A block without pairs goes. */
  #change(block: Block, pairs: readonly number[], expiresAt: number): void {
    block.pairs = pairs;
    block.expiresAt = expiresAt;
    if (pairs.length === 0) {
      this.#forget(block);
      this.#database.run('DELETE FROM lease_blocks WHERE block = ?', block.number);
      return;
    }
    const sql = 'UPDATE lease_blocks SET pairs = ?, expires_at = ? WHERE block = ?';
    this.#database.run(sql, JSON.stringify(pairs), expiresAt, block.number);
  }

  /** Looks through all blocks, so not more often than it must. */
  #sweepIfDue(now: number): void {
    if (now >= this.#nextEnd && now >= this.#sweptAt + SWEEP_MS) this.#sweep(now);
  }

  #sweep(now: number): number {
    let freed = 0;
    this.#sweptAt = now;
    this.#nextEnd = Number.POSITIVE_INFINITY;
    for (const blocks of this.#blocks.values()) {
      for (const block of blocks.values()) {
        if (block.expiresAt > now) {
          this.#nextEnd = Math.min(this.#nextEnd, block.expiresAt);
          continue;
        }
        freed += block.pairs.length;
        this.#forget(block);
        this.#database.run('DELETE FROM lease_blocks WHERE block = ?', block.number);
      }
    }
    return freed;
  }
}

function capacityOf(vi: ViConfig): number {
  const pool = parseCidr(vi.definition.linkPool);
  if (pool === undefined) throw new Error(`${vi.definition.linkPool} is no network`);
  return linkCapacity(pool);
}

function blockOf(row: Row): Block {
  return {
    number: Number(row['block']),
    vi: String(row['vi']),
    node: Number(row['node']),
    request: String(row['request']),
    pairs: JSON.parse(String(row['pairs'])) as number[],
    expiresAt: Number(row['expires_at']),
  };
}
