import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRdConfig } from '../rd-config.ts';

test('an absent file is one of defaults', () => {
  const parsed = parseRdConfig(undefined);
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.securePeers, []);
  assert.ok(!('groups' in parsed.value) && !('receive' in parsed.value), 'these have none');
});

test('groups, secure peers and the receive path are taken as they are', () => {
  for (const config of [
    { groups: [] },
    { groups: ['a', 'b-1'] },
    { securePeers: ['10.77.0.9', '10.77.4.0/24', '2001:db8::1', 'fd00::/8', '0.0.0.0/0'] },
    { receive: 'uring' },
    { gateway: [{ vi: 'lab', policy: 'a.yaml' }, { policy: '/etc/b.yaml' }] },
  ]) {
    const parsed = parseRdConfig(config);
    assert.ok(parsed.ok, parsed.ok ? '' : parsed.message);
    assert.deepEqual({ ...parsed.value, ...config }, parsed.value);
  }
});

test('what cannot be meant is refused with the field', () => {
  for (const [config, text] of [
    [{ groups: ['A'] }, /groups/],
    [{ groups: ['a', 'a'] }, /groups: give each only once/],
    [{ securePeers: ['web1'] }, /securePeers: 'web1' is neither address nor network/],
    [{ securePeers: ['10.77.0.9/16'] }, /securePeers: '10\.77\.0\.9\/16' .*without host bits/],
    [{ securePeers: ['10.77.0.9:4780'] }, /securePeers/],
    [{ securePeers: '10.77.0.9' }, /securePeers/],
    [{ securePeers: Array.from({ length: 257 }, () => '::1') }, /securePeers/],
    [{ receive: 'quickly' }, /receive: give one of direct, queue, aio, uring/],
    [{ gateway: [{ vi: 'lab' }] }, /gateway\.0/],
    [{ gateway: [{ policy: '' }] }, /gateway\.0\.policy/],
    [{ gateway: [{ policy: 'a.yaml', netns: 'b' }] }, /gateway\.0\.netns/],
    [{ logLevel: 'loud' }, /logLevel: give one of/],
  ] as const) {
    const parsed = parseRdConfig(config);
    assert.ok(!parsed.ok && parsed.code === 'BAD_CONFIG');
    assert.match(parsed.message, text);
  }
});
