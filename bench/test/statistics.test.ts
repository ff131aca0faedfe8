import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { median, medianOf, medianRatio, quantile, rounded } from '../statistics.ts';

test('median of an odd and of an even number of values', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.throws(() => median([]), RangeError);
});

test('a quantile has its share of the values below it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1 }),
      fc.double({ noNaN: true, min: 0, max: 1 }),
      (values, share) => {
        const value = quantile(values, share);
        const below = values.filter((other) => other < value).length;
        const above = values.filter((other) => other > value).length;
        assert.ok(below <= Math.ceil(share * (values.length - 1)));
        assert.ok(above <= Math.ceil((1 - share) * (values.length - 1)) + 1);
      },
    ),
  );
});

test('a ratio is taken round by round, so a slow round cancels out', () => {
  assert.equal(medianRatio([10, 1, 10], [5, 0.5, 5]), 2);
  assert.equal(medianRatio([10, undefined, 30], [5, 1, 10]), 2.5);
  assert.equal(medianRatio([undefined], [1]), null);
  assert.equal(medianRatio([1], [0]), null);
});

test('missing values have no part in a median', () => {
  assert.equal(medianOf([undefined, 4, 2]), 3);
  assert.equal(medianOf([undefined]), undefined);
});

test('figures have three significant digits', () => {
  assert.deepEqual([12.345, 0.0123456, 1234.5, 0, null, undefined, Number.NaN].map(rounded), [
    '12.3',
    '0.0123',
    '1235',
    '0',
    '-',
    '-',
    '-',
  ]);
});
