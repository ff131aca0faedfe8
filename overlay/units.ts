/** Rates, sizes, times and shares as people write them: 10mbit, 15kB, 20ms, 1%. Decimal throughout. */
import { fail } from './errors.ts';
import { ok, type Result } from './lib/result.ts';

type Units = Readonly<Record<string, number>>;
export type Quantity = {
  /** By the size of the unit, in ascending order; keys are written as people should write them. */
  readonly units: Units;
  readonly least: number;
  readonly most: number;
  /** How to write one, for errors: 'a rate such as 10mbit …'. */
  readonly wanted: string;
};

/** Bits per second. */
export const RATE: Quantity = {
  units: { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 },
  least: 8000,
  most: 1e11,
  wanted: 'a rate from 8kbit to 100gbit, such as 10mbit (bit, kbit, mbit or gbit)',
};
/** Bytes. */
export const SIZE: Quantity = {
  units: { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 },
  least: 1500,
  most: 1e9,
  wanted: 'a size from 1500B to 1GB, such as 15kB (B, kB, MB or GB)',
};
/** Milliseconds. */
export const DELAY: Quantity = {
  units: { us: 1e-3, ms: 1, s: 1e3 },
  least: 0,
  most: 10_000,
  wanted: 'a time from 0ms to 10s, such as 20ms (us, ms or s)',
};
/** 0 to 1. */
export const SHARE: Quantity = {
  units: { '%': 0.01 },
  least: 0,
  most: 1,
  wanted: 'a share from 0% to 100%, such as 1%',
};

/** Letters may be of either case; a fraction is written with a point. BAD_ARGUMENT says how to write it. */
export function parseQuantity(text: string, quantity: Quantity): Result<number> {
  const match = /^(\d{1,12}(?:\.\d{1,9})?) ?([a-z%]+)$/i.exec(text);
  const unit = Object.entries(quantity.units).find(([name]) => name.toLowerCase() === match?.[2]?.toLowerCase())?.[1];
  // Rounded to what a double holds exactly enough: 0.1% is 0.001 and 20us are 0.02 ms.
  const value = unit === undefined ? Number.NaN : Number((Number(match?.[1]) * unit).toPrecision(12));
  if (value >= quantity.least && value <= quantity.most) return ok(value);
  return fail('BAD_ARGUMENT', `'${text.slice(0, 32)}' is not ${quantity.wanted}.`);
}

/** In the largest unit that leaves at least one; parseQuantity is its inverse. */
export function formatQuantity(value: number, quantity: Quantity): string {
  const names = Object.keys(quantity.units);
  const name = names.findLast((unit) => value >= (quantity.units[unit] ?? 0)) ?? names[0] ?? '';
  return `${Number((value / (quantity.units[name] ?? 1)).toPrecision(9))}${name}`;
}
