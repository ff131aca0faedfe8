/** Quality of service, or emulation, of a tunnel: as people write it, and in numbers. */
import { type Static, Type } from '@sinclair/typebox';
import { fail } from './errors.ts';
import { closed } from './fields.ts';
import { ok, type Result } from './lib/result.ts';
import { DELAY, formatQuantity, parseQuantity, type Quantity, RATE, SHARE, SIZE } from './units.ts';

const word = (description: string) => Type.Optional(Type.String({ maxLength: 24, description }));

/** One direction in words. */
export const LinkWords = closed({
  rate: word('Highest rate of inner IP packets, 8kbit..100gbit: 10mbit.'),
  burst: word('What may pass at once after a pause, 1500B..1GB; without it 10 ms of the rate, at least 15kB.'),
  queue: word('What may wait for the rate, 1500B..1GB; more is dropped; without it 100 ms of the rate, at least 30kB.'),
  delay: word('Added delay, 0ms..10s: 20ms.'),
  jitter: word('By so much the delay varies up and down, at most the delay: 2ms. Packets keep their order.'),
  loss: word('Share of packets lost: 1%.'),
  reorder: word('Share of packets that skip the delay and overtake others: 5%.'),
});
export type LinkWords = Static<typeof LinkWords>;

export const TunnelWords = closed({ out: Type.Optional(LinkWords), in: Type.Optional(LinkWords) });
export type TunnelWords = Static<typeof TunnelWords>;

/** One direction in numbers. What is absent has no effect, or its default. */
export const LinkShape = closed({
  rateBitsPerSecond: Type.Optional(Type.Number({ minimum: RATE.least, maximum: RATE.most })),
  burstBytes: Type.Optional(Type.Number({ minimum: SIZE.least, maximum: SIZE.most })),
  queueBytes: Type.Optional(Type.Number({ minimum: SIZE.least, maximum: SIZE.most })),
  delayMs: Type.Optional(Type.Number({ minimum: DELAY.least, maximum: DELAY.most })),
  jitterMs: Type.Optional(Type.Number({ minimum: DELAY.least, maximum: DELAY.most })),
  loss: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  reorder: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
});
export type LinkShape = Static<typeof LinkShape>;

export const TunnelShape = closed({
  out: Type.Union([LinkShape, Type.Null()]),
  in: Type.Union([LinkShape, Type.Null()]),
});
export type TunnelShape = Static<typeof TunnelShape>;

export const UNSHAPED: TunnelShape = { out: null, in: null };

type Field = { readonly word: keyof LinkWords; readonly number: keyof LinkShape; readonly quantity: Quantity };

const FIELDS: readonly Field[] = [
  { word: 'rate', number: 'rateBitsPerSecond', quantity: RATE },
  { word: 'burst', number: 'burstBytes', quantity: SIZE },
  { word: 'queue', number: 'queueBytes', quantity: SIZE },
  { word: 'delay', number: 'delayMs', quantity: DELAY },
  { word: 'jitter', number: 'jitterMs', quantity: DELAY },
  { word: 'loss', number: 'loss', quantity: SHARE },
  { word: 'reorder', number: 'reorder', quantity: SHARE },
];

/** Null where the words have no effect. BAD_ARGUMENT names the field and says how to write it. */
export function parseLinkWords(words: LinkWords): Result<LinkShape | null> {
  const shape: { -readonly [Name in keyof LinkShape]: LinkShape[Name] } = {};
  for (const { word, number, quantity } of FIELDS) {
    const text = words[word];
    if (text === undefined) continue;
    const value = parseQuantity(text, quantity);
    if (!value.ok) return fail(value.code, `${word}: ${value.message}`);
    shape[number] = value.value;
  }
  const problem = contradictionOf(shape);
  if (problem !== undefined) return fail('BAD_ARGUMENT', problem);
  return ok(hasEffect(shape) ? shape : null);
}

/** Which field makes no sense beside the others, and what to do; undefined where all do. */
export function contradictionOf(shape: LinkShape): string | undefined {
  const { rateBitsPerSecond, burstBytes, queueBytes, delayMs = 0, jitterMs = 0, reorder = 0 } = shape;
  if (jitterMs > delayMs) return 'jitter: give a delay that is at least as long.';
  if (reorder > 0 && delayMs === 0) return 'reorder: give a delay too; the packets that skip it overtake the others.';
  if (rateBitsPerSecond !== undefined || (burstBytes ?? queueBytes) === undefined) return undefined;
  return `${burstBytes === undefined ? 'queue' : 'burst'}: give a rate too.`;
}

export function parseTunnelWords(words: TunnelWords): Result<TunnelShape> {
  const shape = { out: null, in: null } as { out: LinkShape | null; in: LinkShape | null };
  for (const way of ['out', 'in'] as const) {
    const parsed = parseLinkWords(words[way] ?? {});
    if (!parsed.ok) return fail(parsed.code, `${way}.${parsed.message}`);
    shape[way] = parsed.value;
  }
  return ok(shape);
}

/** 'rate 10mbit, delay 20ms'; 'none' where nothing is shaped. */
export function formatLinkShape(shape: LinkShape | null): string {
  const parts = FIELDS.flatMap(({ word, number, quantity }) => {
    const value = shape?.[number];
    return value === undefined ? [] : [`${word} ${formatQuantity(value, quantity)}`];
  });
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function hasEffect({ rateBitsPerSecond, delayMs = 0, loss = 0 }: LinkShape): boolean {
  return rateBitsPerSecond !== undefined || delayMs > 0 || loss > 0;
}
