/** The connection to the resource daemon: a Unix stream socket that is made again whenever it breaks. */
import { createConnection, type Socket } from 'node:net';
import { encodeFrame, FrameReader } from '../../overlay/frames.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { type ToP2pd, type ToRd, toP2pdCodec, toRdCodec } from '../../overlay/messages/p2pd-rd.ts';

const RETRY_MS = 50;
const RETRY_MS_MAX = 250;
/** A resource daemon that lets so much pile up does not read any more, bytes. */
const UNSENT_BYTES_MAX = 8 * 1024 * 1024;

export type RdLinkEvents = {
  readonly up: () => void;
  readonly down: () => void;
  readonly message: (message: ToP2pd) => void;
};

export class RdLink {
  readonly #path: string;
  readonly #events: RdLinkEvents;
  readonly #log: Log;
  #socket: Socket | undefined;
  #retryMs = RETRY_MS;
  #closed = false;

  constructor(path: string, events: RdLinkEvents, log: Log) {
    this.#path = path;
    this.#events = events;
    this.#log = log;
  }

  open(): void {
    const socket = createConnection(this.#path);
    let reader: FrameReader | undefined;
    socket.on('connect', () => {
      reader = new FrameReader();
      this.#socket = socket;
      this.#retryMs = RETRY_MS;
      this.#events.up();
    });
    socket.on('data', (bytes) => {
      const messages = reader?.push(bytes);
      if (messages === undefined) return;
      if (!messages.ok) return this.#refuse(socket, messages.message);
      for (const bytesOfOne of messages.value) {
        const message = toP2pdCodec.decode(bytesOfOne);
        if (!message.ok) return this.#refuse(socket, message.message);
        this.#events.message(message.value);
      }
    });
    socket.on('error', (error) => this.#log.debug({ error: error.message }, 'connection to the resource daemon'));
    socket.on('close', () => {
      const wasUp = this.#socket === socket;
      this.#socket = undefined;
      if (this.#closed) return;
      if (wasUp) this.#events.down();
      setTimeout(() => this.open(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
    });
  }

  send(message: ToRd): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    socket.write(encodeFrame(toRdCodec.encode(message)));
    if (socket.writableLength > UNSENT_BYTES_MAX) this.#refuse(socket, 'The resource daemon does not read.');
  }

  /** Sends what is left, then calls back. */
  close(done: () => void): void {
    this.#closed = true;
    if (this.#socket === undefined) done();
    else this.#socket.end(done);
  }

  #refuse(socket: Socket, why: string): void {
    this.#log.error({ why }, 'connection to the resource daemon broken off');
    socket.destroy();
  }
}
