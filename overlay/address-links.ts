/** The ways to the address server: UDP, TCP, TLS. Each carries whole messages there and back. */
import type { KeyObject } from 'node:crypto';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { lookup } from 'node:dns';
import { connect, type Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls } from 'node:tls';
import { openSealed, sealMessage, serialOfSealed } from './address-seal.ts';
import { encodeFrame, FrameReader } from './frames.ts';
import { ADDRESS_BYTES_MAX } from './messages/address.ts';
import { OM_SERVER_NAME } from './om-api.ts';
import type { Identity, OmEndpoint } from './om-transport.ts';

export type AddressLink = {
  /** Messages before it is connected are sent when it is. */
  send(message: Uint8Array): void;
  /** Nothing is told any more. */
  close(): void;
};

export type LinkEvents = {
  /** From the server, and from nobody else. */
  readonly message: (message: Uint8Array) => void;
  /** It broke, and takes nothing any more; one or few words. */
  readonly broken: (why: string) => void;
};

export type Seal = { readonly serial: string; readonly key: KeyObject };

/**
 * Answers can get lost: what is not answered is asked again on the same link. The socket is not connected, because a
 * server with several addresses may answer from another one; the seal says that it is the server.
 */
export function udpLink({ host, port }: OmEndpoint, seal: Seal, events: LinkEvents): AddressLink {
  let send: ((datagram: Uint8Array) => void) | undefined;
  let socket: DatagramSocket | undefined;
  let isClosed = false;
  let early: Uint8Array[] = [];
  lookup(host, (error, address, family) => {
    if (isClosed) return;
    if (error !== null) return events.broken(reasonOf(error));
    const made = createSocket(family === 6 ? 'udp6' : 'udp4');
    socket = made;
    made.on('error', (failed) => {
      if (!isClosed) events.broken(reasonOf(failed));
    });
    made.on('message', (datagram) => {
      const message = opened(seal, datagram);
      if (message !== undefined && !isClosed) events.message(message);
    });
    send = (datagram) => made.send(datagram, port, address);
    for (const datagram of early) send(datagram);
    early = [];
  });
  return {
    send(message) {
      const sealed = sealMessage('request', seal.serial, seal.key, message);
      if (send === undefined) early.push(sealed);
      else send(sealed);
    },
    close() {
      isClosed = true;
      socket?.close();
    },
  };
}

export function tcpLink({ host, port }: OmEndpoint, seal: Seal, events: LinkEvents): AddressLink {
  const open = (frame: Uint8Array): Uint8Array | undefined => opened(seal, frame);
  const stream = streamLink(connect({ host, port, noDelay: true }), open, events);
  return { ...stream, send: (message) => stream.send(sealMessage('request', seal.serial, seal.key, message)) };
}

export function tlsLink(
  { host, port }: OmEndpoint,
  caPem: string,
  identity: Identity,
  events: LinkEvents,
): AddressLink {
  const socket = connectTls({
    host,
    port,
    ca: caPem,
    cert: identity.certPem,
    key: identity.keyPem,
    minVersion: 'TLSv1.3',
    checkServerIdentity: (_host, certificate) => checkServerIdentity(OM_SERVER_NAME, certificate),
  });
  socket.setNoDelay(true);
  return streamLink(socket, (frame) => frame, events);
}

function streamLink(
  socket: Socket,
  open: (frame: Uint8Array) => Uint8Array | undefined,
  events: LinkEvents,
): AddressLink {
  const reader = new FrameReader(ADDRESS_BYTES_MAX);
  let isClosed = false;
  const fail = (why: string): void => {
    if (isClosed) return;
    isClosed = true;
    socket.destroy();
    events.broken(why);
  };
  socket.on('error', (error) => fail(reasonOf(error)));
  socket.on('close', () => fail('the connection was closed'));
  socket.on('data', (chunk) => {
    const frames = reader.push(chunk);
    if (!frames.ok) return fail(frames.code);
    for (const frame of frames.value) {
      const message = open(frame);
      if (message !== undefined && !isClosed) events.message(message);
    }
  });
  return {
    send: (message) => void socket.write(encodeFrame(message)),
    close() {
      isClosed = true;
      socket.destroy();
    },
  };
}

function opened({ serial, key }: Seal, sealed: Uint8Array): Uint8Array | undefined {
  return serialOfSealed('answer', sealed) === serial ? openSealed(key, sealed) : undefined;
}

function reasonOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
