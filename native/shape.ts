/** A tunnel's shape on its way to the native side: ranges, and the order of the numbers. */
import type { LinkShape, TunnelShape } from './api.ts';

type Field = keyof LinkShape;

/** In the order in which the native side reads them; the text says what the number is. */
const FIELDS: Readonly<Record<Field, readonly [least: number, most: number, text: string]>> = {
  rateBitsPerSecond: [8000, 1e11, 'The rate is from 8000 to 1e11 bits per second'],
  burstBytes: [1500, 1e9, 'The burst is from 1500 to 1e9 bytes'],
  queueBytes: [1500, 1e9, 'The queue is from 1500 to 1e9 bytes'],
  delayMs: [0, 10_000, 'The delay is from 0 to 10000 milliseconds'],
  jitterMs: [0, 10_000, 'The jitter is from 0 to 10000 milliseconds'],
  loss: [0, 1, 'The loss is a share from 0 to 1'],
  reorder: [0, 1, 'The reordering is a share from 0 to 1'],
};
const NAMES = Object.keys(FIELDS) as Field[];

/** What is wrong with it, as a sentence; undefined if nothing is. */
export function shapeProblem(shape: TunnelShape): string | undefined {
  for (const link of [shape.out, shape.in]) {
    if (link === null) continue;
    for (const name of NAMES) {
      const value = link[name];
      const [least, most, text] = FIELDS[name];
      if (value !== undefined && !(value >= least && value <= most)) return `${text}.`;
    }
    if ((link.jitterMs ?? 0) > (link.delayMs ?? 0)) return 'The jitter is at most the delay.';
  }
  return undefined;
}

/** Zero for what is absent. */
export function flattenShape(link: LinkShape | null): Float64Array {
  return Float64Array.from(NAMES, (name) => link?.[name] ?? 0);
}
