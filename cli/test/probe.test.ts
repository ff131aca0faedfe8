import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePing, ping } from '../probe.ts';
import { inNamespace } from '../target.ts';

test('replies, errors and totals are read from what ping prints', () => {
  const result = parsePing([
    'PING fd00::1(fd00::1) 56 data bytes',
    '64 bytes from fd00::1: icmp_seq=1 ttl=63 time=0.345 ms',
    'From fd00::2: icmp_seq=2 Time exceeded: Hop limit',
    'From 10.77.0.2 icmp_seq=3 Time to live exceeded',
    '',
    '--- fd00::1 ping statistics ---',
    '3 packets transmitted, 1 received, +2 errors, 66.6667% packet loss, time 2003ms',
  ]);
  assert.deepEqual(result, {
    transmitted: 3,
    received: 1,
    replies: [{ seq: 1, from: 'fd00::1', hopLimit: 63, ms: 0.345 }],
    errors: [
      { from: 'fd00::2', text: 'Time exceeded: Hop limit' },
      { from: '10.77.0.2', text: 'Time to live exceeded' },
    ],
  });
});

test('the loopback interface answers', async () => {
  const result = await ping({ namespace: undefined, address: '127.0.0.1', family: 4, count: 1 });
  assert.equal(result.received, 1);
  assert.equal(result.replies[0]?.from, '127.0.0.1');
});

test('what ping itself complains of is an error', async () => {
  await assert.rejects(ping({ namespace: undefined, address: 'no such host', family: 4, count: 1 }), /no such host/);
});

test('a command enters a namespace where one is given', () => {
  assert.deepEqual(inNamespace(undefined, ['ping']), ['ping']);
  assert.deepEqual(inNamespace('/run/netns/a', ['ping']), ['nsenter', '--net=/run/netns/a', '--', 'ping']);
});
