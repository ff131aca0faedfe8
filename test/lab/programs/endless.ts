/** Answers every HTTP request with data that never end, as fast as they are taken: endless.ts PORT. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

const BLOCK = randomBytes(65_536);

createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'application/octet-stream' });
  const more = (): void => {
    while (response.write(BLOCK));
  };
  response.on('drain', more);
  more();
}).listen(Number(process.argv[2]), () => process.stdout.write('ready\n'));
