/** A BitTorrent tracker, over HTTP and UDP at the same port: tracker.ts PORT. Remembers who announced, as long as it runs. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';

const port = Number(process.argv[2]);
const INTERVAL_S = 5;
const MAGIC = 0x41727101980n;
const CONNECT = 0;
const ANNOUNCE = 1;

/** By torrent, in hexadecimal digits: peers in the compact form, as text of one character a byte. */
const swarms = new Map<string, Set<string>>();

function announce(torrent: string, address: string, at: number): string {
  const swarm = swarms.get(torrent) ?? new Set<string>();
  swarms.set(torrent, swarm);
  const bytes = [...address.split('.').map(Number), at >> 8, at & 255];
  const self = String.fromCharCode(...bytes);
  swarm.add(self);
  return [...swarm].filter((peer) => peer !== self).join('');
}

const http = createServer((request, response) => {
  // Binary values are percent-encoded bytes, which are no UTF-8.
  const query = new Map(
    (request.url ?? '')
      .split('?')[1]
      ?.split('&')
      .map((pair) => pair.split('=') as [string, string]),
  );
  const torrent = Buffer.from(unescape(query.get('info_hash') ?? ''), 'latin1').toString('hex');
  const from = (request.socket.remoteAddress ?? '').replace('::ffff:', '');
  const peers = announce(torrent, from, Number(query.get('port')));
  const text = `d8:intervali${INTERVAL_S}e12:min intervali1e5:peers${peers.length}:${peers}e`;
  response.writeHead(200, { 'content-type': 'text/plain' }).end(Buffer.from(text, 'latin1'));
});

const udp = createSocket('udp4', (message, from) => {
  if (message.length < 16) return;
  const action = message.readUInt32BE(8);
  const transaction = message.subarray(12, 16);
  const answer = Buffer.alloc(action === CONNECT ? 16 : 20);
  answer.writeUInt32BE(action);
  transaction.copy(answer, 4);
  if (action === CONNECT && message.readBigUInt64BE() === MAGIC) {
    answer.writeBigUInt64BE(MAGIC, 8);
    udp.send(answer, from.port, from.address);
  } else if (action === ANNOUNCE && message.length >= 98) {
    const peers = announce(message.toString('hex', 16, 36), from.address, message.readUInt16BE(96));
    answer.writeUInt32BE(INTERVAL_S, 8);
    udp.send(Buffer.concat([answer, Buffer.from(peers, 'latin1')]), from.port, from.address);
  }
});

udp.bind(port, () => http.listen(port, '0.0.0.0', () => process.stdout.write('ready\n')));
