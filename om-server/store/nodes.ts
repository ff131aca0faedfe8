/** Nodes: who has joined, with which key, at which address. */
import { randomInt } from 'node:crypto';
import { idAddress, parseAddress, parseCidr, poolAddress, poolCapacity } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { formatId, idOfNode } from '../../overlay/id.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { ViConfig } from '../../overlay/vi.ts';
import { CLOCK_SKEW_MS } from '../ca.ts';
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

export type NewNode = Omit<Node, 'key'> & {
  /** When its last certificate ends. */
  readonly certifiedUntil: number;
};

/** The numbers of directories begin with one of so many. */
const FIRST_NUMBERS = 2 ** 47;

/** Without what presences keep in the same rows. */
const COLUMNS = 'key, vi, id, name, address_index, public_key, groups, invitation, joined_at';

const AT_PLACE = 'WHERE vi = ?1 AND (address_index = ?2 OR id = ?3)';
const PLACE_TAKEN = `SELECT 1 FROM nodes ${AT_PLACE} UNION ALL SELECT 1 FROM held_places ${AT_PLACE}`;

/**
 * The place of a node that left or was removed is held back until nobody accepts its certificate any more, or two nodes
 * would have one identifier. Only a node of the same name and key, which is the same node, gets it before.
 */

export class Nodes {
  readonly #database: Database;
  readonly #free = new LowestFree();
  /** By VI. Nobody can know those of an earlier life. */
  readonly #directoryNumbers = new Map<string, number>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** The place that the node had before it left, or the lowest free address whose id no other node has. */
  placeFor(vi: ViConfig, name: string, publicKey: Uint8Array): Result<Place> {
    const { nodesMax, ipv4Pool } = vi.definition;
    if (this.count(vi.id) >= nodesMax) {
      return fail('LIMIT_REACHED', `The VI has its ${nodesMax} nodes (nodesMax); remove one.`);
    }
    const own = 'SELECT address_index FROM held_places WHERE vi = ? AND name = ? AND public_key = ?';
    const held = this.#database.get(own, vi.id, name, publicKey);
    if (held !== undefined) return ok(placeAt(vi, Number(held['address_index'])));
    const isTaken = (index: number): boolean => {
      return this.#database.get(PLACE_TAKEN, vi.id, index, placeAt(vi, index).id) !== undefined;
    };
    const [index] = this.#free.find(vi.id, 1, poolCapacity(cidrOf(ipv4Pool)), isTaken);
    return index === undefined ? fail('POOL_EXHAUSTED', this.#whyFull(vi)) : ok(placeAt(vi, index));
  }

  countHeldPlaces(vi: string): number {
    return Number(this.#database.get('SELECT count(*) AS n FROM held_places WHERE vi = ?', vi)?.['n']);
  }

  /** Gives back the places that need not be held any longer. */
  sweep(now: number): void {
    const sql = 'DELETE FROM held_places WHERE held_until <= ? RETURNING vi, address_index';
    for (const row of this.#database.all(sql, now)) this.#free.freed(String(row['vi']), Number(row['address_index']));
  }

  forgetVi(vi: string): void {
    this.#free.forget(vi);
    this.#directoryNumbers.delete(vi);
  }

  #whyFull(vi: ViConfig): string {
    const all = `All addresses of ${vi.definition.ipv4Pool} are`;
    const sql = 'SELECT count(*) AS n, min(held_until) AS first, max(held_until) AS last FROM held_places WHERE vi = ?';
    const row = this.#database.get(sql, vi.id);
    const held = Number(row?.['n']);
    if (held === 0) return `${all} in use; remove nodes, or make a VI with a larger pool.`;
    const day = (name: string): string => new Date(Number(row?.[name])).toISOString();
    return `${all} in use or held back: ${held} of nodes that left, until their certificates have expired, the first on ${day('first')}, the last on ${day('last')}; wait, or make a VI with a larger pool.`;
  }

  /** Another one when nodes have come or gone or changed their groups. */
  directoryNumber(vi: string): number {
    const number = this.#directoryNumbers.get(vi) ?? randomInt(FIRST_NUMBERS);
    this.#directoryNumbers.set(vi, number);
    return number;
  }

  #changed(vi: string): void {
    this.#directoryNumbers.set(vi, this.directoryNumber(vi) + 1);
  }

  /** Call it within the transaction that checked the place. The node's key. */
  insert(node: NewNode): number {
    this.#changed(node.vi);
    this.#database.run('DELETE FROM held_places WHERE vi = ? AND address_index = ?', node.vi, node.index);
    const row = this.#database.get(
      `INSERT INTO nodes (vi, id, name, address_index, public_key, groups, invitation, joined_at, certified_until)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING key`,
      node.vi,
      node.id,
      node.name,
      node.index,
      node.publicKey,
      JSON.stringify(node.groups),
      node.invitation,
      node.joinedAt,
      node.certifiedUntil,
    );
    return Number(row?.['key']);
  }

  /** The same node and key join again. */
  rejoin({ key, vi }: Node, groups: readonly string[], invitation: string): void {
    const sql = 'UPDATE nodes SET groups = ?, invitation = ? WHERE key = ?';
    this.#database.run(sql, JSON.stringify(groups), invitation, key);
    this.#changed(vi);
  }

  /** Call it before a further certificate is handed out. False if the node is gone: then it must not be. */
  certified(key: number, until: number): boolean {
    return (
      this.#database.run('UPDATE nodes SET certified_until = max(certified_until, ?) WHERE key = ?', until, key) === 1
    );
  }

  /** When the last of its certificates ends, for all that is known. */
  certifiedUntil({ key }: Node): number {
    return Number(this.#database.get('SELECT certified_until FROM nodes WHERE key = ?', key)?.['certified_until'] ?? 0);
  }

  exists(key: number): boolean {
    return this.#database.get('SELECT 1 FROM nodes WHERE key = ?', key) !== undefined;
  }

  count(vi: string): number {
    return Number(this.#database.get('SELECT count(*) AS n FROM nodes WHERE vi = ?', vi)?.['n']);
  }

  list(vi: ViConfig): Node[] {
    const rows = this.#database.all(`SELECT ${COLUMNS} FROM nodes WHERE vi = ? ORDER BY address_index`, vi.id);
    return rows.map((row) => nodeOf(row, vi));
  }

  byName(vi: ViConfig, name: string): Node | undefined {
    return this.#one(vi, `SELECT ${COLUMNS} FROM nodes WHERE vi = ? AND name = ?`, name);
  }

  byId(vi: ViConfig, id: string): Node | undefined {
    return this.#one(vi, `SELECT ${COLUMNS} FROM nodes WHERE vi = ? AND id = ?`, id);
  }

  #one(vi: ViConfig, sql: string, value: string): Node | undefined {
    const row = this.#database.get(sql, vi.id, value);
    return row === undefined ? undefined : nodeOf(row, vi);
  }

  /** Frees its name and holds its place back; what it leases stays leased. False if it is gone. Within a transaction. */
  delete({ key, vi }: Node): boolean {
    this.#changed(vi);
    this.#database.run(
      `INSERT INTO held_places (vi, address_index, id, name, public_key, held_until)
       SELECT vi, address_index, id, name, public_key, certified_until + ? FROM nodes WHERE key = ?`,
      CLOCK_SKEW_MS,
      key,
    );
    return this.#database.run('DELETE FROM nodes WHERE key = ?', key) === 1;
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
