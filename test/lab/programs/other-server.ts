/** Serves files by HTTP at ADDRESS:PORT, says who it is and who asks, and gives back what comes to its UDP port 53. */
import { createSocket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const [address = '', port = '', directory = ''] = process.argv.slice(2);
const server = createServer((request, response) => {
  let received = 0;
  request.on('data', (data: Buffer) => (received += data.length));
  request.on('end', () => {
    const path = join(directory, request.url ?? '');
    if (request.method === 'POST') response.end(`${received} bytes\n`);
    else if (path.endsWith('.bin') && existsSync(path)) response.end(readFileSync(path));
    else response.end(`the other one, to ${request.socket.remoteAddress}\n`);
  });
});
const names = createSocket('udp4');
names.on('message', (text, from) => names.send(text, from.port, from.address));
names.bind(53, address, () => server.listen(Number(port), address, () => process.stdout.write('ready\n')));
