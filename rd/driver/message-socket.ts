/** Messages over a Unix stream socket: framed, checked, written in batches. */
import type { Socket } from 'node:net';
import type { Codec } from '../../overlay/codec.ts';
import { encodeFrame, FrameReader } from '../../overlay/frames.ts';
import type { Failure } from '../../overlay/lib/result.ts';

/** A reader that lags behind so far is cut off, bytes. */
const BACKLOG_BYTES_MAX = 8 * 1024 * 1024;
const STALLED_MS = 30_000;

export type MessageHandlers<In> = {
  readonly message: (message: In) => void;
  /** The peer sent something that is no message; the connection is closed after this. */
  readonly garbage: (failure: Failure) => void;
  readonly closed: () => void;
};

export class MessageSocket<In, Out> {
  readonly #socket: Socket;
  readonly #out: Codec<Out>;
  #isCorked = false;

  constructor(socket: Socket, incoming: Codec<In>, outgoing: Codec<Out>, handlers: MessageHandlers<In>) {
    this.#socket = socket;
    this.#out = outgoing;
    const reader = new FrameReader();
    socket.on('data', (bytes: Uint8Array) => {
      const frames = reader.push(bytes);
      if (!frames.ok) return this.#refuse(frames, handlers);
      for (const frame of frames.value) {
        if (socket.destroyed) return;
        const message = incoming.decode(frame);
        if (!message.ok) return this.#refuse(message, handlers);
        handlers.message(message.value);
      }
    });
    // Whatever happens to the connection, `close` follows.
    socket.on('error', () => undefined);
    socket.on('close', handlers.closed);
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  send(message: Out): void {
    this.sendEncoded(this.#out.encode(message));
  }

  /** Waits until most of what was sent is read; who reads nothing for STALLED_MS is cut off. */
  async drained(): Promise<void> {
    if (!this.isOpen || !this.#socket.writableNeedDrain) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stalled = setTimeout(() => this.#socket.destroy(), STALLED_MS);
    this.#socket.once('drain', resolve).once('close', resolve);
    await promise;
    clearTimeout(stalled);
    this.#socket.off('drain', resolve).off('close', resolve);
  }

  /** A message as its codec writes it. */
  sendEncoded(message: Uint8Array): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    if (this.#socket.writableLength > BACKLOG_BYTES_MAX) {
      this.#socket.destroy();
      return;
    }
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(encodeFrame(message));
  }

  /** Closes when what was sent is written. */
  end(): void {
    this.#socket.end(() => this.#socket.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #refuse(failure: Failure, handlers: MessageHandlers<In>): void {
    if (this.#socket.destroyed) return;
    handlers.garbage(failure);
    this.#socket.destroy();
  }
}
