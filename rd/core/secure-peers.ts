/** The list of peers with which an operator wants security by their addresses: stable virtual ones, or of the base network. */
import { type Cidr, cidrContains, cidrsOverlap, parseAddress, parseCidr } from '../../overlay/addresses.ts';

/** ::ffff:0:0/96, under which a socket of both families shows IPv4 addresses (RFC 4291 §2.5.5.2). */
const MAPPED_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

export class SecurePeers {
  readonly #networks: readonly Cidr[];

  /** Addresses and networks (CIDR) of either family. Throws for anything else: configurations are checked when read. */
  constructor(texts: readonly string[]) {
    this.#networks = texts.map((text) => {
      const address = parseAddress(text);
      const cidr = address === undefined ? parseCidr(text) : { network: address, length: address.length * 8 };
      if (cidr === undefined) throw new TypeError(`neither address nor network: ${text}`);
      const network = unmapped(cidr.network) ?? cidr.network;
      const cut = (cidr.network.length - network.length) * 8;
      return cidr.length < cut ? cidr : { network, length: cidr.length - cut };
    });
  }

  get isEmpty(): boolean {
    return this.#networks.length === 0;
  }

  /** Whether one of these addresses, all of one peer, is on the list. */
  has(addresses: readonly string[]): boolean {
    return (
      !this.isEmpty &&
      addresses.some((text) => {
        const address = unmapped(parseAddress(text));
        return address !== undefined && this.#networks.some((network) => cidrContains(network, address));
      })
    );
  }

  /** Whether an address of this network could be on the list. */
  mayHave(network: Cidr): boolean {
    return this.#networks.some((listed) => cidrsOverlap(listed, network));
  }
}

function unmapped(address: Uint8Array | undefined): Uint8Array | undefined {
  const isMapped = address?.length === 16 && MAPPED_PREFIX.every((byte, index) => address[index] === byte);
  return isMapped ? address.subarray(MAPPED_PREFIX.length) : address;
}
