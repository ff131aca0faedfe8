/** Gnutella and FastTrack: searches in one case, and transfers in a kind of HTTP. */
import { SERVER } from '../router.ts';
import type { Listener } from '../sockets.ts';
import { join, le, type Protocol, type Sides } from './session.ts';

const PORT = 6346;
const FASTTRACK_PORT = 1214;
const QUERY = 0x80;
const HIT = 0x81;
const PUSH = 0x40;
const ID = Buffer.alloc(16, 'G');
const SERVENT = Buffer.alloc(16, 'S');
const CONNECT = 'GNUTELLA CONNECT/0.6\r\nUser-Agent: Lab/1\r\nX-Ultrapeer: False\r\n\r\n';
const ACCEPT = 'GNUTELLA/0.6 200 OK\r\nUser-Agent: Lab/1\r\n\r\n';
const CONFIRM = 'GNUTELLA/0.6 200 OK\r\n\r\n';

function message(type: number, payload: Uint8Array): Buffer {
  return join(ID, Buffer.of(type, 5, 0), le(payload.length, 4), payload);
}

function bodyOf(response: Buffer): Buffer {
  const head = response.indexOf('\r\n\r\n');
  return head < 0 ? Buffer.alloc(0) : response.subarray(head + 4);
}

export class Gnutella implements Protocol {
  readonly name: string;
  readonly application = 'gnutella';
  readonly wholeFiles = true;
  readonly #sides: Sides;
  readonly #far: Listener;
  readonly #near: Listener | undefined;
  readonly #nearAddress: string;

  private constructor(sides: Sides, far: Listener, near: Listener | undefined, nearAddress: string) {
    this.name = near === undefined ? 'Gnutella' : 'Gnutella, pushed';
    this.#sides = sides;
    this.#far = far;
    this.#near = near;
    this.#nearAddress = nearAddress;
  }

  /** Two: files are asked for, and given by who cannot be connected to. */
  static async start(sides: Sides, nearAddress: string): Promise<Gnutella[]> {
    const far = await sides.far.listen(PORT);
    const near = await sides.near.listen(PORT);
    return [undefined, near].map((pushed) => new Gnutella(sides, far, pushed, nearAddress));
  }

  async fetch(name: string, content: Uint8Array): Promise<Buffer> {
    const client = await this.#sides.near.connect(SERVER, PORT);
    const server = await this.#far.next();
    client.send(CONNECT);
    await server.readThrough('\r\n\r\n');
    server.send(ACCEPT);
    await client.readThrough('\r\n\r\n');
    client.send(join(CONFIRM, message(QUERY, join(le(0, 2), name, '\0'))));
    await server.readThrough(`${name}\0`);
    const address = Buffer.from(SERVER.split('.').map(Number));
    const result = join(le(12, 4), le(content.length, 4), name, '\0\0');
    server.send(message(HIT, join(Buffer.of(1), le(PORT, 2), address, le(0, 4), result, SERVENT)));
    await client.readThrough(SERVENT.toString());
    if (this.#near !== undefined) {
      const own = Buffer.from(this.#nearAddress.split('.').map(Number));
      client.send(message(PUSH, join(SERVENT, le(12, 4), own, le(PORT, 2))));
      await server.read(23 + 26);
    }
    const got = await (this.#near === undefined ? this.#get(name, content) : this.#given(this.#near, name, content));
    client.close();
    return got;
  }

  async #get(name: string, content: Uint8Array): Promise<Buffer> {
    const client = await this.#sides.near.connect(SERVER, PORT);
    const server = await this.#far.next();
    client.send(`GET /get/12/${name} HTTP/1.1\r\nUser-Agent: Lab/1\r\nConnection: close\r\n\r\n`);
    if ((await server.readThrough('\r\n\r\n', 1000)).length === 0) return Buffer.alloc(0);
    server.send(join(`HTTP/1.1 200 OK\r\nServer: Lab/1\r\nContent-Length: ${content.length}\r\n\r\n`, content));
    const head = await client.readThrough('\r\n\r\n');
    const got = join(bodyOf(head), await client.read(content.length));
    client.close();
    return got;
  }

  async #given(near: Listener, name: string, content: Uint8Array): Promise<Buffer> {
    const giver = await this.#sides.far.connect(this.#nearAddress, PORT);
    const taker = await near.next();
    giver.send(`GIV 12:${SERVENT.toString('hex')}/${name}\n\n`);
    if ((await taker.readThrough('\n\n', 1000)).length === 0) return Buffer.alloc(0);
    taker.send(`GET /get/12/${name} HTTP/1.1\r\nUser-Agent: Lab/1\r\n\r\n`);
    if ((await giver.readThrough('\r\n\r\n', 1000)).length === 0) return Buffer.alloc(0);
    giver.send(join(`HTTP/1.1 200 OK\r\nServer: Lab/1\r\nContent-Length: ${content.length}\r\n\r\n`, content));
    await taker.readThrough('\r\n\r\n');
    const got = await taker.read(content.length);
    taker.close();
    return got;
  }
}

/** Kazaa's transfers; what its supernodes say to each other is encrypted. */
export class FastTrack implements Protocol {
  readonly name = 'FastTrack (Kazaa)';
  readonly application = 'fasttrack';
  readonly wholeFiles = true;
  readonly #sides: Sides;
  readonly #far: Listener;

  private constructor(sides: Sides, far: Listener) {
    this.#sides = sides;
    this.#far = far;
  }

  static async start(sides: Sides): Promise<FastTrack> {
    return new FastTrack(sides, await sides.far.listen(FASTTRACK_PORT));
  }

  async fetch(name: string, content: Uint8Array): Promise<Buffer> {
    const client = await this.#sides.near.connect(SERVER, FASTTRACK_PORT);
    const server = await this.#far.next();
    const hash = Buffer.from(name).toString('hex').padEnd(40, '0').slice(0, 40);
    client.send(
      `GET /.hash=${hash} HTTP/1.1\r\nHost: ${SERVER}:${FASTTRACK_PORT}\r\nUserAgent: KazaaClient Nov 3 2002\r\n` +
        'X-Kazaa-Username: bob\r\nX-Kazaa-Network: KaZaA\r\n\r\n',
    );
    await server.readThrough('\r\n\r\n', 1000);
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\nX-Kazaa-Network: KaZaA\r\nX-KazaaTag: 2=${name}\r\n\r\n`;
    server.send(join(head, content));
    await client.readThrough('\r\n\r\n');
    const got = await client.read(content.length);
    client.close();
    return got;
  }
}
