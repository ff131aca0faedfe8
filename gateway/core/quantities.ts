/** Sizes, rates, times and ranges as a policy writes them. Each gives undefined for what is none. */
import { parseQuantity, type Quantity, RATE } from '../../overlay/units.ts';

const SIZE: Quantity = {
  units: { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 },
  least: 0,
  most: 2 ** 53 - 1,
  wanted: 'a size',
};
const DURATION: Quantity = {
  units: { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 },
  least: 0,
  most: 30 * 86_400e3,
  wanted: 'a time',
};

/** Bytes. */
export function parseSize(text: string): number | undefined {
  return whole(parseQuantity(text.trim(), SIZE));
}

/** Milliseconds, up to 30 days. */
export function parseTime(text: string): number | undefined {
  return whole(parseQuantity(text.trim(), DURATION));
}

/** Bits per second. */
export function parseRate(text: string): number | undefined {
  return whole(parseQuantity(text.trim().replace(/\/s$/, ''), RATE));
}

function whole(parsed: ReturnType<typeof parseQuantity>): number | undefined {
  return parsed.ok ? Math.round(parsed.value) : undefined;
}

/** Both ends belong to it; `most` may be infinite. */
export type Range = { readonly least: number; readonly most: number };

/** '> 1 MB', '<= 10 kB', '1 MB - 5 GB'; a plain size is that size exactly. */
export function parseSizeRange(text: string): Range | undefined {
  const between = /^([^-<>=]+)-([^-<>=]+)$/.exec(text);
  if (between !== null) {
    const least = parseSize(between[1] as string);
    const most = parseSize(between[2] as string);
    return least === undefined || most === undefined || most < least ? undefined : { least, most };
  }
  const [, sign, rest] = /^\s*(<=|>=|<|>|)\s*([^<>=]+)$/.exec(text) ?? [];
  const size = rest === undefined ? undefined : parseSize(rest);
  if (size === undefined) return undefined;
  if (sign === '>') return { least: size + 1, most: Number.POSITIVE_INFINITY };
  if (sign === '>=') return { least: size, most: Number.POSITIVE_INFINITY };
  if (sign === '<') return size === 0 ? undefined : { least: 0, most: size - 1 };
  if (sign === '<=') return { least: 0, most: size };
  return { least: size, most: size };
}

/** A port, or '6881-6889'. */
export function parsePorts(value: number | string): Range | undefined {
  const [, first, last] = /^(\d{1,5})(?:\s*-\s*(\d{1,5}))?$/.exec(String(value).trim()) ?? [];
  if (first === undefined) return undefined;
  const range = { least: Number(first), most: Number(last ?? first) };
  return range.most <= 65535 && range.least <= range.most ? range : undefined;
}

/** Minutes since midnight, up to 1440 for 24:00. */
export function parseTimeOfDay(text: string): number | undefined {
  const [, hours, minutes] = /^(\d{1,2}):(\d\d)$/.exec(text) ?? [];
  if (hours === undefined || Number(minutes) > 59) return undefined;
  const total = Number(hours) * 60 + Number(minutes);
  return total <= 1440 ? total : undefined;
}
