/** A forwarding image as the flat arrays that cross into the addon in one call. */
import { fail } from '../overlay/errors.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import type { FlatPrefixes } from './addon.ts';
import { parseAddress, parsePrefix } from './addresses.ts';
import type { ForwardingImage, NextHop, PrefixHop, TunnelHandle } from './api.ts';

/** Routes of each kind in one image; the native side has the same limit. */
const ROUTES_MAX = 65536;
const ID_MAX = 2n ** 64n - 1n;

/** A next hop as one number: a tunnel's handle, one of these, or, for `local` with a former owner, ring - its tunnel's handle. */
const HOP_CODES = { unreachable: 0, local: -1, ring: -2 } as const;

export type FlatImage = {
  readonly exact: Uint8Array;
  readonly exactHops: Float64Array;
  readonly prefixes: FlatPrefixes;
  readonly prefixHops: Float64Array;
  readonly untils: BigUint64Array;
  readonly rangeHops: Float64Array;
};

function encodeHop(hop: PrefixHop): number {
  if (hop.kind === 'tunnel') return hop.tunnel;
  if (hop.kind === 'local' && hop.former !== undefined) return HOP_CODES.ring - hop.former;
  return HOP_CODES[hop.kind];
}

export function decodeHop(code: number): NextHop {
  if (code === HOP_CODES.unreachable) return { kind: 'unreachable' };
  if (code === HOP_CODES.local) return { kind: 'local' };
  return { kind: 'tunnel', tunnel: code as TunnelHandle };
}

export function flattenPrefixes(texts: readonly string[]): Result<FlatPrefixes> {
  const flat: FlatPrefixes = [
    new Uint8Array(texts.length * 16),
    new Uint8Array(texts.length),
    new Uint8Array(texts.length),
  ];
  const [addresses, lengths, families] = flat;
  for (const [index, text] of texts.entries()) {
    const prefix = parsePrefix(text);
    if (!prefix.ok) return prefix;
    addresses.set(prefix.value.bytes, index * 16);
    lengths[index] = prefix.value.bits;
    families[index] = prefix.value.family;
  }
  return ok(flat);
}

export function flatten(image: ForwardingImage): Result<FlatImage> {
  if (!Number.isSafeInteger(image.generation) || image.generation < 0) {
    return fail('BAD_ARGUMENT', 'A generation is a whole number from 0 on.');
  }
  for (const routes of [image.exact, image.prefixes, image.ranges]) {
    if (routes.length > ROUTES_MAX) {
      return fail('LIMIT_REACHED', `A forwarding table has at most ${ROUTES_MAX} routes of each kind.`);
    }
  }
  const prefixes = flattenPrefixes(image.prefixes.map(({ prefix }) => prefix));
  if (!prefixes.ok) return prefixes;
  const flat: FlatImage = {
    exact: new Uint8Array(image.exact.length * 16),
    exactHops: new Float64Array(image.exact.length),
    prefixes: prefixes.value,
    prefixHops: new Float64Array(image.prefixes.length),
    untils: new BigUint64Array(image.ranges.length),
    rangeHops: new Float64Array(image.ranges.length),
  };
  for (const [index, route] of image.exact.entries()) {
    const address = parseAddress(route.address);
    if (!address.ok) return address;
    flat.exact.set(address.value.bytes, index * 16);
    flat.exactHops[index] = encodeHop(route.nextHop);
  }
  for (const [index, route] of image.prefixes.entries()) flat.prefixHops[index] = encodeHop(route.nextHop);
  let last = -1n;
  for (const [index, range] of image.ranges.entries()) {
    if (range.until <= last || range.until > ID_MAX) {
      return fail('BAD_ARGUMENT', 'Ring ranges ascend by their end, within 64 bits.');
    }
    last = range.until;
    flat.untils[index] = range.until;
    flat.rangeHops[index] = encodeHop(range.nextHop);
  }
  return ok(flat);
}
