import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidrsOverlap, linkCapacity, parseCidr, poolCapacity } from '../addresses.ts';
import { completeViDefinition, parseViDefinition } from '../vi.ts';

test('the default pools are apart, and have pairs for all nodes', () => {
  const parsed = parseViDefinition(undefined);
  assert.ok(parsed.ok);
  const [pool, links] = [parseCidr(parsed.value.ipv4Pool), parseCidr(parsed.value.linkPool)];
  assert.ok(pool && links && !cidrsOverlap(pool, links));
  assert.ok(linkCapacity(links) >= 8 * poolCapacity(pool));
});

test('definitions that stand for themselves', () => {
  for (const definition of [
    { ipv4Pool: '10.77.0.0/29', linkPool: '10.78.0.0/24' },
    { linkPool: '10.78.0.0/27' },
    { ipv4Pool: '10.0.0.0/10', linkPool: '10.128.0.0/9' },
    { ipv4Pool: '172.16.0.0/12', nodesMax: 65_536 },
    { ipv4Pool: '172.16.0.0/12', links: 'unnumbered' },
    { successors: 8, tunnelsMax: 18 },
    { p2pdPort: 1024 },
    { shape: { out: { rate: '10mbit', delay: '20ms' }, in: {} } },
    { security: {} },
    { security: { policy: 'always' } },
    { security: { policy: 'never', ciphers: ['chacha20-poly1305'], rekeySeconds: 10 } },
  ]) {
    const parsed = parseViDefinition(definition);
    assert.ok(parsed.ok, parsed.ok ? '' : parsed.message);
  }
});

test('definitions that contradict themselves are refused with the field', () => {
  for (const [definition, text] of [
    [{ ipv4Pool: '172.16.0.0/12' }, /linkPool: 1000000 nodes need 8000000 pairs/],
    [{ ipv4Pool: '172.16.0.0/12', nodesMax: 65_537 }, /linkPool: 65537 nodes/],
    [{ ipv4Pool: '10.112.1.0/24' }, /overlap/],
    [{ successors: 8, tunnelsMax: 17 }, /tunnelsMax: give at least 18/],
    [{ p2pdPort: 1023 }, /p2pdPort/],
    [{ p2pdPort: 65_536 }, /p2pdPort/],
    [{ timers: { keepAliveMs: 1000 } }, /silenceMs/],
    [{ nodesMax: 1e300 }, /nodesMax/],
    [{ shape: { out: { rate: '10' } } }, /shape\.out\.rate: '10' is not a rate/],
    [{ shape: { in: { speed: '10mbit' } } }, /shape\.in\.speed/],
    [{ shape: { up: {} } }, /shape\.up/],
    [{ security: { policy: 'sometimes' } }, /security\.policy: give one of groups, always, never\./],
    [{ security: { policy: null } }, /security\.policy: give one of/],
    [{ security: { ciphers: [] } }, /security\.ciphers: give at least one, and each only once\./],
    [{ security: { ciphers: ['aes-128-gcm', 'aes-128-gcm'] } }, /security\.ciphers: give at least one, and each only/],
    [
      { security: { ciphers: ['rc4'] } },
      /security\.ciphers\.0: give one of aes-128-gcm, aes-256-gcm, chacha20-poly1305/,
    ],
    [{ security: { ciphers: 'aes-128-gcm' } }, /security\.ciphers/],
    [{ security: { rekeySeconds: 9 } }, /security\.rekeySeconds/],
    [{ security: { rekeySeconds: 3601 } }, /security\.rekeySeconds/],
    [{ security: { groups: ['a'] } }, /security\.groups/],
    [{ security: 'always' }, /security/],
    [{ addressServer: { transport: 'quic' } }, /addressServer\.transport: give one of udp, tcp, tls/],
  ] as const) {
    const parsed = parseViDefinition(definition);
    assert.ok(!parsed.ok && parsed.code === 'BAD_CONFIG');
    assert.match(parsed.message, text);
  }
});

test('what an earlier release stored has the security and the address server of the defaults', () => {
  const parsed = parseViDefinition({ mtu: 1400 });
  assert.ok(parsed.ok);
  const { security, addressServer, ...earlier } = parsed.value;
  assert.deepEqual(addressServer, { transport: 'udp' });
  assert.deepEqual(security, {
    policy: 'groups',
    ciphers: ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305'],
    rekeySeconds: 3600,
  });
  assert.deepEqual(completeViDefinition(earlier), parsed.value);
});
