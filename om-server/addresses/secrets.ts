/**
 * The secrets that requests over UDP and TCP are sealed with. Each is derived from the server's own and the serial
 * number of the certificate that it belongs to, so that none is stored, and a renewed certificate has another.
 */
import { createHmac } from 'node:crypto';

const LABEL = 'p2pxbone address server, version 1, ';

export class Secrets {
  readonly #own: Uint8Array;

  constructor(own: Uint8Array) {
    this.#own = own;
  }

  /** 32 bytes. */
  of(serial: string): Uint8Array {
    return createHmac('sha256', this.#own).update(LABEL).update(serial).digest();
  }
}
