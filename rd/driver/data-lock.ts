/** One daemon per data directory, wherever its control socket is: a socket in the directory, which dies with us. */
import { closeSync, constants, openSync } from 'node:fs';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { closeServer, listenUnix } from './unix-server.ts';

const LOCK_SOCKET = 'lock.sock';

export type DataLock = { release(): Promise<void> };

/** CONFLICT where another daemon has it. */
export async function lockData(path: string): Promise<Result<DataLock>> {
  // By way of a descriptor the name of a socket is short enough, however long the path is.
  const directory = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  const server = await listenUnix({
    path: `/proc/self/fd/${directory}/${LOCK_SOCKET}`,
    mode: 0o600,
    connectionsMax: 1,
    onConnection: (socket) => socket.destroy(),
    onRefused: () => undefined,
  });
  if (!server.ok) {
    closeSync(directory);
    if (server.code !== 'CONFLICT') return server;
    return fail(
      'CONFLICT',
      `A resource daemon runs already with the data directory ${path}; choose another with --data.`,
    );
  }
  let released: Promise<void> | undefined;
  const release = async (): Promise<void> => {
    await closeServer(server.value);
    closeSync(directory);
  };
  return ok({ release: () => (released ??= release()) });
}
