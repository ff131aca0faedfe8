/** Nodes: who has joined, with which key, at which address. */
import { idAddress, parseAddress, parseCidr, poolAddress, poolCapacity } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { formatId, idOfNode } from '../../overlay/id.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { ViConfig } from '../../overlay/vi.ts';
import type { Database, Row } from './database.ts';
import { LowestFree } from './lowest-free.ts';

export type Place = { readonly index: number; readonly id: string; readonly ipv4: string; readonly ipv6: string };

export type Node = Place & {
  /** The owner's key in this database; unlike id and address it is never given again. */
  readonly key: number;
  readonly vi: string;
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly groups: readonly string[];
  readonly invitation: string;
  readonly joinedAt: number;
};

export type NewNode = Omit<Node, 'key'>;

export class Nodes {
  readonly #database: Database;
  readonly #free = new LowestFree();

  constructor(database: Database) {
    this.#database = database;
  }

  /** The place of the next node, on the lowest free address whose id no other node has. */
  freePlace(vi: ViConfig): Result<Place> {
    const { nodesMax, ipv4Pool } = vi.definition;
    if (this.count(vi.id) >= nodesMax) {
      return fail('LIMIT_REACHED', `The VI has its ${nodesMax} nodes (nodesMax); remove one.`);
    }
    const isTaken = (index: number): boolean => {
      const sql = 'SELECT 1 FROM nodes WHERE vi = ? AND (address_index = ? OR id = ?)';
      return this.#database.get(sql, vi.id, index, placeAt(vi, index).id) !== undefined;
    };
    const [index] = this.#free.find(vi.id, 1, poolCapacity(cidrOf(ipv4Pool)), isTaken);
    if (index === undefined) {
      return fail(
        'POOL_EXHAUSTED',
        `All addresses of ${ipv4Pool} are in use; remove nodes, or make a VI with a larger pool.`,
      );
    }
    return ok(placeAt(vi, index));
  }

  /** Call it within the transaction that checked the place. */
  insert(node: NewNode): void {
    this.#database.run(
      `INSERT INTO nodes (vi, id, name, address_index, public_key, groups, invitation, joined_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      node.vi,
      node.id,
      node.name,
      node.index,
      node.publicKey,
      JSON.stringify(node.groups),
      node.invitation,
      node.joinedAt,
    );
  }

  /** After the transaction that inserted it. */
  inserted(node: NewNode): void {
    this.#free.taken(node.vi, node.index);
  }

  /** The same node and key join again. */
  rejoin(key: number, groups: readonly string[], invitation: string): void {
    const sql = 'UPDATE nodes SET groups = ?, invitation = ? WHERE key = ?';
    this.#database.run(sql, JSON.stringify(groups), invitation, key);
  }

  count(vi: string): number {
    return Number(this.#database.get('SELECT count(*) AS n FROM nodes WHERE vi = ?', vi)?.['n']);
  }

  list(vi: ViConfig): Node[] {
    const rows = this.#database.all('SELECT * FROM nodes WHERE vi = ? ORDER BY address_index', vi.id);
    return rows.map((row) => nodeOf(row, vi));
  }

  byName(vi: ViConfig, name: string): Node | undefined {
    return this.#one(vi, 'SELECT * FROM nodes WHERE vi = ? AND name = ?', name);
  }

  byId(vi: ViConfig, id: string): Node | undefined {
    return this.#one(vi, 'SELECT * FROM nodes WHERE vi = ? AND id = ?', id);
  }

  #one(vi: ViConfig, sql: string, value: string): Node | undefined {
    const row = this.#database.get(sql, vi.id, value);
    return row === undefined ? undefined : nodeOf(row, vi);
  }

  /** Its address may be given to another node from now on. Its leases are freed only if it says itself that it is gone. */
  delete(node: Node, freeLeases: boolean): void {
    this.#database.transaction(() => {
      if (freeLeases) this.#database.run('DELETE FROM leases WHERE node = ?', node.key);
      this.#database.run('DELETE FROM nodes WHERE key = ?', node.key);
    });
    this.#free.freed(node.vi, node.index);
  }
}

function placeAt(vi: ViConfig, index: number): Place {
  const ipv4 = poolAddress(cidrOf(vi.definition.ipv4Pool), index);
  const bytes = parseAddress(ipv4);
  if (bytes === undefined) throw new Error(`${ipv4} is no address`);
  const id = idOfNode(bytes, vi.id);
  return { index, id: formatId(id), ipv4, ipv6: idAddress(cidrOf(vi.prefix), id) };
}

/** Of text that was checked when the VI was made. */
function cidrOf(text: string): NonNullable<ReturnType<typeof parseCidr>> {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`${text} is no network`);
  return cidr;
}

function nodeOf(row: Row, vi: ViConfig): Node {
  return {
    ...placeAt(vi, Number(row['address_index'])),
    key: Number(row['key']),
    vi: vi.id,
    name: String(row['name']),
    publicKey: row['public_key'] as Uint8Array,
    groups: JSON.parse(String(row['groups'])) as string[],
    invitation: String(row['invitation']),
    joinedAt: Number(row['joined_at']),
  };
}
