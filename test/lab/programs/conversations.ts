/**
 * TCP connections that stay open. `serve NAME`: answers each line with its name. `hold ADDRESS…`: opens one connection to
 * each address; for every line on standard input it asks each of them and prints, as one JSON array, who answered, or null.
 */
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const PORT = 9001;
const ANSWER_MS = 10_000;

function serve(name: string): void {
  const server = createServer((socket) => {
    socket.on('data', () => socket.write(`${name}\n`));
    socket.on('error', () => undefined);
  });
  server.listen(PORT, '::', () => process.stdout.write('listening\n'));
}

function ask(socket: Socket): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const none = (): void => resolve(null);
  if (socket.destroyed) none();
  socket.once('data', (answer: string) => resolve(answer.trim()));
  socket.once('close', none);
  socket.write('who\n');
  setTimeout(none, ANSWER_MS).unref();
  return promise.finally(() => socket.removeListener('close', none));
}

async function hold(addresses: readonly string[]): Promise<void> {
  const sockets = addresses.map((host) =>
    connect({ host, port: PORT })
      .setEncoding('utf8')
      .on('error', () => undefined),
  );
  for await (const _ of createInterface(process.stdin)) {
    process.stdout.write(`${JSON.stringify(await Promise.all(sockets.map(ask)))}\n`);
  }
  process.exit(0);
}

const [, , role, ...rest] = process.argv;
if (role === 'serve') serve(rest[0] ?? '');
else void hold(rest);
