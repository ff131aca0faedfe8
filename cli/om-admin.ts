/** The overlay manager as its administrator reaches it: on this machine by its data directory, elsewhere by options. */
import { readFileSync } from 'node:fs';
import { parseEndpoint } from '../om-server/config.ts';
import { type LocalAccess, readLocalAccess } from '../om-server/files.ts';
import { OverlayError } from '../overlay/errors.ts';
import { createOmClient, type OmClient } from '../overlay/om-client.ts';
import type { JsonOption } from './command.ts';
import { valueOf } from './command.ts';

export type AdminOptions = JsonOption & {
  readonly om?: string;
  readonly data?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
};

const DEFAULT_DATA = '/var/lib/p2pxbone/om';
const DEFAULT_PORT = 4781;

/** Runs `work` with a client of the overlay manager, and closes it. */
export async function withOm<T>(options: AdminOptions, work: (om: OmClient) => Promise<T>): Promise<T> {
  const om = createOmClient(accessOf(options));
  try {
    return await work(om);
  } finally {
    om.close();
  }
}

function accessOf(options: AdminOptions): LocalAccess {
  const { om, tokenFile, ca } = options;
  // With all three there is nothing to look up on this machine.
  const data = options.data ?? process.env['P2PXBONE_OM_DATA'] ?? DEFAULT_DATA;
  const local =
    om !== undefined && tokenFile !== undefined && ca !== undefined ? undefined : valueOf(readLocalAccess(data));
  const endpoint = om === undefined ? undefined : endpointOf(om);
  return {
    host: endpoint?.host ?? local?.host ?? '',
    port: endpoint?.port ?? local?.port ?? 0,
    token: tokenFile === undefined ? (local?.token ?? '') : read(tokenFile).trim(),
    caPem: ca === undefined ? (local?.caPem ?? '') : read(ca),
  };
}

function endpointOf(text: string): { host: string; port: number } {
  const endpoint = parseEndpoint(text);
  if (endpoint === undefined || endpoint.port === 0) {
    throw new OverlayError('BAD_ARGUMENT', `'${text}' is no address; give --om HOST:PORT or [IPV6]:PORT.`);
  }
  return { host: endpoint.host, port: endpoint.port ?? DEFAULT_PORT };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new OverlayError('NOT_PERMITTED', `${path} is not open to you; run this as its owner.`);
    }
    throw new OverlayError('BAD_ARGUMENT', `${path} cannot be read; correct the option that names it.`);
  }
}
