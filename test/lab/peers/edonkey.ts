/** eDonkey between two clients: hello, the name of a file, a place in the queue, and parts of it; and messages. */
import { createHash } from 'node:crypto';
import { SERVER } from '../router.ts';
import type { End, Listener } from '../sockets.ts';
import { join, le, type Protocol, type Sides } from './session.ts';

const PORT = 4662;
const PART_BYTES = 10_240;
const OP = {
  hello: 0x01,
  sendingPart: 0x46,
  requestParts: 0x47,
  helloAnswer: 0x4c,
  message: 0x4e,
  setFile: 0x4f,
  fileStatus: 0x50,
  startUpload: 0x54,
  acceptUpload: 0x55,
  requestName: 0x58,
  nameAnswer: 0x59,
} as const;

function frame(operation: number, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const body = join(Buffer.of(operation), ...parts);
  return join(Buffer.of(0xe3), le(body.length, 4), body);
}

const text = (words: string): Buffer => join(le(Buffer.byteLength(words), 2), words);

/** A string, under a name of one byte. */
const tag = (name: number, words: string): Buffer => join(Buffer.of(2), le(1, 2), Buffer.of(name), text(words));

/** The sixth and the fifteenth byte say that it is an eMule. */
function userHash(fill: string): Buffer {
  const hash = Buffer.alloc(16, fill);
  hash[5] = 0x0e;
  hash[14] = 0x6f;
  return hash;
}

function about(fill: string): Buffer {
  return join(userHash(fill), le(0x0100_007f, 4), le(PORT, 2), le(1, 4), tag(0x01, 'lab'), le(0, 4), le(0, 2));
}

/** The next frame's operation and what follows; undefined if none comes. */
async function next(end: End, waitMs = 1000): Promise<{ operation: number; body: Buffer } | undefined> {
  const head = await end.read(6, waitMs);
  if (head.length < 6) return undefined;
  const bytes = head.readUInt32LE(1) - 1;
  const body = await end.read(bytes);
  return body.length < bytes ? undefined : { operation: head[5] as number, body };
}

export class EDonkey implements Protocol {
  readonly name = 'eDonkey';
  readonly application = 'edonkey';
  readonly wholeFiles = false;
  readonly #sides: Sides;
  readonly #far: Listener;

  private constructor(sides: Sides, far: Listener) {
    this.#sides = sides;
    this.#far = far;
  }

  static async start(sides: Sides): Promise<EDonkey> {
    return new EDonkey(sides, await sides.far.listen(PORT));
  }

  async #greet(): Promise<{ client: End; server: End }> {
    const client = await this.#sides.near.connect(SERVER, PORT);
    const server = await this.#far.next();
    client.send(frame(OP.hello, Buffer.of(16), about('n')));
    await next(server);
    server.send(frame(OP.helloAnswer, about('f')));
    await next(client);
    return { client, server };
  }

  async say(words: string): Promise<boolean> {
    const { client, server } = await this.#greet();
    client.send(frame(OP.message, text(words)));
    const heard = (await next(server))?.body.includes(words) ?? false;
    client.close();
    server.close();
    return heard;
  }

  async fetch(name: string, content: Uint8Array): Promise<Buffer> {
    const { client, server } = await this.#greet();
    const got = await this.#get(client, server, name, content);
    client.close();
    server.close();
    return got;
  }

  async #get(client: End, server: End, name: string, content: Uint8Array): Promise<Buffer> {
    const hash = createHash('md5').update(content).digest();
    client.send(frame(OP.requestName, hash));
    await next(server);
    server.send(frame(OP.nameAnswer, hash, text(name)));
    if ((await next(client))?.body.includes(name) !== true) return Buffer.alloc(0);
    client.send(frame(OP.setFile, hash));
    await next(server);
    server.send(frame(OP.fileStatus, hash, le(0, 2)));
    await next(client);
    client.send(frame(OP.startUpload, hash));
    await next(server);
    server.send(frame(OP.acceptUpload));
    await next(client);
    const parts: Buffer[] = [];
    for (let at = 0; at < content.length; at += PART_BYTES) {
      const end = Math.min(at + PART_BYTES, content.length);
      const places = [le(at, 4), le(0, 4), le(0, 4), le(end, 4), le(0, 4), le(0, 4)];
      client.send(frame(OP.requestParts, hash, ...places));
      await next(server);
      server.send(frame(OP.sendingPart, hash, le(at, 4), le(end, 4), content.subarray(at, end)));
      const part = await next(client, 5000);
      if (part?.operation !== OP.sendingPart) break;
      parts.push(part.body.subarray(24));
    }
    return Buffer.concat(parts);
  }
}
