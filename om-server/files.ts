/** The data directory: what is not in the database. Nothing in it is for other users' eyes. */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail } from '../overlay/errors.ts';
import { ok, type Result } from '../overlay/lib/result.ts';

export const FILES = {
  database: 'om.sqlite',
  caKey: 'ca-key.pem',
  ca: 'ca.pem',
  serverKey: 'server-key.pem',
  server: 'server.pem',
  token: 'admin-token',
  addressSecret: 'address-secret',
  endpoint: 'endpoint.json',
} as const;

const TOKEN_BYTES = 32;

/** The text of the file; undefined if there is none. Throws what the system says otherwise. */
export function readIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Mode 0600; after a crash there is the old file or the new one, never a part of it. */
export function writeSafely(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(dirname(path));
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** The directory, mode 0700, and in it the file of the database, mode 0600: its journals inherit that. */
export function makeDataDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  closeSync(openSync(join(path, FILES.database), 'a', 0o600));
}

/** The admin token, made at the first start: 256 bits, base64url. */
export function adminToken(data: string): string {
  return secretIn(join(data, FILES.token));
}

/** What the secrets of nodes at the address server are derived from, made at the first start: 256 bits. */
export function addressSecret(data: string): Uint8Array {
  return Buffer.from(secretIn(join(data, FILES.addressSecret)), 'base64url');
}

function secretIn(path: string): string {
  const existing = readIfExists(path)?.trim();
  if (existing !== undefined && existing.length > 0) return existing;
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  writeSafely(path, `${token}\n`);
  return token;
}

/** What the administrator's command on the same machine needs. */
export type LocalAccess = {
  readonly host: string;
  readonly port: number;
  readonly caPem: string;
  readonly token: string;
};

/** Access to the overlay manager that runs, or last ran, on this data directory. */
export function readLocalAccess(data: string): Result<LocalAccess> {
  try {
    const [endpoint, caPem, token] = [FILES.endpoint, FILES.ca, FILES.token].map((name) =>
      readIfExists(join(data, name)),
    );
    if (endpoint === undefined || caPem === undefined || token === undefined) {
      return fail('NOT_FOUND', `There is no overlay manager in ${data}; start one with \`p2pxbone om start\`.`);
    }
    const { host, port } = JSON.parse(endpoint) as { host: string; port: number };
    return ok({ host, port, caPem, token: token.trim() });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EACCES' || code === 'EPERM') {
      return fail('NOT_PERMITTED', `${data} cannot be read; run this as the overlay manager’s user.`);
    }
    return fail('SYSTEM', `${data} cannot be read (${code ?? 'it is damaged'}).`);
  }
}
