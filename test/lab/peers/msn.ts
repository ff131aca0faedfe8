/** MSN Messenger: notification server, switchboard, and the three ways in which its files went. */
import { SERVER } from '../router.ts';
import type { End, Listener } from '../sockets.ts';
import { join, le, type Protocol, type Sides } from './session.ts';

const NOTIFICATION_PORT = 1863;
const SWITCHBOARD_PORT = 1864;
const DIRECT_PORT = 8790;
const TRANSFER_PORT = 6891;
const FILE_TRANSFER = '{5D3E02AB-6190-11D3-BBBB-00C04F795683}';
const CONTEXT_BYTES = 574;
const CHUNK_BYTES = 1202;
const BLOCK_BYTES = 2045;
const HEADER_BYTES = 48;
const FILE_DATA = 0x01000030;
const SESSION = 77;

export type Carriage = 'switchboard' | 'direct' | 'MSNFTP';

function said(head: string, payload: Uint8Array | string): Buffer {
  const bytes = Buffer.from(payload as string);
  return join(`MSG ${head} ${bytes.length}\r\n`, bytes);
}

const byBen = (payload: Uint8Array | string): Buffer => said('ben@example.org ben', payload);

function typed(type: string, body: Uint8Array | string): Buffer {
  return join(`MIME-Version: 1.0\r\nContent-Type: ${type}\r\n\r\n`, body);
}

type Piece = { readonly session: number; readonly offset: number; readonly total: number; readonly flags: number };

function piece({ session, offset, total, flags }: Piece, body: Uint8Array): Buffer {
  const head = [
    le(session, 4),
    le(5, 4),
    le(offset, 8),
    le(total, 8),
    le(body.length, 4),
    le(flags, 4),
    Buffer.alloc(16),
  ];
  return join(...head, body);
}

function inSwitchboard(message: Uint8Array): Buffer {
  const head = 'MIME-Version: 1.0\r\nContent-Type: application/x-msnmsgrp2p\r\nP2P-Dest: ann@example.org\r\n\r\n';
  return byBen(join(head, message, Buffer.alloc(4)));
}

function invitation(name: string, size: number): Buffer {
  const context = Buffer.alloc(CONTEXT_BYTES);
  join(le(CONTEXT_BYTES, 4), le(3, 4), le(size, 8), le(1, 4), Buffer.from(name, 'utf16le')).copy(context);
  return join(
    'INVITE MSNMSGR:ann@example.org MSNSLP/1.0\r\nContent-Type: application/x-msnmsgr-sessionreqbody\r\n\r\n',
    `EUF-GUID: ${FILE_TRANSFER}\r\nSessionID: ${SESSION}\r\nAppID: 2\r\nContext: ${context.toString('base64')}\r\n\r\n\0`,
  );
}

/** A message without a session, in pieces of the usual size. */
function* spoken(text: Buffer): Iterable<Buffer> {
  for (let offset = 0; offset < text.length; offset += CHUNK_BYTES) {
    const part = text.subarray(offset, offset + CHUNK_BYTES);
    yield piece({ session: 0, offset, total: text.length, flags: 0 }, part);
  }
}

function* carried(content: Uint8Array): Iterable<Buffer> {
  for (let offset = 0; offset < content.length; offset += CHUNK_BYTES) {
    const part = content.subarray(offset, offset + CHUNK_BYTES);
    yield piece({ session: SESSION, offset, total: content.length, flags: FILE_DATA }, part);
  }
}

/** The file's bytes in the messages that came. */
function collected(messages: Iterable<Buffer>): Buffer {
  const parts: Buffer[] = [];
  for (const message of messages) {
    if (message.length < HEADER_BYTES || message.readUInt32LE(0) !== SESSION) continue;
    parts.push(message.subarray(HEADER_BYTES, HEADER_BYTES + message.readUInt32LE(24)));
  }
  return Buffer.concat(parts);
}

function* switchboardMessages(got: Buffer): Iterable<Buffer> {
  for (let at = got.indexOf('MSG '); at >= 0; ) {
    const line = got.indexOf('\r\n', at);
    if (line < 0) return;
    const bytes = Number(got.toString('latin1', at, line).split(' ').at(-1));
    const payload = got.subarray(line + 2, line + 2 + bytes);
    if (payload.length < bytes) return;
    yield payload.subarray(payload.indexOf('\r\n\r\n') + 4);
    at = got.indexOf('MSG ', line + 2 + bytes);
  }
}

