/** Addresses between their text and the 16 bytes in which the data plane holds both families. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { fail } from '../overlay/errors.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import type { NativeEndpoint } from './addon.ts';
import type { Endpoint } from './api.ts';

export type ParsedAddress = { readonly family: 4 | 6; readonly bytes: Uint8Array };
/** `bits` counts in the 128-bit form: an IPv4 /24 is 120. */
export type ParsedPrefix = ParsedAddress & { readonly bits: number };

const MAPPED_BITS = 96;

/** A numeric address without a zone. An IPv4-mapped IPv6 address counts as the IPv4 address. */
export function parseAddress(text: string): Result<ParsedAddress> {
  if (typeof text !== 'string' || isIP(text) === 0 || text.includes('%')) {
    return fail('BAD_ARGUMENT', `"${text}" is not a numeric IPv4 or IPv6 address.`);
  }
  const parsed = ipaddr.process(text);
  if (parsed instanceof ipaddr.IPv4) {
    return ok({ family: 4, bytes: Uint8Array.from(parsed.toIPv4MappedAddress().toByteArray()) });
  }
  return ok({ family: 6, bytes: Uint8Array.from(parsed.toByteArray()) });
}

export function parsePrefix(text: string): Result<ParsedPrefix> {
  const match = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text);
  const address = match?.[1] === undefined ? undefined : parseAddress(match[1]);
  const length = Number(match?.[2]);
  if (address === undefined || !address.ok || length > (address.value.family === 4 ? 32 : 128)) {
    return fail('BAD_ARGUMENT', `"${text}" is not a prefix in CIDR notation.`);
  }
  return ok({ ...address.value, bits: address.value.family === 4 ? length + MAPPED_BITS : length });
}

/** Port 0 is allowed where `anyPort`: the kernel then picks one. */
export function parseEndpoint(endpoint: Endpoint, anyPort = false): Result<NativeEndpoint> {
  const address = parseAddress(endpoint.address);
  if (!address.ok) return address;
  const { port } = endpoint;
  if (!Number.isInteger(port) || port > 65535 || port < (anyPort ? 0 : 1)) {
    return fail('BAD_ARGUMENT', `${port} is not a UDP port.`);
  }
  return ok({ ip: address.value.bytes, port });
}

/** RFC 5952 text; a mapped address as plain IPv4. */
export function formatEndpoint({ ip, port }: NativeEndpoint): Endpoint {
  const address = ipaddr.fromByteArray(Array.from(ip)) as ipaddr.IPv6;
  return {
    address: address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toRFC5952String(),
    port,
  };
}
