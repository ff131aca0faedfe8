import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fingerTarget, type Id, toId } from '../../overlay/id.ts';
import { fraction, seededRng } from '../../overlay/lib/rng.ts';
import { randomId } from '../../test/sim/checks.ts';
import { NEARER_MS, NEARER_SHARE } from '../core/limits.ts';
import { bitOf, isClearlyNearer, nearest } from '../core/near-fingers.ts';

const [a, b, c] = [toId(1n), toId(2n), toId(3n)];

test('a node qualifies for the finger whose stretch it lies in', () => {
  const rng = seededRng(1);
  for (let i = 0; i < 500; i++) {
    const self = randomId(rng);
    const id = randomId(rng);
    if (id === self) continue;
    const bit = bitOf(self, id);
    assert.ok(((id - fingerTarget(self, bit)) & (2n ** 64n - 1n)) < 1n << BigInt(bit));
  }
  assert.equal(bitOf(a, b), 0);
  assert.equal(bitOf(b, a), 63);
});

test('only a clear gain changes the finger', () => {
  const rtts = new Map<Id, number>([
    [a, 100],
    [b, 85],
    [c, 79],
  ]);
  const rttOf = (id: Id): number | undefined => rtts.get(id);
  assert.equal(nearest(a, [a, b], rttOf), a);
  assert.equal(nearest(a, [a, b, c], rttOf), c);
  // A fifth of little is nothing.
  rtts.set(a, 3).set(b, 1.5).set(c, 2);
  assert.equal(nearest(a, [b, c], rttOf), a);
  assert.equal(nearest(a, [], rttOf), a);
  // What is not known is neither taken nor given up.
  rtts.set(a, 50).delete(b);
  assert.equal(nearest(a, [b, c], rttOf), c);
  assert.equal(nearest(b, [a, c], rttOf), b);
});

test('no change is followed by its opposite while times vary by less than a clear gain', () => {
  const rng = seededRng(2);
  for (let round = 0; round < 2000; round++) {
    const [x, y] = [1 + 200 * fraction(rng), 1 + 200 * fraction(rng)];
    const first = nearest(a, [b], (id) => (id === a ? x : y));
    // Each may have become up to a tenth faster or slower meanwhile.
    const vary = (): number => 0.95 + 0.1 * fraction(rng);
    const [x2, y2] = [x * vary(), y * vary()];
    const second = nearest(first, [a, b], (id) => (id === a ? x2 : y2));
    if (first === b) assert.equal(second, b, `${x} ${y} → ${x2} ${y2}`);
  }
  for (let round = 0; round < 2000; round++) {
    const [x, y] = [500 * fraction(rng), 500 * fraction(rng)];
    assert.ok(!(isClearlyNearer(x, y) && isClearlyNearer(y, x)));
    if (isClearlyNearer(x, y)) assert.ok(x <= y * NEARER_SHARE && y - x >= NEARER_MS);
  }
});