function* directMessages(got: Buffer): Iterable<Buffer> {
  for (let at = 0; at + 4 <= got.length; ) {
    const bytes = got.readUInt32LE(at);
    const message = got.subarray(at + 4, at + 4 + bytes);
    if (message.length < bytes) return;
    yield message;
    at += 4 + bytes;
  }
}

function framed(message: Uint8Array): Buffer {
  return join(le(message.length, 4), message);
}

type Listeners = Readonly<Record<'notification' | 'switchboard' | 'direct' | 'transfer', Listener>>;

export class Msn implements Protocol {
  readonly name: string;
  readonly application = 'msn';
  readonly wholeFiles = true;
  readonly #sides: Sides;
  readonly #carriage: Carriage;
  readonly #listeners: Listeners;

  private constructor(sides: Sides, carriage: Carriage, listeners: Listeners) {
    this.name = `MSN, ${carriage}`;
    this.#sides = sides;
    this.#carriage = carriage;
    this.#listeners = listeners;
  }

  static async start(sides: Sides): Promise<Msn[]> {
    const listeners = {
      notification: await sides.far.listen(NOTIFICATION_PORT),
      switchboard: await sides.far.listen(SWITCHBOARD_PORT),
      direct: await sides.far.listen(DIRECT_PORT),
      transfer: await sides.far.listen(TRANSFER_PORT),
    };
    return (['switchboard', 'direct', 'MSNFTP'] as const).map((carriage) => new Msn(sides, carriage, listeners));
  }

