import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  between,
  distance,
  fingerTarget,
  formatId,
  type Id,
  idOfBytes,
  idOfKey,
  idOfNode,
  idToBytes,
  inRange,
  parseId,
  rangeSize,
  toId,
} from '../id.ts';

const anyId = fc.bigInt(0n, 2n ** 64n - 1n).map(toId);
/** Ids from a small circle, so that equal ones and neighbours occur. */
const nearId = fc.integer({ min: -3, max: 3 }).map((n) => toId(BigInt(n)));

/** The slow, obvious twin of inRange: walk clockwise from `after`, one id at a time. */
function inRangeByWalking(after: Id, until: Id, x: Id): boolean {
  let at = after;
  do {
    at = toId(at + 1n);
    if (at === x) return true;
  } while (at !== until);
  return false;
}

test('a key is the first eight bytes of the SHA-256 of its text', () => {
  const digest = createHash('sha256').update('hello').digest('hex');
  assert.equal(formatId(idOfKey('hello')), digest.slice(0, 16));
  assert.equal(formatId(idOfKey('hello')), '2cf24dba5fb0a30e');
});

test('a node is hashed from its address and the VI it lives in', () => {
  const address = Uint8Array.of(10, 77, 0, 1);
  const expected = createHash('sha256')
    .update(Buffer.from([10, 77, 0, 1]))
    .update('vi-a')
    .digest('hex')
    .slice(0, 16);
  assert.equal(formatId(idOfNode(address, 'vi-a')), expected);
  assert.notEqual(idOfNode(address, 'vi-a'), idOfNode(address, 'vi-b'));
});

test('text and bytes of an id are inverses', () => {
  fc.assert(
    fc.property(anyId, (id) => {
      assert.equal(parseId(formatId(id)), id);
      assert.equal(idOfBytes(idToBytes(id)), id);
    }),
  );
  for (const text of ['', '123', 'g000000000000000', '00000000000000000']) assert.equal(parseId(text), undefined);
});

test('inRange agrees with a walk around the circle, wrap-around included', () => {
  fc.assert(
    fc.property(nearId, nearId, nearId, (after, until, x) => {
      if (distance(after, until) > 8n || after === until) return;
      assert.equal(inRange({ after, until }, x), inRangeByWalking(after, until, x));
    }),
    { numRuns: 2000 },
  );
});

test('a range from an id to itself is the whole circle', () => {
  fc.assert(
    fc.property(anyId, anyId, (a, x) => {
      assert.ok(inRange({ after: a, until: a }, x));
      assert.equal(rangeSize({ after: a, until: a }), 2n ** 64n);
      assert.equal(between(a, x, a), x !== a);
    }),
  );
});

test('a range and its complement share nothing and miss nothing', () => {
  fc.assert(
    fc.property(anyId, anyId, anyId, (a, b, x) => {
      if (a === b) return;
      assert.notEqual(inRange({ after: a, until: b }, x), inRange({ after: b, until: a }, x));
      assert.equal(rangeSize({ after: a, until: b }) + rangeSize({ after: b, until: a }), 2n ** 64n);
    }),
  );
});

test('a finger points a power of two ahead', () => {
  fc.assert(
    fc.property(anyId, fc.integer({ min: 0, max: 63 }), (id, bit) => {
      assert.equal(distance(id, fingerTarget(id, bit)), 1n << BigInt(bit));
    }),
  );
});
