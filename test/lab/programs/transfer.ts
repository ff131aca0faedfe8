/**
 * A TCP transfer as any program makes one. `serve`: counts and hashes what each client sends, and answers with count and
 * digest. `send ADDRESS BYTES`: sends so many bytes, prints the server's answer, its own digest, and the time it took.
 */
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { systemClock } from '../../../overlay/lib/clock.ts';

const PORT = 9000;
const CHUNK_BYTES = 64 * 1024;

function serve(): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (chunk: Uint8Array) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    socket.on('end', () => socket.end(JSON.stringify({ bytes, digest: hash.digest('hex') })));
    socket.on('error', () => undefined);
  });
  server.listen(PORT, '::', () => process.stdout.write('listening\n'));
}

function send(address: string, total: number): void {
  const started = systemClock.now();
  const hash = createHash('sha256');
  const socket = connect({ host: address, port: PORT, allowHalfOpen: true });
  let left = total;
  let answer = '';
  const pump = (): void => {
    while (left > 0) {
      const chunk = Buffer.alloc(Math.min(left, CHUNK_BYTES), left % 251);
      hash.update(chunk);
      left -= chunk.length;
      if (!socket.write(chunk)) return;
    }
    socket.end();
  };
  socket.on('connect', pump);
  socket.on('drain', pump);
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  socket.on('end', () => {
    const ms = Math.round(systemClock.now() - started);
    process.stdout.write(JSON.stringify({ answer: JSON.parse(answer) as unknown, digest: hash.digest('hex'), ms }));
  });
  socket.on('error', (error) => {
    process.stderr.write(error.message);
    process.exitCode = 1;
  });
}

const [, , role, address = '', bytes = '0'] = process.argv;
if (role === 'serve') serve();
else send(address, Number(bytes));
