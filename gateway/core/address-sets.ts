/** Sets of addresses: names, prefixes and ranges become disjoint ascending ranges, which are searched by halves. */
import { parseAddress, parseCidr } from '../../overlay/addresses.ts';

/** Both ends belong to it. As numbers of 128 bits; IPv4 in its mapped form, as the native side has it. */
export type AddressRange = { readonly first: bigint; readonly last: bigint };

const MAPPED = 0xffffn << 32n;
const MAPPED_LAST = MAPPED | 0xffff_ffffn;

/**
 * What an address, a prefix without host bits, or FIRST-LAST of one family stands for; undefined for what is none of these.
 * Prefixes of IPv6 hold no IPv4 address, although the mapped ones lie among theirs: ::/0 is all of IPv6.
 */
export function parseAddressRanges(text: string): AddressRange[] | undefined {
  const range = parseRange(text);
  if (range === undefined) return undefined;
  const { first, last } = range;
  if ((first >= MAPPED && last <= MAPPED_LAST) || last < MAPPED || first > MAPPED_LAST) return [range];
  const parts = [
    { first, last: MAPPED - 1n },
    { first: MAPPED_LAST + 1n, last },
  ];
  return parts.filter((part) => part.first <= part.last);
}

function parseRange(text: string): AddressRange | undefined {
  const single = parseAddress(text);
  if (single !== undefined) return { first: numberOf(single), last: numberOf(single) };
  const cidr = parseCidr(text);
  if (cidr !== undefined) {
    const first = numberOf(cidr.network);
    return { first, last: first + (1n << BigInt(cidr.network.length * 8 - cidr.length)) - 1n };
  }
  const [from, to, extra] = text.split('-').map((part) => parseAddress(part.trim()));
  if (from === undefined || to === undefined || extra !== undefined || from.length !== to.length) return undefined;
  const range = { first: numberOf(from), last: numberOf(to) };
  return range.first <= range.last ? range : undefined;
}

/** The number of one address. */
export function parseAddressNumber(text: string): bigint | undefined {
  const bytes = parseAddress(text);
  return bytes && numberOf(bytes);
}

function numberOf(address: Uint8Array): bigint {
  let value = 0n;
  for (const byte of address) value = (value << 8n) | BigInt(byte);
  return address.length === 4 ? MAPPED | value : value;
}

/** Ascending, disjoint, and none directly behind another. */
export function merged(ranges: readonly AddressRange[]): AddressRange[] {
  const sorted = [...ranges].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const result: { first: bigint; last: bigint }[] = [];
  for (const { first, last } of sorted) {
    const before = result.at(-1);
    if (before === undefined || first > before.last + 1n) result.push({ first, last });
    else if (last > before.last) before.last = last;
  }
  return result;
}

/** What of `all` is not in `taken`; both ascending and disjoint. */
export function without(all: readonly AddressRange[], taken: readonly AddressRange[]): AddressRange[] {
  const result: AddressRange[] = [];
  let next = 0;
  for (const { first, last } of all) {
    while (next < taken.length && (taken[next] as AddressRange).last < first) next++;
    let from = first;
    for (let i = next; i < taken.length && (taken[i] as AddressRange).first <= last; i++) {
      const gap = taken[i] as AddressRange;
      if (gap.first > from) result.push({ first: from, last: gap.first - 1n });
      from = gap.last + 1n;
    }
    if (from <= last) result.push({ first: from, last });
  }
  return result;
}

export function addressBytes(value: bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  for (let i = 15, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}
