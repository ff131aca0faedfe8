/** The address server: a service of its own beside the HTTPS API, over UDP, TCP and TLS on one port. */
import type { Socket } from 'node:dgram';
import type { SecureContextOptions } from 'node:tls';
import type { OmEndpoint } from '../../overlay/om-transport.ts';
import type { Certificates } from '../store/certificates.ts';
import type { Vis } from '../store/vis.ts';
import { Callers } from './callers.ts';
import { Secrets } from './secrets.ts';
import { AddressService, type ServiceOptions } from './service.ts';
import { listenStreams, type StreamServer } from './streams.ts';
import { listenUdp } from './udp.ts';

/** A free TCP port need not be free for UDP. */
const PORTS_TRIED_MAX = 16;

export type AddressServerOptions = Omit<ServiceOptions, 'callers'> & {
  /** What the nodes' secrets are derived from. */
  readonly secret: Uint8Array;
  readonly certificates: Certificates;
  readonly vis: Vis;
};

export class AddressServer {
  readonly secrets: Secrets;
  readonly #service: AddressService;
  #streams: StreamServer | undefined;
  #datagrams: Socket | undefined;

  constructor({ secret, certificates, vis, ...options }: AddressServerOptions) {
    this.secrets = new Secrets(secret);
    this.#service = new AddressService({ ...options, callers: new Callers(this.secrets, certificates, vis) });
  }

  /** Of UDP, TCP and TLS alike. */
  get port(): number {
    if (this.#streams === undefined) throw new Error('the address server does not listen');
    return this.#streams.address.port;
  }

  /** Port 0 picks one that is free. Rejects where the port is in use, and nothing is left open. */
  async listen({ host, port }: OmEndpoint, certificate: SecureContextOptions): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const streams = await listenStreams(this.#service, { host, port }, certificate);
      try {
        this.#datagrams = await listenUdp(this.#service, { host, port: streams.address.port });
        this.#streams = streams;
        return;
      } catch (error) {
        await streams.close();
        if (port !== 0 || attempt === PORTS_TRIED_MAX) throw error;
      }
    }
  }

  setCertificate(certificate: SecureContextOptions): void {
    this.#streams?.setCertificate(certificate);
  }

  /** Answers what has been asked, and ends. */
  async close(): Promise<void> {
    this.#service.flush();
    this.#datagrams?.close();
    await this.#streams?.close();
  }
}
