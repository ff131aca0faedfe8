/** Answers every HTTP request with a file whose end is the connection's, as servers of old do: unsized-file.ts PORT FILE. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout } from 'node:timers';

const [port, file = ''] = process.argv.slice(2);
const PAUSE_MS = 300;

createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.once('data', () => {
    socket.write('HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n');
    socket.write(readFileSync(file));
    // The last data and the end come in packets of their own.
    setTimeout(() => socket.end(), PAUSE_MS);
  });
}).listen(Number(port), () => process.stdout.write('ready\n'));
