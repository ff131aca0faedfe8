import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatInvitation, type Invitation, parseInvitation } from '../invitation.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Uint8Array.from(b));

const invitations: fc.Arbitrary<Invitation> = fc.record(
  {
    host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
    port: fc.integer({ min: 1, max: 65_535 }),
    caFingerprint: bytes(32),
    vi: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/),
    secret: bytes(16),
    expires: fc.integer({ min: 0, max: 0xffff_ffff }),
  },
  { noNullPrototype: true },
);

test('every invitation survives being written and read', () => {
  fc.assert(
    fc.property(invitations, (invitation) => {
      const parsed = parseInvitation(`  ${formatInvitation(invitation)}\n`);
      assert.ok(parsed.ok);
      assert.deepEqual(parsed.value, invitation);
    }),
  );
});

test('a truncated or altered invitation is told from a whole one', () => {
  fc.assert(
    fc.property(invitations, fc.nat(), fc.nat(), (invitation, cut, at) => {
      const text = formatInvitation(invitation);
      const shorter = parseInvitation(text.slice(0, cut % text.length));
      assert.ok(!shorter.ok && shorter.code === 'INVITATION_MALFORMED');
      const index = 5 + (at % (text.length - 6));
      const altered = `${text.slice(0, index)}${text[index] === 'A' ? 'B' : 'A'}${text.slice(index + 1)}`;
      assert.ok(!parseInvitation(altered).ok, altered);
    }),
  );
});

test('other text is no invitation', () => {
  fc.assert(fc.property(fc.string(), (text) => assert.ok(!parseInvitation(text).ok)));
  fc.assert(fc.property(fc.string(), (text) => assert.ok(!parseInvitation(`pxb1_${text}`).ok)));
});