  /** Ann logs in, and asks for a switchboard; Ben joins her there. */
  async #switchboard(): Promise<{ ann: End; board: End; close: () => void }> {
    const client = await this.#sides.near.connect(SERVER, NOTIFICATION_PORT);
    const server = await this.#listeners.notification.next();
    const ask = async (question: string, answer: string): Promise<void> => {
      client.send(`${question}\r\n`);
      await server.readThrough('\r\n');
      server.send(`${answer}\r\n`);
      await client.readThrough('\r\n');
    };
    await ask('VER 1 MSNP7 MSNP6 CVR0', 'VER 1 MSNP7');
    await ask('INF 2', 'INF 2 MD5');
    await ask('USR 3 MD5 I ann@example.org', 'USR 3 MD5 S 004444edf786b45');
    await ask('USR 4 MD5 S 26a5765737df3e222eb2155e89451044', 'USR 4 OK ann@example.org ann');
    await ask('XFR 9 SB', `XFR 9 SB ${SERVER}:${SWITCHBOARD_PORT} CKI 019792929b9e4f495003`);
    const ann = await this.#sides.near.connect(SERVER, SWITCHBOARD_PORT);
    const board = await this.#listeners.switchboard.next();
    ann.send('USR 1 ann@example.org 019792929b9e4f495003\r\n');
    await board.readThrough('\r\n');
    board.send('USR 1 OK ann@example.org ann\r\n');
    await ann.readThrough('\r\n');
    ann.send('CAL 2 ben@example.org\r\n');
    await board.readThrough('\r\n');
    board.send('CAL 2 RINGING 17342299\r\nJOI ben@example.org ben\r\n');
    await ann.readThrough('JOI ben@example.org ben\r\n');
    return { ann, board, close: () => [ann, client].forEach((end) => end.close()) };
  }

  async say(text: string): Promise<boolean> {
    const { ann, board, close } = await this.#switchboard();
    ann.send(said('3 A', typed('text/plain; charset=UTF-8', text)));
    const heard = (await board.readThrough(text, 1000)).includes(text);
    close();
    return heard;
  }

  async fetch(name: string, content: Uint8Array): Promise<Buffer> {
    const { ann, board, close } = await this.#switchboard();
    const got = await (this.#carriage === 'MSNFTP'
      ? this.#transferred(ann, board, name, content)
      : this.#peerToPeer(ann, board, name, content));
    close();
    return got;
  }

  async #peerToPeer(ann: End, board: End, name: string, content: Uint8Array): Promise<Buffer> {
    for (const part of spoken(invitation(name, content.length))) board.send(inSwitchboard(part));
    if (!(await ann.readThrough('AppID: 2', 1000)).includes('AppID: 2') && ann.isOver) return Buffer.alloc(0);
    if (this.#carriage === 'switchboard') {
      for (const part of carried(content)) board.send(inSwitchboard(part));
      await ann.settle(() => collected(switchboardMessages(ann.got)).length === content.length);
      return collected(switchboardMessages(ann.got));
    }
    const where = join(
      'MSNSLP/1.0 200 OK\r\nContent-Type: application/x-msnmsgr-transrespbody\r\n\r\n',
      `Bridge: TCPv1\r\nListening: true\r\nIPv4Internal-Addrs: ${SERVER}\r\nIPv4Internal-Port: ${DIRECT_PORT}\r\n\r\n\0`,
    );
    for (const part of spoken(where)) board.send(inSwitchboard(part));
    await ann.readThrough('IPv4Internal-Port', 1000);
    if (ann.isOver) return Buffer.alloc(0);
    const taker = await this.#sides.near.connect(SERVER, DIRECT_PORT);
    const giver = await this.#listeners.direct.next();
    const greeting = piece({ session: 0, offset: 0, total: 0, flags: 0x100 }, Buffer.alloc(0));
    await taker.sendApart(framed(Buffer.from('foo\0')), framed(greeting));
    await giver.read(8 + 4 + HEADER_BYTES);
    giver.send(framed(greeting));
    for (const part of carried(content)) giver.send(framed(part));
    await taker.settle(() => collected(directMessages(taker.got)).length === content.length);
    const got = collected(directMessages(taker.got));
    taker.close();
    return got;
  }

  /** Before there was peer to peer in the switchboard. */
  async #transferred(ann: End, board: End, name: string, content: Uint8Array): Promise<Buffer> {
    const invites = (lines: readonly string[]): string =>
      typed('text/x-msmsgsinvite; charset=UTF-8', `${lines.join('\r\n')}\r\n`).toString();
    board.send(
      byBen(
        invites([
          'Application-Name: File Transfer',
          `Application-GUID: ${FILE_TRANSFER}`,
          'Invitation-Command: INVITE',
          'Invitation-Cookie: 7',
          `Application-File: ${name}`,
          `Application-FileSize: ${content.length}`,
          '',
        ]),
      ),
    );
    await ann.readThrough('Application-FileSize', 1000);
    if (ann.isOver) return Buffer.alloc(0);
    ann.send(said('4 N', invites(['Invitation-Command: ACCEPT', 'Invitation-Cookie: 7', 'Launch-Application: FALSE'])));
    await board.readThrough('Launch-Application');
    const where = [`IP-Address: ${SERVER}`, `Port: ${TRANSFER_PORT}`, 'AuthCookie: 93301'];
    board.send(byBen(invites(['Invitation-Command: ACCEPT', 'Invitation-Cookie: 7', ...where])));
    await ann.readThrough('AuthCookie');
    const taker = await this.#sides.near.connect(SERVER, TRANSFER_PORT);
    const giver = await this.#listeners.transfer.next();
    taker.send('VER MSNFTP\r\n');
    await giver.readThrough('\r\n');
    giver.send('VER MSNFTP\r\n');
    await taker.readThrough('\r\n');
    taker.send('USR ann@example.org 93301\r\n');
    await giver.readThrough('\r\n');
    giver.send(`FIL ${content.length}\r\n`);
    await taker.readThrough('\r\n');
    taker.send('TFR\r\n');
    await giver.readThrough('TFR\r\n');
    for (let at = 0; at < content.length; at += BLOCK_BYTES) {
      const part = content.subarray(at, at + BLOCK_BYTES);
      giver.send(join(Buffer.of(0), le(part.length, 2), part));
    }
    const parts: Buffer[] = [];
    for (let left = content.length; left > 0 && !taker.isOver; ) {
      const head = await taker.read(3);
      if (head.length < 3) break;
      const part = await taker.read(head.readUInt16LE(1));
      parts.push(part);
      left -= part.length;
    }
    taker.send('BYE 16777989\r\n');
    taker.close();
    return Buffer.concat(parts);
  }
}
