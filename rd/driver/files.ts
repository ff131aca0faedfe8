/** The data directory of a resource daemon. Everything in it is secret or could mislead: modes 0700 and 0600. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { fail } from '../../overlay/errors.ts';
import { closed, Groups, Incarnation, Name, Port } from '../../overlay/fields.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { NodeList } from '../../overlay/om-api.ts';
import { ViConfig } from '../../overlay/vi.ts';

/** Peers remembered for the time when the overlay manager does not answer. */
export const REMEMBERED_MAX = 16;

const RememberedPeer = closed({ id: Type.String(), incarnation: Incarnation, contact: Type.String() });

/** A virtual node of this base node: what must outlive the daemon. */
export const Membership = closed({
  om: closed({ host: Type.String(), port: Port }),
  vi: ViConfig,
  name: Name,
  /** 16 hexadecimal digits. */
  id: Type.String({ pattern: '^[0-9a-f]{16}$' }),
  ipv4: Type.String(),
  ipv6: Type.String(),
  groups: Groups,
  /** PEM. */
  certificate: Type.String(),
  ca: Type.String(),
  /** Network namespace; null is the daemon's own. */
  netns: Type.Union([Type.String(), Type.Null()]),
  p2pdPort: Port,
  incarnation: Incarnation,
  /** Link pairs on lease, and the end of the lease, milliseconds since 1970. */
  pairs: Type.Array(Type.Integer({ minimum: 0 })),
  leasedUntil: Type.Number(),
  peers: Type.Array(RememberedPeer, { maxItems: REMEMBERED_MAX }),
});
export type Membership = Static<typeof Membership>;

const FILE = 'membership.json';
const REVOCATIONS_FILE = 'revocations.pem';
const DIRECTORY_FILE = 'directory.json';

export class DataDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** NOT_PERMITTED where it cannot be made or is not ours. */
  prepare(): Result<void> {
    try {
      mkdirSync(join(this.path, 'nodes'), { recursive: true, mode: 0o700 });
      chmodSync(this.path, 0o700);
      return ok();
    } catch (error) {
      return fail('NOT_PERMITTED', `The data directory cannot be used: ${(error as Error).message}.`);
    }
  }

  read(name: string): string | undefined {
    try {
      return readFileSync(join(this.path, name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Whole or not at all: readers and a crash see the old text or the new one. SYSTEM where the disk refuses it. */
  write(name: string, text: string): Result<void> {
    const path = join(this.path, name);
    return attempt(`${path} cannot be written`, () => {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(`${path}.new`, text, { mode: 0o600, flush: true });
      renameSync(`${path}.new`, path);
    });
  }

  /** SYSTEM where the disk refuses it; what is not there is removed already. */
  remove(name: string): Result<void> {
    const path = join(this.path, name);
    return attempt(`${path} cannot be removed`, () => rmSync(path, { force: true, recursive: true }));
  }

  nodePath(membership: Membership): string {
    return join('nodes', `${membership.vi.id}-${membership.name}`);
  }

  saveMembership(membership: Membership): Result<void> {
    return this.write(join(this.nodePath(membership), FILE), `${JSON.stringify(membership, undefined, 2)}\n`);
  }

  /** The revocation list of the membership's CA, PEM. */
  saveRevocations(membership: Membership, pem: string): Result<void> {
    return this.write(join(this.nodePath(membership), REVOCATIONS_FILE), pem);
  }

  /** undefined where there is none, or none that can be read. */
  revocations(membership: Membership): string | undefined {
    try {
      return this.read(join(this.nodePath(membership), REVOCATIONS_FILE));
    } catch {
      return undefined;
    }
  }

  /** The list of the VI's nodes. */
  saveDirectory(membership: Membership, nodes: NodeList['nodes']): Result<void> {
    return this.write(join(this.nodePath(membership), DIRECTORY_FILE), `${JSON.stringify({ nodes })}\n`);
  }

  /** undefined where there is none, or none that can be read. */
  directory(membership: Membership): NodeList['nodes'] | undefined {
    try {
      const list: unknown = JSON.parse(this.read(join(this.nodePath(membership), DIRECTORY_FILE)) ?? 'null');
      return Value.Check(NodeList, list) ? list.nodes : undefined;
    } catch {
      return undefined;
    }
  }

  removeMembership(membership: Membership): Result<void> {
    return this.remove(this.nodePath(membership));
  }

  /** Those that can be read, and the names of the directories whose file cannot. */
  memberships(): { readonly found: Membership[]; readonly unreadable: string[] } {
    const found: Membership[] = [];
    const unreadable: string[] = [];
    for (const directory of readdirSync(join(this.path, 'nodes'))) {
      const membership = parseMembership(this.read(join('nodes', directory, FILE)));
      if (membership === undefined) unreadable.push(directory);
      else found.push(membership);
    }
    return { found, unreadable };
  }
}

function attempt(what: string, task: () => void): Result<void> {
  try {
    task();
    return ok();
  } catch (error) {
    return fail('SYSTEM', `${what}: ${(error as Error).message}.`);
  }
}

function parseMembership(text: string | undefined): Membership | undefined {
  try {
    // Definitions of VIs had fewer fields in earlier releases.
    const value: unknown = Value.Default(Membership, JSON.parse(text ?? 'null'));
    return Value.Check(Membership, value) ? value : undefined;
  } catch {
    return undefined;
  }
}
