/**
 * Contact information: how to reach a virtual node on the base network. Only resource daemons look inside; to everyone
 * else it is a short string of bytes.
 */
import { decode, encode } from 'cborg';
import { formatAddress, parseAddress } from '../../overlay/addresses.ts';
import { CONTACT_BYTES_MAX } from '../../overlay/fields.ts';
import { type Id, idOfBytes, idToBytes } from '../../overlay/id.ts';

export type Endpoint = { readonly address: string; readonly port: number };
export type Family = 4 | 6;

export type ContactInfo = {
  readonly node: Id;
  /** First 16 bytes of SHA-256 of the resource daemon's public key (SPKI, DER), hexadecimal. */
  readonly key: string;
  /** Best first. */
  readonly endpoints: readonly Endpoint[];
};

export const ENDPOINTS_MAX = 3;
export const KEY_BYTES = 16;

/** CBOR: [node (8 bytes), key (16 bytes), [address and port (6 or 18 bytes), …]]. */
export function encodeContact(contact: ContactInfo): Uint8Array {
  const endpoints = contact.endpoints.slice(0, ENDPOINTS_MAX).map(endpointToBytes);
  return encode([idToBytes(contact.node), hexToBytes(contact.key), endpoints]);
}

/** undefined for anything that encodeContact did not make. */
export function decodeContact(bytes: Uint8Array): ContactInfo | undefined {
  if (bytes.length > CONTACT_BYTES_MAX) return undefined;
  let value: unknown;
  try {
    value = decode(bytes, { strict: true, allowIndefinite: false });
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 3) return undefined;
  const [node, key, list] = value as unknown[];
  if (!(node instanceof Uint8Array) || node.length !== 8) return undefined;
  if (!(key instanceof Uint8Array) || key.length !== KEY_BYTES) return undefined;
  if (!Array.isArray(list) || list.length > ENDPOINTS_MAX) return undefined;
  const endpoints: Endpoint[] = [];
  for (const item of list as unknown[]) {
    if (!(item instanceof Uint8Array) || (item.length !== 6 && item.length !== 18)) return undefined;
    const port = ((item.at(-2) as number) << 8) | (item.at(-1) as number);
    if (port === 0) return undefined;
    endpoints.push({ address: formatAddress(item.subarray(0, -2)), port });
  }
  return { node: idOfBytes(node), key: bytesToHex(key), endpoints };
}

/** Those of a family that this node has, first; the others, which cannot work, are left out. */
export function usableEndpoints(endpoints: readonly Endpoint[], families: readonly Family[]): Endpoint[] {
  return endpoints
    .filter((endpoint) => families.includes(familyOf(endpoint.address)))
    .toSorted((a, b) => families.indexOf(familyOf(a.address)) - families.indexOf(familyOf(b.address)));
}

export function familyOf(address: string): Family {
  return address.includes(':') ? 6 : 4;
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}

export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.address.includes(':')
    ? `[${endpoint.address}]:${endpoint.port}`
    : `${endpoint.address}:${endpoint.port}`;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

export function bytesToHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function hexToBytes(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function endpointToBytes(endpoint: Endpoint): Uint8Array {
  const address = parseAddress(endpoint.address);
  if (address === undefined) throw new TypeError(`not a numeric address: ${endpoint.address}`);
  return Uint8Array.of(...address, endpoint.port >> 8, endpoint.port & 0xff);
}
