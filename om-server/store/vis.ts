/** Virtual Internets: what the overlay manager adds to what an operator wrote. */
import { randomBytes } from 'node:crypto';
import { formatCidr } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { completeViDefinition, type ViConfig, type ViDefinition } from '../../overlay/vi.ts';
import type { Database, Row } from './database.ts';

/** Tries to draw identifiers that no other VI has; the chance that one fails is about one in ten thousand. */
const DRAWS_MAX = 16;
const VNI_MAX = 0xff_ffff;
export const VIS_MAX = 10_000;

export type Vi = { readonly config: ViConfig; readonly createdAt: number };

export class Vis {
  readonly #database: Database;
  /** Every join and every heartbeat asks for a configuration; it never changes. */
  readonly #byId = new Map<string, Vi>();

  constructor(database: Database) {
    this.#database = database;
    for (const row of database.all('SELECT * FROM vis')) this.#byId.set(String(row['id']), viOf(row));
  }

  create(name: string, definition: ViDefinition, now: number): Result<Vi> {
    const created = this.#database.transaction((): Result<Vi> => {
      if (this.byName(name) !== undefined)
        return fail('DUPLICATE_NAME', `There is a VI ${name} already; choose another name.`);
      if (this.#byId.size >= VIS_MAX) return fail('LIMIT_REACHED', `There are ${VIS_MAX} VIs; delete one.`);
      const { id, prefix, linkPrefix, vni } = this.#drawIdentity();
      this.#database.run(
        'INSERT INTO vis (id, name, prefix, link_prefix, vni, definition, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
        id,
        name,
        prefix,
        linkPrefix,
        vni,
        JSON.stringify(definition),
        now,
      );
      return ok({ config: { id, name, prefix, linkPrefix, vni, definition }, createdAt: now });
    });
    if (created.ok) this.#byId.set(created.value.config.id, created.value);
    return created;
  }

  #drawIdentity(): { id: string; prefix: string; linkPrefix: string; vni: number } {
    for (let draw = 0; draw < DRAWS_MAX; draw++) {
      const identity = drawIdentity();
      const { id, prefix, vni } = identity;
      const same = this.#database.get('SELECT 1 FROM vis WHERE id = ? OR prefix = ? OR vni = ?', id, prefix, vni);
      if (vni !== 0 && same === undefined) return identity;
    }
    throw new Error('no free VI identity was drawn');
  }

  list(): Vi[] {
    return [...this.#byId.values()].sort((a, b) => (a.config.name < b.config.name ? -1 : 1));
  }

  byId(id: string): Vi | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): Vi | undefined {
    for (const vi of this.#byId.values()) if (vi.config.name === name) return vi;
    return undefined;
  }

  /** With its nodes, invitations and leases. CONFLICT while it has nodes, unless forced. */
  delete(id: string, force: boolean): Result<void> {
    const deleted = this.#database.transaction((): Result<void> => {
      const nodes = Number(this.#database.get('SELECT count(*) AS n FROM nodes WHERE vi = ?', id)?.['n']);
      if (nodes > 0 && !force) {
        return fail(
          'CONFLICT',
          `The VI has ${nodes} node${nodes === 1 ? '' : 's'}; let them leave, or force its deletion.`,
        );
      }
      this.#database.run('DELETE FROM vis WHERE id = ?', id);
      return ok();
    });
    if (deleted.ok) this.#byId.delete(id);
    return deleted;
  }
}

/** RFC 4193: fd, 40 random bits, 16 bits of subnet: 0 for nodes and keys, 1 for link pairs. */
function drawIdentity(): { id: string; prefix: string; linkPrefix: string; vni: number } {
  const site = [0xfd, ...randomBytes(5)];
  const subnet = (number: number): string =>
    formatCidr({ network: Uint8Array.from([...site, 0, number, ...new Uint8Array(8)]), length: 64 });
  return {
    id: `vi-${randomBytes(8).toString('hex')}`,
    prefix: subnet(0),
    linkPrefix: subnet(1),
    vni: randomBytes(4).readUInt32BE() & VNI_MAX,
  };
}

function viOf(row: Row): Vi {
  return {
    config: {
      id: String(row['id']),
      name: String(row['name']),
      prefix: String(row['prefix']),
      linkPrefix: String(row['link_prefix']),
      vni: Number(row['vni']),
      definition: completeViDefinition(JSON.parse(String(row['definition']))),
    },
    createdAt: Number(row['created_at']),
  };
}
