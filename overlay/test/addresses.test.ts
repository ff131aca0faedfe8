import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Cidr,
  cidrContains,
  cidrsOverlap,
  formatAddress,
  formatCidr,
  formatMac,
  idAddress,
  idOfAddress,
  linkCapacity,
  linkPair,
  macOfNode,
  parseAddress,
  parseCidr,
  poolAddress,
  poolCapacity,
} from '../addresses.ts';
import { parseId, toId } from '../id.ts';

const cidr = (text: string): Cidr => {
  const parsed = parseCidr(text);
  assert.ok(parsed, text);
  return parsed;
};

test('numeric addresses are read and written in canonical form', () => {
  assert.equal(formatAddress(parseAddress('10.0.0.1') as Uint8Array), '10.0.0.1');
  assert.equal(formatAddress(parseAddress('FD00:0:0:0::1') as Uint8Array), 'fd00::1');
  for (const text of ['', '10.0.0', '10.0.0.256', '0x7f.1', 'example', 'fd00::1::2', '1']) {
    assert.equal(parseAddress(text), undefined, text);
  }
});

test('any 4 or 16 bytes survive being written and read', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  fc.assert(fc.property(bytes, (b) => assert.deepEqual(parseAddress(formatAddress(b)), Uint8Array.from(b))));
});

test('a network has no host bits', () => {
  assert.equal(formatCidr(cidr('10.77.0.0/16')), '10.77.0.0/16');
  for (const text of [
    '10.77.0.1/16',
    '10.77.0.0',
    '10.77.0.0/33',
    '10.77.0.0/-1',
    'fd00::1/64',
    'a/8',
    '1.2.3.0/24/1',
  ]) {
    assert.equal(parseCidr(text), undefined, text);
  }
});

test('networks contain their own and overlap with what contains them', () => {
  assert.ok(cidrContains(cidr('10.77.0.0/16'), parseAddress('10.77.255.255') as Uint8Array));
  assert.ok(!cidrContains(cidr('10.77.0.0/16'), parseAddress('10.78.0.0') as Uint8Array));
  assert.ok(!cidrContains(cidr('10.77.0.0/16'), parseAddress('fd00::') as Uint8Array));
  assert.ok(cidrContains(cidr('0.0.0.0/0'), parseAddress('255.255.255.255') as Uint8Array));
  assert.ok(cidrsOverlap(cidr('10.0.0.0/8'), cidr('10.77.0.0/16')));
  assert.ok(!cidrsOverlap(cidr('10.76.0.0/16'), cidr('10.77.0.0/16')));
});

test('a pool gives all but its first and last address', () => {
  const pool = cidr('192.0.2.0/29');
  assert.equal(poolCapacity(pool), 6);
  assert.equal(poolAddress(pool, 0), '192.0.2.1');
  assert.equal(poolAddress(pool, 5), '192.0.2.6');
  assert.throws(() => poolAddress(pool, 6), RangeError);
});

test('link pairs are /31 and /127 networks that do not touch', () => {
  const links = cidr('10.78.0.0/16');
  const prefix = cidr('fd00:1:2:1::/64');
  assert.equal(linkCapacity(links), 32_768);
  assert.deepEqual(linkPair(links, prefix, 0), {
    index: 0,
    ipv4: ['10.78.0.0', '10.78.0.1'],
    ipv6: ['fd00:1:2:1::', 'fd00:1:2:1::1'],
  });
  assert.deepEqual(linkPair(links, prefix, 32_767).ipv4, ['10.78.255.254', '10.78.255.255']);
  assert.throws(() => linkPair(links, prefix, 32_768), RangeError);
});

test('an id and its address in the VI are inverses', () => {
  const prefix = cidr('fd12:3456:789a::/64');
  assert.equal(idAddress(prefix, toId(0x2cf24dba5fb0a30en)), 'fd12:3456:789a:0:2cf2:4dba:5fb0:a30e');
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 64n - 1n).map(toId), (id) => {
      assert.equal(idOfAddress(prefix, parseAddress(idAddress(prefix, id)) as Uint8Array), id);
    }),
  );
  assert.equal(idOfAddress(prefix, parseAddress('fd12:3456:789a:1::1') as Uint8Array), undefined);
});

test('a MAC address is unicast, local, and told by the id', () => {
  const mac = macOfNode(parseId('0123456789abcdef') as never);
  assert.equal(formatMac(mac), '02:67:89:ab:cd:ef');
});
