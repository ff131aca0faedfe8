/**
 * Which nodes are up and on the ring, from their heartbeats, and through whom a node can enter it. Kept in memory and
 * written down every few seconds: after a crash the nodes tell it again.
 */
import { randomInt } from 'node:crypto';
import { Value } from '@sinclair/typebox/value';
import type { Log } from '../overlay/lib/log.ts';
import {
  type Bootstrap,
  ContactText,
  FOUNDER_MS,
  HEARD_OF_MS,
  HEARTBEAT_MS,
  type Heartbeat,
} from '../overlay/om-api.ts';
import type { Database, Row } from './store/database.ts';
import type { Node } from './store/nodes.ts';

export const BOOTSTRAP_NODES_MAX = 8;
/** After a start, members that were up when the server stopped count as up until they had time to say so. */
export const START_GRACE_MS = HEARTBEAT_MS + 10_000;

type Presence = {
  readonly key: number;
  readonly id: string;
  /** Milliseconds since 1970; null: never since the node joined. */
  readonly heardAt: number | null;
  /** Until when it counts as up. */
  readonly upUntil: number;
  readonly incarnation: number;
  readonly contact: string | null;
  readonly member: boolean;
  /** Whether it has been a member since it joined. */
  readonly wasMember: boolean;
};

export class Presences {
  readonly #database: Database;
  readonly #log: Log;
  readonly #byVi = new Map<string, Map<number, Presence>>();
  readonly #unwritten = new Map<number, Presence>();

  constructor(database: Database, log: Log, now: number) {
    this.#database = database;
    this.#log = log;
    // Without it, reading a number that is too large for us would fail, and with it the start.
    const forget = 'UPDATE nodes SET incarnation = 0, contact = NULL, member = 0 WHERE incarnation NOT BETWEEN 0 AND ?';
    database.run(forget, Number.MAX_SAFE_INTEGER);
    const aliveAt = Number(database.get("SELECT value FROM meta WHERE key = 'alive_at'")?.['value'] ?? now);
    const rows = database.all(
      'SELECT key, vi, id, heard_at, incarnation, contact, member, was_member FROM nodes WHERE heard_at NOT NULL',
    );
    for (const row of rows) this.#of(String(row['vi'])).set(Number(row['key']), presenceOf(row, aliveAt, now));
  }

  /**
   * A change is written down at once: a node that a crash makes us forget would not be named to newcomers, and one of
   * them would found a second ring. That a node was heard of again can wait for the next flush.
   */
  heartbeat(node: Node, { incarnation, contact, member }: Heartbeat, now: number): void {
    const before = this.#byVi.get(node.vi)?.get(node.key);
    const presence = {
      key: node.key,
      id: node.id,
      heardAt: now,
      upUntil: now + HEARD_OF_MS,
      incarnation,
      contact,
      member,
      wasMember: member || before?.wasMember === true,
    };
    this.#of(node.vi).set(node.key, presence);
    this.#unwritten.set(node.key, presence);
    if (before?.member !== member || before.contact !== contact || before.incarnation !== incarnation) this.flush(now);
  }

  of(node: Node): { heardAt: number | null; member: boolean } {
    const presence = this.#byVi.get(node.vi)?.get(node.key);
    return { heardAt: presence?.heardAt ?? null, member: presence?.member ?? false };
  }

  wasMember(node: Node): boolean {
    return this.#byVi.get(node.vi)?.get(node.key)?.wasMember ?? false;
  }

  /** Nodes of the VI that are up, on the ring or not. */
  countUp(vi: string, now: number): number {
    let count = 0;
    for (const presence of this.#byVi.get(vi)?.values() ?? []) if (presence.upUntil > now) count++;
    return count;
  }

  forget(node: Node): void {
    this.#byVi.get(node.vi)?.delete(node.key);
    this.#unwritten.delete(node.key);
  }

  forgetVi(vi: string): void {
    for (const key of this.#byVi.get(vi)?.keys() ?? []) this.#unwritten.delete(key);
    this.#byVi.delete(vi);
  }

  /**
   * Members that are up, drawn at random so that newcomers spread over the ring. Where there are none, one node at a
   * time is told to found the ring, and the others are told that node.
   */
  bootstrap(node: Node, now: number): Bootstrap {
    const others = this.#of(node.vi);
    const members = [...others.values()].filter(
      (other) => other.key !== node.key && other.member && other.upUntil > now,
    );
    if (members.length > 0) return { nodes: sample(members, BOOTSTRAP_NODES_MAX).flatMap(recordOf), found: false };
    const founder = this.#grantFounding(node, now);
    if (founder === node.key) return { nodes: [], found: true };
    const presence = others.get(founder);
    return { nodes: presence === undefined ? [] : recordOf(presence), found: false };
  }

  /** The key of the node that may found the ring now; this one if no other may. */
  #grantFounding(node: Node, now: number): number {
    return this.#database.transaction(() => {
      const row = this.#database.get('SELECT node, until FROM founders WHERE vi = ?', node.vi);
      if (row !== undefined && row['node'] !== node.key && Number(row['until']) > now) return Number(row['node']);
      const sql = 'INSERT OR REPLACE INTO founders (vi, node, until) VALUES (?, ?, ?)';
      this.#database.run(sql, node.vi, node.key, now + FOUNDER_MS);
      return node.key;
    });
  }

  /** Writes down what was heard since the last time. What one node said and cannot be written does not hold up others. */
  flush(now: number): void {
    if (this.#unwritten.size === 0) return;
    this.#database.transaction(() => {
      for (const presence of this.#unwritten.values()) {
        try {
          this.#write(presence);
        } catch (error) {
          this.#log.error({ err: error, node: presence.id }, 'a heartbeat could not be written down');
        }
      }
      this.#database.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('alive_at', ?)", String(now));
    });
    this.#unwritten.clear();
  }

  #write({ heardAt, incarnation, contact, member, wasMember, key }: Presence): void {
    const sql = `UPDATE nodes SET heard_at = ?, incarnation = ?, contact = ?, member = ?, was_member = ? WHERE key = ?`;
    this.#database.run(sql, heardAt, incarnation, contact, Number(member), Number(wasMember), key);
  }

  #of(vi: string): Map<number, Presence> {
    let presences = this.#byVi.get(vi);
    if (presences === undefined) {
      presences = new Map();
      this.#byVi.set(vi, presences);
    }
    return presences;
  }
}

function presenceOf(row: Row, aliveAt: number, now: number): Presence {
  const heardAt = Number(row['heard_at']);
  const contact = Value.Check(ContactText, row['contact']) ? row['contact'] : null;
  const wasUp = heardAt + HEARD_OF_MS > aliveAt;
  return {
    key: Number(row['key']),
    id: String(row['id']),
    heardAt,
    upUntil: wasUp ? Math.max(heardAt + HEARD_OF_MS, now + START_GRACE_MS) : heardAt + HEARD_OF_MS,
    incarnation: Number(row['incarnation']),
    contact,
    member: contact !== null && row['member'] === 1,
    wasMember: row['was_member'] === 1,
  };
}

function recordOf({ id, incarnation, contact }: Presence): Bootstrap['nodes'] {
  return contact === null ? [] : [{ id, incarnation, contact }];
}

/** `count` of them or all, in random order. */
function sample<T>(items: readonly T[], count: number): T[] {
  const pool = [...items];
  for (let i = 0; i < Math.min(count, pool.length); i++) {
    const j = randomInt(i, pool.length);
    [pool[i], pool[j]] = [pool[j] as T, pool[i] as T];
  }
  return pool.slice(0, count);
}
