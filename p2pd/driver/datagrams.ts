/** The UDP socket inside the VI. One IPv6 socket serves both families. */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import { formatAddress, parseAddress } from '../../overlay/addresses.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { P2PD_DATAGRAM_BYTES_MAX, type P2pdMessage, p2pdCodec } from '../../overlay/messages/p2pd-p2pd.ts';
import type { Endpoint } from '../core/io.ts';

const MAPPED = '::ffff:';

export class Datagrams {
  readonly #received: (from: Endpoint, message: P2pdMessage) => void;
  readonly #log: Log;
  #socket: Socket | undefined;
  /** Datagrams that were too long or no message. */
  refused = 0;

  constructor(received: (from: Endpoint, message: P2pdMessage) => void, log: Log) {
    this.#received = received;
    this.#log = log;
  }

  /** Binds to the port on all addresses; `failed` is told if that is impossible. */
  listen(port: number, failed: (reason: string) => void): void {
    const socket = createSocket({ type: 'udp6', ipv6Only: false });
    socket.on('message', (bytes, from) => {
      const message = bytes.length > P2PD_DATAGRAM_BYTES_MAX ? undefined : p2pdCodec.decode(bytes);
      if (message?.ok !== true) {
        this.refused++;
        return;
      }
      this.#received({ address: plain(from.address), port: from.port }, message.value);
    });
    socket.on('error', (error) => failed(`UDP port ${port} of the VI: ${error.message}`));
    socket.bind(port, '::');
    this.#socket = socket;
  }

  send(to: Endpoint, message: P2pdMessage): void {
    const bytes = p2pdCodec.encode(message);
    if (bytes.length > P2PD_DATAGRAM_BYTES_MAX) {
      this.#log.error({ message: message.t, bytes: bytes.length }, 'message does not fit into a datagram');
      return;
    }
    const address = isIPv4(to.address) ? MAPPED + to.address : to.address;
    this.#socket?.send(bytes, to.port, address, (error) => {
      if (error) this.#log.debug({ to: to.address, error: error.message }, 'datagram not sent');
    });
  }
}

/** An IPv4 sender's own address, without scope, in its canonical form. */
function plain(address: string): string {
  const [bare = address] = address.split('%');
  const text = bare.startsWith(MAPPED) ? bare.slice(MAPPED.length) : bare;
  const bytes = parseAddress(text);
  return bytes === undefined ? text : formatAddress(bytes);
}
