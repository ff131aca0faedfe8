/** The address plan of a VI: stable node addresses, key addresses, link pairs, MAC addresses. */
import ipaddr from 'ipaddr.js';
import { type Id, idOfBytes, idToBytes } from './id.ts';

/** A link pair is one IPv4 /31 and one IPv6 /127, numbered from 0 within the VI's link pools. */
export type LinkPair = {
  readonly index: number;
  readonly ipv4: readonly [string, string];
  readonly ipv6: readonly [string, string];
};

/** Number of addresses that a pool's reserved ones (network, broadcast) take. */
const RESERVED_PER_POOL = 2;

/** 4 or 16 bytes; undefined if the text is no numeric address. */
export function parseAddress(text: string): Uint8Array | undefined {
  // To be told that a text is not of a family costs an exception: only IPv6 addresses have colons, and all of them do.
  const isValid = text.includes(':') ? ipaddr.IPv6.isValid(text) : ipaddr.IPv4.isValidFourPartDecimal(text);
  if (!isValid) return undefined;
  return Uint8Array.from(ipaddr.parse(text).toByteArray());
}

/** Canonical text of 4 or 16 bytes (RFC 5952 for IPv6). */
export function formatAddress(bytes: Uint8Array): string {
  const address = ipaddr.fromByteArray([...bytes]);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

export type Cidr = { readonly network: Uint8Array; readonly length: number };

/** undefined unless `text` is ADDRESS/LENGTH with no host bits set. */
export function parseCidr(text: string): Cidr | undefined {
  const [addressText, lengthText, extra] = text.split('/');
  if (addressText === undefined || lengthText === undefined || extra !== undefined) return undefined;
  const network = parseAddress(addressText);
  if (network === undefined || !/^\d{1,3}$/.test(lengthText)) return undefined;
  const length = Number(lengthText);
  if (length > network.length * 8) return undefined;
  const cidr = { network, length };
  return bytesToInt(network) % 2n ** BigInt(network.length * 8 - length) === 0n ? cidr : undefined;
}

export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.network)}/${cidr.length}`;
}

export function cidrContains(cidr: Cidr, address: Uint8Array): boolean {
  if (address.length !== cidr.network.length) return false;
  const hostBits = BigInt(address.length * 8 - cidr.length);
  return bytesToInt(address) >> hostBits === bytesToInt(cidr.network) >> hostBits;
}

export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrContains(a, b.network) || cidrContains(b, a.network);
}

/** Number of node addresses an IPv4 pool has to give. */
export function poolCapacity(pool: Cidr): number {
  return Math.max(0, 2 ** (32 - pool.length) - RESERVED_PER_POOL);
}

/** The index-th node address of an IPv4 pool, index from 0. */
export function poolAddress(pool: Cidr, index: number): string {
  if (index < 0 || index >= poolCapacity(pool)) throw new RangeError('address index lies outside the pool');
  return formatAddress(addToAddress(pool.network, BigInt(index) + 1n));
}

/** Number of link pairs that an IPv4 link pool has to give. */
export function linkCapacity(linkPool: Cidr): number {
  return 2 ** (31 - linkPool.length);
}

/** The index-th pair of a VI's link pools. */
export function linkPair(linkPoolIpv4: Cidr, linkPrefixIpv6: Cidr, index: number): LinkPair {
  if (index < 0 || index >= linkCapacity(linkPoolIpv4)) throw new RangeError('pair index lies outside the pool');
  const offset = BigInt(index) * 2n;
  const pairOf = (network: Uint8Array): readonly [string, string] => [
    formatAddress(addToAddress(network, offset)),
    formatAddress(addToAddress(network, offset + 1n)),
  ];
  return { index, ipv4: pairOf(linkPoolIpv4.network), ipv6: pairOf(linkPrefixIpv6.network) };
}

/** The address of an id inside a VI's /64: of a node, or of a key. */
export function idAddress(prefix: Cidr, id: Id): string {
  if (prefix.length !== 64 || prefix.network.length !== 16) throw new RangeError('a VI prefix is an IPv6 /64');
  const bytes = prefix.network.slice();
  bytes.set(idToBytes(id), 8);
  return formatAddress(bytes);
}

/** The id in an address of a VI's /64; undefined if the address lies elsewhere. */
export function idOfAddress(prefix: Cidr, address: Uint8Array): Id | undefined {
  return cidrContains(prefix, address) ? idOfBytes(address.subarray(8)) : undefined;
}

/**
 * The MAC address of a node: locally administered, its last five bytes those of the id. Both ends of a tunnel derive
 * it, so it need not be exchanged.
 */
export function macOfNode(id: Id): Uint8Array {
  const mac = idToBytes(id).slice(2);
  mac[0] = 0x02;
  return mac;
}

export function formatMac(mac: Uint8Array): string {
  return [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function bytesToInt(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

function addToAddress(network: Uint8Array, offset: bigint): Uint8Array {
  let value = bytesToInt(network) + offset;
  const bytes = new Uint8Array(network.length);
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(value & 0xffn);
    value >>= 8n;
  }
  return bytes;
}
