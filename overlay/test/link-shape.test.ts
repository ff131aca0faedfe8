import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatLinkShape, parseLinkWords, parseTunnelWords } from '../link-shape.ts';
import { DELAY, formatQuantity, parseQuantity, type Quantity, RATE, SHARE, SIZE } from '../units.ts';

test('quantities in the words of people', () => {
  const cases: readonly (readonly [string, Quantity, number])[] = [
    ['10mbit', RATE, 10_000_000],
    ['8000bit', RATE, 8000],
    ['2.5 Gbit', RATE, 2_500_000_000],
    ['100GBIT', RATE, 100_000_000_000],
    ['1500B', SIZE, 1500],
    ['15kB', SIZE, 15_000],
    ['0.1mb', SIZE, 100_000],
    ['20ms', DELAY, 20],
    ['0.25ms', DELAY, 0.25],
    ['250us', DELAY, 0.25],
    ['1.5s', DELAY, 1500],
    ['0ms', DELAY, 0],
    ['1%', SHARE, 0.01],
    ['0.1%', SHARE, 0.001],
    ['100%', SHARE, 1],
  ];
  for (const [text, quantity, value] of cases) {
    assert.deepEqual(parseQuantity(text, quantity), { ok: true, value }, text);
  }
});

test('what is no quantity is refused with how to write one', () => {
  for (const [text, quantity, wanted] of [
    ['10', RATE, /such as 10mbit/],
    ['10mbps', RATE, /such as 10mbit/],
    ['7999bit', RATE, /from 8kbit/],
    ['101gbit', RATE, /to 100gbit/],
    ['1.', SIZE, /such as 15kB/],
    ['1499B', SIZE, /from 1500B/],
    ['-1ms', DELAY, /such as 20ms/],
    ['11s', DELAY, /to 10s/],
    ['1e3ms', DELAY, /such as 20ms/],
    ['', SHARE, /such as 1%/],
    ['0.5', SHARE, /such as 1%/],
    ['101%', SHARE, /to 100%/],
  ] as const) {
    const parsed = parseQuantity(text, quantity);
    assert.ok(!parsed.ok && parsed.code === 'BAD_ARGUMENT', text);
    assert.match(parsed.message, wanted);
  }
});

test('a quantity that is written is read as the same', () => {
  for (const quantity of [RATE, SIZE, DELAY, SHARE]) {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), (step) => {
        const value = Number((quantity.least + ((quantity.most - quantity.least) * step) / 1_000_000).toPrecision(9));
        const back = parseQuantity(formatQuantity(value, quantity), quantity);
        assert.ok(back.ok && Math.abs(back.value - value) <= value * 1e-8, `${value}`);
      }),
    );
  }
});

test('the shape of a link', () => {
  const parsed = parseLinkWords({ rate: '10mbit', burst: '15kB', delay: '20ms', jitter: '2ms', loss: '1%' });
  const shape = { rateBitsPerSecond: 10_000_000, burstBytes: 15_000, delayMs: 20, jitterMs: 2, loss: 0.01 };
  assert.deepEqual(parsed, { ok: true, value: shape });
  assert.equal(formatLinkShape(shape), 'rate 10mbit, burst 15kB, delay 20ms, jitter 2ms, loss 1%');
  assert.equal(formatLinkShape(null), 'none');
  assert.deepEqual(parseLinkWords({}), { ok: true, value: null });
  assert.deepEqual(parseLinkWords({ delay: '0ms', loss: '0%' }), { ok: true, value: null });
});

test('a shape that contradicts itself names the field', () => {
  for (const [words, text] of [
    [{ out: { rate: 'fast' } }, /^out\.rate: 'fast' is not a rate/],
    [{ in: { delay: '1ms', jitter: '2ms' } }, /^in\.jitter: give a delay/],
    [{ in: { reorder: '5%' } }, /^in\.reorder: give a delay too/],
    [{ out: { burst: '15kB' } }, /^out\.burst: give a rate too/],
    [{ out: { queue: '15kB', delay: '1ms' } }, /^out\.queue: give a rate too/],
  ] as const) {
    const parsed = parseTunnelWords(words);
    assert.ok(!parsed.ok && parsed.code === 'BAD_ARGUMENT');
    assert.match(parsed.message, text);
  }
});
