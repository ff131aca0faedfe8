/** The address server over UDP: one sealed message in each datagram. What nobody sealed is never answered. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { sealMessage } from '../../overlay/address-seal.ts';
import { ADDRESS_BYTES_MAX } from '../../overlay/messages/address.ts';
import type { OmEndpoint } from '../../overlay/om-transport.ts';
import type { AddressService } from './service.ts';

/** Requests that came at once wait here; what the kernel allows, at most. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Answers that the kernel has not taken; beyond it they are dropped, and asked for again. */
const UNSENT_BYTES_MAX = 1024 * 1024;

/** Rejects where it cannot be bound. */
export async function listenUdp(service: AddressService, { host, port }: OmEndpoint): Promise<Socket> {
  // The address of an answer is one that came in a datagram: there is nothing to look up.
  const lookup = (address: string, ...rest: unknown[]): void => {
    const done = rest.at(-1) as (error: null, address: string, family: number) => void;
    done(null, address, isIPv6(address) ? 6 : 4);
  };
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', lookup });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, host, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
  // An answer that cannot be sent is asked for again.
  socket.on('error', () => undefined);
  socket.on('message', (datagram, from) => receive(service, socket, datagram, from));
  return socket;
}

function receive(service: AddressService, socket: Socket, datagram: Uint8Array, { address, port }: RemoteInfo): void {
  if (datagram.length > ADDRESS_BYTES_MAX) return;
  const opened = service.callers.open(datagram);
  if (opened === undefined) return;
  const { serial, key } = opened.caller;
  service.ask(opened.caller, 'udp', opened.message, (answer) => {
    if (socket.getSendQueueSize() > UNSENT_BYTES_MAX) return;
    socket.send(sealMessage('answer', serial, key, answer), port, address, () => undefined);
  });
}
