/** Identifiers on the circle of 2^64, and ranges of it that wrap around. */
import { createHash } from 'node:crypto';

/** A place on the identifier circle, 0n .. 2^64-1. */
export type Id = bigint & { readonly __brand: 'Id' };

export const ID_BITS = 64;
const CIRCLE = 1n << 64n;
const MASK = CIRCLE - 1n;

/** The value modulo 2^64. */
export function toId(value: bigint): Id {
  return (value & MASK) as Id;
}

/** First 8 bytes, big-endian, of a digest or an interface identifier. */
export function idOfBytes(bytes: Uint8Array): Id {
  if (bytes.length < 8) throw new RangeError('an id takes 8 bytes');
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0) as Id;
}

export function idToBytes(id: Id): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, id);
  return bytes;
}

/** 16 lower-case hexadecimal digits. */
export function formatId(id: Id): string {
  return id.toString(16).padStart(16, '0');
}

/** The inverse of formatId; undefined if the text is not 16 hexadecimal digits. */
export function parseId(text: string): Id | undefined {
  return /^[0-9a-f]{16}$/i.test(text) ? toId(BigInt(`0x${text}`)) : undefined;
}

/** The id of a key: the first 8 bytes of SHA-256 of its UTF-8 text. */
export function idOfKey(key: string): Id {
  return idOfBytes(createHash('sha256').update(key, 'utf8').digest());
}

/** The id of a node: SHA-256 of its stable virtual IPv4 address (4 bytes, network order) and its VI's id string. */
export function idOfNode(ipv4: Uint8Array, viId: string): Id {
  if (ipv4.length !== 4) throw new RangeError('an IPv4 address has 4 bytes');
  return idOfBytes(createHash('sha256').update(ipv4).update(viId, 'utf8').digest());
}

/** Clockwise distance from `from` to `to`, 0 .. 2^64-1. */
export function distance(from: Id, to: Id): bigint {
  return (to - from) & MASK;
}

/** Strictly between on the way clockwise from `low` to `high`; between(a, x, a) holds for every x other than a. */
export function between(low: Id, x: Id, high: Id): boolean {
  return low < high ? low < x && x < high : low < x || x < high;
}

/** A stretch of the circle that does not contain `after` and does contain `until`; after === until is the whole circle. */
export type IdRange = { readonly after: Id; readonly until: Id };

/** Whether x lies in (after, until]. */
export function inRange(range: IdRange, x: Id): boolean {
  return x === range.until || between(range.after, x, range.until);
}

/** Number of ids in the range, 1 .. 2^64. */
export function rangeSize(range: IdRange): bigint {
  return range.after === range.until ? CIRCLE : distance(range.after, range.until);
}

/** The id `2^bit` clockwise of `id`, where a finger points; bit in 0..63. */
export function fingerTarget(id: Id, bit: number): Id {
  return toId(id + (1n << BigInt(bit)));
}
