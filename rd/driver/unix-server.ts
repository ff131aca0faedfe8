/** A Unix socket of the daemon: one daemon per path, a dead one's leavings removed, callers known by credentials. */
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type PeerCredentials, peerCredentials } from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';

const PROBE_MS = 2000;

/** Whether somebody listens at that path. */
export function somebodyListens(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.setTimeout(PROBE_MS);
  socket.on('connect', () => resolve(true));
  socket.on('timeout', () => resolve(true));
  socket.on('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

export type UnixServerOptions = {
  readonly path: string;
  readonly mode: number;
  readonly connectionsMax: number;
  readonly onConnection: (socket: Socket, credentials: PeerCredentials) => void;
  /** A caller whose credentials cannot be read, or one too many. */
  readonly onRefused: () => void;
};

export async function listenUnix(options: UnixServerOptions): Promise<Result<Server>> {
  const { path, mode } = options;
  if (existsSync(path)) {
    if (await somebodyListens(path)) return fail('CONFLICT', `A resource daemon runs already: it answers at ${path}.`);
    rmSync(path, { force: true });
  }
  const server = createServer((socket) => {
    const credentials = credentialsOf(socket);
    if (credentials.ok) return options.onConnection(socket, credentials.value);
    options.onRefused();
    socket.destroy();
  });
  server.maxConnections = options.connectionsMax;
  server.on('drop', options.onRefused);
  const { promise, resolve } = Promise.withResolvers<Result<Server>>();
  server.once('error', (error) => resolve(fail('SYSTEM', `The socket ${path} cannot be made: ${error.message}.`)));
  server.listen(path, () => {
    chmodSync(path, mode);
    resolve(ok(server));
  });
  return promise;
}

/** Node closes a server's socket file with it; connections that are open stay, and are ended by their owners. */
export function closeServer(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  return promise;
}

function credentialsOf(socket: Socket): Result<PeerCredentials> {
  // Node has no public way to a socket's descriptor.
  // oxlint-disable-next-line no-underscore-dangle
  const handle = (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle;
  return peerCredentials(handle?.fd ?? -1);
}
