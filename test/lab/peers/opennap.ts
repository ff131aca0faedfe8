/** OpenNap: a server, one user who shares, and one who downloads and talks. */
import { SERVER } from '../router.ts';
import type { End, Listener } from '../sockets.ts';
import { join, le, type Protocol, type Sides } from './session.ts';

const SERVER_PORT = 8888;
const PEER_PORT = 6699;
const LOGIN = 2;
const WELCOME = 3;
const MESSAGE_OF_THE_DAY = 621;
const SEARCH = 200;
const FOUND = 201;
const SEARCH_ENDS = 202;
const DOWNLOAD = 203;
const DOWNLOAD_FROM = 204;
const PRIVATE = 205;

function message(type: number, text: string): Buffer {
  const bytes = Buffer.from(text);
  return join(le(bytes.length, 2), le(type, 2), bytes);
}

export class OpenNap implements Protocol {
  readonly name = 'OpenNap';
  readonly application = 'opennap';
  readonly wholeFiles = true;
  readonly #sides: Sides;
  readonly #server: Listener;
  readonly #sharer: Listener;

  private constructor(sides: Sides, server: Listener, sharer: Listener) {
    this.#sides = sides;
    this.#server = server;
    this.#sharer = sharer;
  }

  static async start(sides: Sides): Promise<OpenNap> {
    return new OpenNap(sides, await sides.far.listen(SERVER_PORT), await sides.far.listen(PEER_PORT));
  }

  async #login(): Promise<{ client: End; server: End }> {
    const client = await this.#sides.near.connect(SERVER, SERVER_PORT);
    const server = await this.#server.next();
    client.send(message(LOGIN, 'bob secret 6700 "nap v0.8" 3'));
    await server.readThrough('nap v0.8" 3');
    server.send(join(message(WELCOME, 'anon@lab'), message(MESSAGE_OF_THE_DAY, 'Welcome bob!')));
    await client.readThrough('Welcome bob!');
    return { client, server };
  }

  async fetch(name: string, content: Uint8Array): Promise<Buffer> {
    const path = `C:\\mp3\\${name}`;
    const none = '0'.repeat(32);
    const { client, server } = await this.#login();
    client.send(message(SEARCH, `FILENAME CONTAINS "${name}" MAX_RESULTS 10`));
    await server.readThrough('MAX_RESULTS 10');
    // As number its address has the lowest byte first.
    const address = Buffer.from(SERVER.split('.').map(Number)).readUInt32LE();
    const result = `"${path}" ${none} ${content.length} 128 44100 60 alice ${address} 7`;
    server.send(join(message(FOUND, result), message(SEARCH_ENDS, '')));
    await client.readThrough('alice');
    client.send(message(DOWNLOAD, `alice "${path}"`));
    const asked = await server.readThrough(`alice "${path}"`, 1000);
    let got: Buffer = Buffer.alloc(0);
    if (asked.includes('alice')) {
      server.send(message(DOWNLOAD_FROM, `alice ${address} ${PEER_PORT} "${path}" ${none} 7`));
      await client.readThrough(`${none} 7`);
      got = await this.#download(path, content);
    }
    client.close();
    return got;
  }

  /** From the one who shares, as somebody does who has her address from elsewhere. */
  async #download(path: string, content: Uint8Array): Promise<Buffer> {
    const client = await this.#sides.near.connect(SERVER, PEER_PORT);
    const sharer = await this.#sharer.next();
    sharer.send('1');
    await client.read(1);
    await client.sendApart('GET', `bob "${path}" 0`);
    if (!(await sharer.readThrough('" 0', 1000)).includes('" 0')) return Buffer.alloc(0);
    await sharer.sendApart(String(content.length), content);
    await client.read(String(content.length).length);
    const got = await client.read(content.length);
    client.close();
    return got;
  }

  async say(text: string): Promise<boolean> {
    const { client, server } = await this.#login();
    client.send(message(PRIVATE, `alice ${text}`));
    const heard = (await server.readThrough(text, 1000)).includes(text);
    client.close();
    return heard;
  }
}
