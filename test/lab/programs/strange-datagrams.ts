/**
 * A stranger that sends datagrams nobody asked for. Arguments: ADDRESS PORT COUNT. Prints how many were sent and how
 * many datagrams came back within a second after the last.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';

const PACE = 50;
const WAIT_MS = 1000;

/** First bytes of STUN, VXLAN, DTLS and nothing (RFC 7983), half of them with a header that is right so far. */
function datagram(i: number): Buffer {
  const bytes = randomBytes(randomInt(1, 1400));
  const kinds = [randomInt(0, 4), 8, randomInt(20, 64), randomInt(64, 256)];
  bytes[0] = kinds[i % kinds.length] ?? 0;
  const half = Math.floor(i / kinds.length) % 2 === 0;
  if (half && bytes[0] === 8 && bytes.length > 8) bytes.set([0, 0, 0], 1);
  if (half && i % kinds.length === 2 && bytes.length > 13) {
    bytes.set([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0], 0);
    bytes.writeUInt16BE(bytes.length - 13, 11);
  }
  return bytes;
}

const [, , address = '', port = '0', count = '0'] = process.argv;
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
let answers = 0;
socket.on('message', () => answers++);
for (let i = 0; i < Number(count); i++) {
  await new Promise((resolve) => socket.send(datagram(i), Number(port), address, resolve));
  if (i % PACE === 0) await sleep(5);
}
await sleep(WAIT_MS);
socket.close();
process.stdout.write(JSON.stringify({ sent: Number(count), answers }));
