import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { openSealed, SEAL_BYTES, sealKey, sealMessage, serialOfSealed } from '../address-seal.ts';

const secret = new Uint8Array(32).fill(0x11);
const key = sealKey(secret);
const serial = '4f'.repeat(16);

test('a seal is what its description says', () => {
  const sealed = sealMessage('request', serial, key, Uint8Array.of(1, 2, 3));
  const signed = Buffer.concat([Uint8Array.of(0x11), Buffer.from(serial, 'hex'), Uint8Array.of(1, 2, 3)]);
  const mac = createHmac('sha256', secret).update(signed).digest().subarray(0, 16);
  assert.deepEqual(Buffer.from(sealed), Buffer.concat([signed, mac]));
  assert.equal(sealed.length, 3 + SEAL_BYTES);
});

test('what was sealed opens again, with that key and in that direction only', () => {
  const message = fc.uint8Array({ minLength: 1, maxLength: 1199 });
  fc.assert(
    fc.property(message, fc.nat(), (message, at) => {
      const sealed = sealMessage('request', serial, key, message);
      assert.equal(serialOfSealed('request', sealed), serial);
      assert.equal(serialOfSealed('answer', sealed), undefined);
      assert.deepEqual(Uint8Array.from(openSealed(key, sealed) ?? assert.fail()), message);
      assert.equal(openSealed(sealKey(new Uint8Array(32)), sealed), undefined);
      const index = at % sealed.length;
      sealed[index] = (sealed[index] as number) ^ (1 << (at & 7));
      assert.equal(openSealed(key, sealed), undefined, `bit of byte ${index} changed`);
    }),
  );
});

test('what is too short is no seal', () => {
  const sealed = sealMessage('answer', serial, key, Uint8Array.of(9));
  for (let length = 0; length < sealed.length; length++) {
    assert.equal(openSealed(key, sealed.subarray(0, length)), undefined);
  }
  assert.equal(serialOfSealed('answer', sealed.subarray(0, SEAL_BYTES)), undefined);
  assert.throws(() => sealMessage('answer', '4f', key, Uint8Array.of(9)), RangeError);
  assert.throws(() => sealKey(new Uint8Array(31)), RangeError);
});
