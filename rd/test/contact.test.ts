import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatAddress } from '../../overlay/addresses.ts';
import { CONTACT_BYTES_MAX } from '../../overlay/fields.ts';
import { toId } from '../../overlay/id.ts';
import { decodeContact, encodeContact, usableEndpoints } from '../core/contact.ts';

const address = fc
  .oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map(formatAddress);
const plain = { noNullPrototype: true };
const endpoint = fc.record({ address, port: fc.integer({ min: 1, max: 65_535 }) }, plain);
const contact = fc.record(
  {
    node: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(toId),
    key: fc.stringMatching(/^[0-9a-f]{32}$/),
    endpoints: fc.array(endpoint, { maxLength: 3 }),
  },
  plain,
);

describe('contacts', () => {
  test('are read as they were written, and fit', () => {
    fc.assert(
      fc.property(contact, (value) => {
        const bytes = encodeContact(value);
        assert.ok(bytes.length <= CONTACT_BYTES_MAX);
        assert.deepEqual(decodeContact(bytes), value);
      }),
    );
  });

  test('of any other bytes are refused, without a crash', () => {
    fc.assert(
      fc.property(contact, fc.nat(), fc.nat(255), (value, where, byte) => {
        const bytes = encodeContact(value);
        bytes[where % bytes.length] = byte;
        const decoded = decodeContact(bytes);
        if (decoded !== undefined) assert.deepEqual(decodeContact(encodeContact(decoded)), decoded);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => void decodeContact(bytes)));
    assert.equal(decodeContact(new Uint8Array(0)), undefined);
  });

  test('lead over the families that are here, the preferred one first', () => {
    const four = { address: '192.0.2.1', port: 1 };
    const six = { address: '2001:db8::1', port: 1 };
    assert.deepEqual(usableEndpoints([six, four], [4, 6]), [four, six]);
    assert.deepEqual(usableEndpoints([four, six], [6]), [six]);
    assert.deepEqual(usableEndpoints([four], [6]), []);
  });
});
