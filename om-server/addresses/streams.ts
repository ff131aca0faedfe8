/**
 * The address server over TCP and TLS, on one port: a connection that begins as a TLS handshake does is one. Messages
 * are in frames, over TCP each of them sealed; over TLS the client's certificate says who asks.
 */
import { createServer, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls';
import { sealMessage } from '../../overlay/address-seal.ts';
import { encodeFrame, FrameReader } from '../../overlay/frames.ts';
import { ADDRESS_BYTES_MAX } from '../../overlay/messages/address.ts';
import type { OmEndpoint } from '../../overlay/om-transport.ts';
import { serialOf } from '../../overlay/revocation-list.ts';
import type { Caller } from './callers.ts';
import type { AddressService } from './service.ts';

export const STREAMS_MAX = 10_000;
/** Connections of one node; one more ends the oldest. */
export const STREAMS_PER_CALLER_MAX = 4;
/** Who has not shown by then who it is, milliseconds after it connected, is cut off. */
export const INTRODUCTION_MS = 5000;
/** A connection on which nothing is asked for so long is ended, milliseconds. */
const IDLE_MS = 60_000;
/** With more answers that the client does not take, no more requests are read. */
const UNSENT_BYTES_MAX = 64 * 1024;
/** RFC 8446 §5.1: a record of a handshake. No frame begins so: it would be longer than any may be. */
const TLS_HANDSHAKE = 0x16;

export type StreamServer = {
  readonly server: Server;
  readonly address: OmEndpoint;
  setCertificate(certificate: SecureContextOptions): void;
  close(): Promise<void>;
};

/** Rejects where it cannot be bound. */
export async function listenStreams(
  service: AddressService,
  { host, port }: OmEndpoint,
  certificate: SecureContextOptions,
): Promise<StreamServer> {
  const streams = new Streams(service, certificate);
  const { server } = streams;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the server listens on no address');
  return {
    server,
    address: { host: bound.address, port: bound.port },
    setCertificate: (next) => streams.tls.setSecureContext(secureOptions(next)),
    close: () => streams.close(),
  };
}

function secureOptions(certificate: SecureContextOptions): SecureContextOptions {
  return { ...certificate, minVersion: 'TLSv1.3' };
}

class Streams {
  readonly server: Server;
  readonly tls: TlsServer;
  readonly #service: AddressService;
  readonly #open = new Set<Socket>();
  /** The oldest first. */
  readonly #byCaller = new Map<string, Socket[]>();

  constructor(service: AddressService, certificate: SecureContextOptions) {
    this.#service = service;
    this.server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.server.maxConnections = STREAMS_MAX;
    // Certificates that the CA did not sign, or that have expired, end the handshake.
    const demand = { requestCert: true, rejectUnauthorized: true, handshakeTimeout: INTRODUCTION_MS };
    this.tls = createTlsServer({ ...secureOptions(certificate), ...demand }, (socket) => this.#introduce(socket));
    this.tls.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    socket.on('error', () => undefined);
    const stranger = setTimeout(() => socket.destroy(), INTRODUCTION_MS);
    socket.once('close', () => clearTimeout(stranger));
    socket.once('data', (first) => {
      socket.pause();
      socket.unshift(first);
      if (first[0] === TLS_HANDSHAKE) {
        clearTimeout(stranger);
        this.tls.emit('connection', socket);
      } else {
        this.#serveSealed(socket, stranger);
        socket.resume();
      }
    });
  }

  #serveSealed(socket: Socket, stranger: NodeJS.Timeout): void {
    let isKnown = false;
    const answers = new Answers(socket);
    this.#serve(socket, (frame) => {
      const opened = this.#service.callers.open(frame);
      if (opened === undefined) return false;
      const { caller, message } = opened;
      if (!isKnown) this.#admit(caller, socket);
      isKnown = true;
      clearTimeout(stranger);
      return this.#service.ask(caller, 'tcp', message, (answer) =>
        answers.add(sealMessage('answer', caller.serial, caller.key, answer)),
      );
    });
  }

  #introduce(socket: TLSSocket): void {
    socket.on('error', () => undefined);
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return void socket.destroy();
    const caller = this.#service.callers.ofCertificate(serialOf(certificate));
    const answers = new Answers(socket);
    this.#admit(caller, socket);
    this.#serve(socket, (message) => this.#service.ask(caller, 'tls', message, (answer) => answers.add(answer)));
  }

  /** Reads frames until one is none. */
  #serve(socket: Socket, take: (message: Uint8Array) => boolean): void {
    const reader = new FrameReader(ADDRESS_BYTES_MAX);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('data', (chunk) => {
      const frames = reader.push(chunk);
      if (!frames.ok || !frames.value.every(take)) socket.destroy();
    });
  }

  #admit({ serial }: Caller, socket: Socket): void {
    const sockets = this.#byCaller.get(serial) ?? [];
    sockets.push(socket);
    this.#byCaller.set(serial, sockets);
    if (sockets.length > STREAMS_PER_CALLER_MAX) sockets.shift()?.destroy();
    socket.once('close', () => {
      const left = (this.#byCaller.get(serial) ?? []).filter((other) => other !== socket);
      if (left.length > 0) this.#byCaller.set(serial, left);
      else this.#byCaller.delete(serial);
    });
  }
}

/** The answers of one turn to one client leave together. */
class Answers {
  readonly #socket: Socket;
  #frames: Uint8Array[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => socket.resume());
  }

  add(answer: Uint8Array): void {
    this.#frames.push(encodeFrame(answer));
    if (this.#frames.length === 1) process.nextTick(() => this.#send());
  }

  #send(): void {
    const frames = this.#frames;
    this.#frames = [];
    const [only] = frames;
    if (only === undefined || this.#socket.destroyed) return;
    this.#socket.write(frames.length === 1 ? only : Buffer.concat(frames));
    if (this.#socket.writableLength > UNSENT_BYTES_MAX) this.#socket.pause();
  }
}
