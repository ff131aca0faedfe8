/** Speaks to the address server without the client: what the client would never send, and what it would not see. */
import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket as Stream } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSealed, sealKey, sealMessage } from '../../overlay/address-seal.ts';
import { encodeFrame, FrameReader } from '../../overlay/frames.ts';
import {
  type FromAddressServer,
  fromAddressServerCodec,
  type ToAddressServer,
  toAddressServerCodec,
} from '../../overlay/messages/address.ts';
import { serialOf } from '../../overlay/revocation-list.ts';
import { type TestNode, valueOf } from './fixture.ts';

/** Longer than any answer on the loopback takes. */
const SILENCE_MS = 150;

export class Wire {
  readonly serial: string;
  readonly key: KeyObject;
  readonly port: number;
  readonly #socket: Socket;
  readonly #datagrams: Uint8Array[] = [];

  private constructor(socket: Socket, port: number, serial: string, secret: string) {
    this.#socket = socket;
    this.port = port;
    this.serial = serial;
    this.key = sealKey(Buffer.from(secret, 'base64'));
    socket.on('message', (datagram) => this.#datagrams.push(datagram));
  }

  /** In the name of that node, with the secret that the overlay manager gives it. */
  static async of(t: TestContext, node: TestNode): Promise<Wire> {
    const { port, secret } = valueOf(await node.client.addressServer());
    const socket = createSocket('udp4');
    socket.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    t.after(() => socket.close());
    return new Wire(socket, port, serialOf(node.joined.certificate), secret ?? assert.fail('no secret'));
  }

  seal(message: ToAddressServer): Uint8Array {
    return sealMessage('request', this.serial, this.key, toAddressServerCodec.encode(message));
  }

  /** With the secret of nobody. */
  forge(message: ToAddressServer): Uint8Array {
    return sealMessage('request', this.serial, sealKey(new Uint8Array(32)), toAddressServerCodec.encode(message));
  }

  send(datagram: Uint8Array): void {
    this.#socket.send(datagram);
  }

  /** What comes back for one datagram. */
  async exchange(datagram: Uint8Array): Promise<FromAddressServer> {
    this.send(datagram);
    for (let waited = 0; this.#datagrams.length === 0 && waited < 5000; waited += 5) await sleep(5);
    const [answer, ...more] = this.#datagrams.splice(0);
    assert.deepEqual(more, []);
    return valueOf(
      fromAddressServerCodec.decode(openSealed(this.key, answer ?? assert.fail('no answer')) ?? assert.fail()),
    );
  }

  ask(message: ToAddressServer): Promise<FromAddressServer> {
    return this.exchange(this.seal(message));
  }

  /** Asserts that nothing comes back. */
  async assertSilence(datagram: Uint8Array): Promise<void> {
    this.send(datagram);
    await sleep(SILENCE_MS);
    assert.deepEqual(this.#datagrams.splice(0), []);
  }

  /** The server's epoch, as it tells who does not know it. */
  async epoch(): Promise<number> {
    const told = await this.ask({ t: 'release', version: 1, epoch: 0, counter: 1, pairs: [] });
    return told.t === 'stale' ? told.epoch : assert.fail();
  }

  /** A connection, with nothing said on it. */
  async connect(t: TestContext): Promise<Stream> {
    const stream = connect(this.port, '127.0.0.1');
    stream.on('error', () => undefined);
    t.after(() => stream.destroy());
    await once(stream, 'connect');
    return stream;
  }

  /** The next so many answers on a connection. */
  async answersOn(stream: Stream, count: number): Promise<FromAddressServer[]> {
    const reader = new FrameReader();
    const answers: FromAddressServer[] = [];
    while (answers.length < count) {
      const [chunk] = (await once(stream, 'data')) as [Uint8Array];
      for (const frame of valueOf(reader.push(chunk))) {
        answers.push(valueOf(fromAddressServerCodec.decode(openSealed(this.key, frame) ?? assert.fail())));
      }
    }
    return answers;
  }

  /** The server's epoch, as it tells who does not know it. */
  async epochOn(stream: Stream): Promise<number> {
    stream.write(encodeFrame(this.seal({ t: 'release', version: 1, epoch: 0, counter: 1, pairs: [] })));
    const [told] = await this.answersOn(stream, 1);
    return told?.t === 'stale' ? told.epoch : assert.fail();
  }
}
