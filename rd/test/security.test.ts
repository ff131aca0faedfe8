import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Cidr, parseCidr } from '../../overlay/addresses.ts';
import type { SecurityPolicy } from '../../overlay/vi.ts';
import { SecurePeers } from '../core/secure-peers.ts';
import { agreeToAnswer, agreeToRequest, ownDecision, type SecurityFacts } from '../core/security.ts';

const facts = (change: Partial<SecurityFacts> = {}): SecurityFacts => ({
  policy: 'groups',
  isLocal: false,
  ownGroups: ['b', 'a'],
  peerGroups: ['c'],
  isListed: false,
  ...change,
});
const POLICIES: readonly SecurityPolicy[] = ['groups', 'always', 'never'];
const BOTH = [false, true] as const;
const SHARED = { peerGroups: ['a', 'c', 'b'] };

describe('the security of a tunnel', () => {
  // policy, groups in common, on our list, demanded by the peer's con_req: outcome and why; null: no tunnel.
  const table: [SecurityPolicy, boolean, boolean, boolean, [boolean, string] | null][] = [
    ['groups', false, false, false, [false, 'no common group']],
    ['groups', false, false, true, [true, 'asked by peer']],
    ['groups', false, true, false, [true, 'secure peer list here']],
    ['groups', false, true, true, [true, 'secure peer list here']],
    ['groups', true, false, false, [true, 'groups: a, b']],
    ['groups', true, false, true, [true, 'groups: a, b']],
    ['groups', true, true, false, [true, 'groups: a, b']],
    ['groups', true, true, true, [true, 'groups: a, b']],
    ['always', false, false, false, [true, 'policy always']],
    ['always', false, false, true, [true, 'policy always']],
    ['always', false, true, false, [true, 'policy always']],
    ['always', false, true, true, [true, 'policy always']],
    ['always', true, false, false, [true, 'policy always']],
    ['always', true, false, true, [true, 'policy always']],
    ['always', true, true, false, [true, 'policy always']],
    ['always', true, true, true, [true, 'policy always']],
    ['never', false, false, false, [false, 'policy never']],
    ['never', false, false, true, null],
    ['never', false, true, false, [false, 'policy never']],
    ['never', false, true, true, null],
    ['never', true, false, false, [false, 'policy never']],
    ['never', true, false, true, null],
    ['never', true, true, false, [false, 'policy never']],
    ['never', true, true, true, null],
  ];

  test('is what the table says', () => {
    for (const [policy, isShared, isListed, isDemanded, outcome] of table) {
      const given = facts({ policy, isListed, ...(isShared ? SHARED : {}) });
      const expected = outcome === null ? undefined : { secure: outcome[0], why: outcome[1] };
      const row = JSON.stringify([policy, isShared, isListed, isDemanded]);
      assert.deepEqual(agreeToRequest(given, isDemanded), expected, row);
      if (!isDemanded) assert.deepEqual(ownDecision(given), expected, row);
    }
  });

  test('is nobody’s concern within one daemon', () => {
    for (const policy of POLICIES) {
      for (const isDemanded of BOTH) {
        const given = facts({ policy, isLocal: true, isListed: true, ...SHARED });
        const plain = { secure: false, why: 'within this machine' };
        assert.deepEqual(agreeToRequest(given, isDemanded), plain);
        assert.deepEqual(agreeToAnswer(given, isDemanded, false), plain);
      }
    }
  });

  test('comes out the same at both ends, whatever either demands', () => {
    for (const policy of ['groups', 'always'] as const) {
      for (const isShared of BOTH) {
        for (const askerLists of BOTH) {
          for (const responderLists of BOTH) {
            const groups = isShared ? SHARED : {};
            const answer = agreeToRequest(facts({ policy, isListed: responderLists, ...groups }), askerLists);
            assert.ok(answer);
            const asker = facts({ policy, isListed: askerLists, ...groups });
            assert.equal(agreeToAnswer(asker, askerLists, answer.secure)?.secure, answer.secure);
          }
        }
      }
    }
  });

  test('is never plain because an answer says so', () => {
    assert.equal(agreeToAnswer(facts(SHARED), false, false), undefined, 'groups in common');
    assert.equal(agreeToAnswer(facts(), true, false), undefined, 'we demanded it');
    assert.equal(agreeToAnswer(facts({ policy: 'always' }), true, false), undefined);
    assert.equal(agreeToAnswer(facts({ policy: 'never' }), false, true), undefined, 'the other way round');
    assert.deepEqual(
      agreeToAnswer(facts({ isListed: true }), false, false),
      { secure: true, why: 'secure peer list here' },
      'who the peer is came out by its answer: we are secure, and ask again',
    );
    assert.deepEqual(agreeToAnswer(facts(), false, true), { secure: true, why: 'asked by peer' });
    assert.deepEqual(agreeToAnswer(facts(), false, false), { secure: false, why: 'no common group' });
  });
});

describe('a list of secure peers', () => {
  const list = new SecurePeers(['10.77.0.9', '192.0.2.0/28', 'fd00:1::/64', '2001:db8::7']);

  test('names addresses and networks of both families', () => {
    for (const address of ['10.77.0.9', '192.0.2.15', 'fd00:1::1234', '2001:db8::7', '::ffff:192.0.2.1']) {
      assert.ok(list.has(['198.51.100.1', address]), address);
    }
    for (const address of ['10.77.0.8', '192.0.2.16', 'fd00:1:0:1::1', '2001:db8::8', '::ffff:10.77.0.8', '::']) {
      assert.ok(!list.has([address]), address);
    }
    assert.ok(!list.has([]));
    assert.ok(!list.has(['no address']));
  });

  test('may be written in the mapped form', () => {
    const mapped = new SecurePeers(['::ffff:192.0.2.7', '::ffff:198.51.100.0/120', '::/0']);
    for (const address of ['192.0.2.7', '198.51.100.255', '2001:db8::1']) assert.ok(mapped.has([address]), address);
    assert.ok(!mapped.has(['203.0.113.1']));
  });

  test('tells whether it could name a node of a pool', () => {
    const pool = (text: string): Cidr => parseCidr(text) as Cidr;
    assert.ok(list.mayHave(pool('10.77.0.0/16')));
    assert.ok(list.mayHave(pool('192.0.2.8/29')));
    assert.ok(!list.mayHave(pool('10.78.0.0/16')));
    assert.ok(!new SecurePeers([]).mayHave(pool('10.77.0.0/16')));
  });

  test('is checked when the configuration is read', () => {
    assert.throws(() => new SecurePeers(['10.77.0.1/16']));
  });
});
