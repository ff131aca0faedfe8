/** What a command shows: aligned tables, JSON of a stable shape, colour where there is a terminal. */
import { formatId, type Id } from '../overlay/id.ts';

type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';
const CODES: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  yellow: [33, 39],
  red: [31, 39],
  cyan: [36, 39],
};

/** Whether to colour what goes to this stream; https://no-color.org. */
export function coloured(stream: NodeJS.WriteStream = process.stdout): boolean {
  return stream.isTTY && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb';
}

export function paint(style: Style, text: string): string {
  if (!coloured()) return text;
  const [on, off] = CODES[style];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

/** Columns that a text takes on a terminal; escape sequences take none. */
export function widthOf(text: string): number {
  // oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
  return Array.from(text.replaceAll(/\u001b\[\d+m/g, '')).length;
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)));
}

/** Rows under headings, columns aligned, two spaces apart; columns of numbers to the right. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widest = (i: number, least: number): number =>
    rows.reduce((width, row) => Math.max(width, widthOf(row[i] ?? '')), least);
  const widths = headings.map((heading, i) => widest(i, widthOf(heading)));
  const numeric = headings.map(
    (_, i) => rows.length > 0 && rows.every((row) => /^(-|\d+(\.\d+)?)?$/.test(row[i] ?? '')),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => {
        const width = widths[i] ?? 0;
        return numeric[i] ? ' '.repeat(width - widthOf(cell)) + cell : padEnd(cell, width);
      })
      .join('  ')
      .trimEnd();
  return [paint('dim', line(headings)), ...rows.map((row) => line(row))].join('\n');
}

/** Pairs of a label and a value under each other. */
export function fields(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${paint('dim', label.padEnd(width))}  ${value}`).join('\n');
}

/** Ids as 16 hexadecimal digits, bytes as base64. */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, part: unknown) => {
      if (typeof part === 'bigint') return formatId(part as Id);
      return part instanceof Uint8Array ? Buffer.from(part).toString('base64') : part;
    },
    2,
  );
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(toJson(value));
}

/** 90 s as '1m30s'; the two largest units. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${Math.floor((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${Math.floor((seconds % 86_400) / 3600)}h`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** '90s', '15m', '1h', '7d' in seconds; undefined if the text is none of these. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text);
  if (match === null) return undefined;
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
  return Number(match[1]) * (units[match[2] ?? ''] ?? 0);
}
