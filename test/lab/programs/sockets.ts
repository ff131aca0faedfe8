/**
 * TCP connections of another network namespace, for a test that has none there: sockets.ts PATH. Takes connections at that
 * Unix socket. A line `connect ADDRESS PORT` as the first makes the rest of it a TCP connection; `listen PORT PATH` makes
 * every TCP connection to that port one to the Unix socket at PATH. Both are answered with a line, `ready` or what is wrong.
 */
import { connect, createServer, type Socket } from 'node:net';

const HIGH_WATER = 1 << 20;

/** Ends and breaks with it, in both directions. */
function join(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', (broken) => (broken ? to.destroy() : undefined));
  }
}

function serve(socket: Socket, line: string, rest: Buffer): void {
  const [what, first = '', second = ''] = line.split(' ');
  if (what === 'connect') {
    const far = connect({ host: first, port: Number(second), allowHalfOpen: true, noDelay: true });
    far.once('error', (error) => socket.end(`${error.message}\n`));
    far.once('connect', () => {
      socket.write('ready\n');
      if (rest.length > 0) far.write(rest);
      join(socket, far);
    });
    return;
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    join(near, connect({ path: second, allowHalfOpen: true }));
  });
  server.once('error', (error) => socket.end(`${error.message}\n`));
  server.listen(Number(first), '0.0.0.0', () => socket.write('ready\n'));
  socket.on('close', () => server.close());
}

const [path = ''] = process.argv.slice(2);
createServer({ allowHalfOpen: true, highWaterMark: HIGH_WATER }, (socket) => {
  socket.on('error', () => socket.destroy());
  let begun = Buffer.alloc(0);
  const onData = (data: Buffer): void => {
    begun = Buffer.concat([begun, data]);
    const end = begun.indexOf(10);
    if (end < 0) return;
    socket.off('data', onData);
    socket.pause();
    serve(socket, begun.toString('latin1', 0, end), begun.subarray(end + 1));
  };
  socket.on('data', onData);
}).listen(path, () => process.stdout.write('ready\n'));
