import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whatNodesDo } from '../commands/node.ts';

test('of a node that was removed it is said whether the others refuse it', () => {
  const removed = { certificates: 2, revocations: 1_790_000_000, unlistedUntil: null };
  assert.equal(
    whatNodesDo(removed),
    'Its certificate is revoked (list 1790000000): nodes refuse it within 10 seconds.',
  );
  const expired = whatNodesDo({ ...removed, certificates: 0 });
  assert.equal(expired, 'It has no certificate that is valid, so nodes refuse it.');
  const unlisted = whatNodesDo({ ...removed, certificates: 0, unlistedUntil: Date.UTC(2031, 4, 6) });
  assert.match(unlisted, /cannot be revoked: nodes accept it until that expires, 2031-05-06T00:00:00.000Z\./);
});
