import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { DerReader, integer, TAG, time, timeOf } from '../der.ts';
import { below, seededRng } from '../lib/rng.ts';
import { X509Crl } from '../lib/x509.ts';
import { parseRevocationList } from '../revocation-list.ts';

const [ca = '', list = '', empty = ''] = readFileSync(new URL('./golden/revocation-list.pem', import.meta.url), 'utf8')
  .split(/(?<=-----END [^-]+-----\n)/)
  .filter((block) => block !== '');
const SERIALS = ['40a1b2c3d4e5f60718293a4b5c6d7e8f', '7f', '80ff'];

describe('a revocation list', () => {
  test('reads back what was written', () => {
    const parsed = parseRevocationList(list, ca);
    assert.ok(parsed.ok, parsed.ok ? '' : parsed.message);
    assert.equal(parsed.value.number, 1_893_456_000);
    assert.deepEqual([...parsed.value.serials], SERIALS);
    const none = parseRevocationList(empty, ca);
    assert.ok(none.ok && none.value.number === 1 && none.value.serials.size === 0);
  });

  test('is one also for the certificate library and for OpenSSL', () => {
    const crl = new X509Crl(list);
    assert.deepEqual(
      crl.entries.map(({ serialNumber }) => serialNumber.replace(/^0+/, '')),
      SERIALS,
    );
    const { pathname } = new URL('./golden/revocation-list.pem', import.meta.url);
    const args = ['crl', '-noout', '-crlnumber', '-verify', '-CAfile', pathname, '-in', pathname];
    const text = execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
    assert.match(text, /crlNumber=0x70DBD880/);
  });

  test('that another CA signed, or that was changed, is refused', () => {
    const [body] = list.split('\n').slice(1, 2);
    assert.ok(body !== undefined);
    const changed = list.replace(
      body,
      body.replace(/^(.{20})./, (_, head: string) => `${head}${body[20] === 'A' ? 'B' : 'A'}`),
    );
    const refused = parseRevocationList(changed, ca);
    assert.ok(!refused.ok && ['CERTIFICATE_REFUSED', 'BAD_MESSAGE'].includes(refused.code));
    for (const text of ['', 'x', list.slice(0, 200), list.slice(1), `${list}x`, ca]) {
      const result = parseRevocationList(text, ca);
      assert.ok(!result.ok && result.code === 'BAD_MESSAGE', text.slice(0, 40));
    }
  });
});

describe('DER', () => {
  test('numbers and times read back', () => {
    const rng = seededRng(3);
    for (let round = 0; round < 1000; round++) {
      const number = below(rng, 2 ** 30) * below(rng, 2 ** 20);
      assert.equal(Number.parseInt(new DerReader(integer(number)).integer(), 16), number);
      const instant = below(rng, 4_000_000_000) * 1000;
      assert.equal(timeOf(new DerReader(time(instant))), instant);
    }
  });

  test('what is not canonical is refused', () => {
    const bad: [string, (reader: DerReader) => unknown][] = [
      ['0281017f', (reader) => reader.integer()],
      ['0200', (reader) => reader.integer()],
      ['020180', (reader) => reader.integer()],
      ['0202007f', (reader) => reader.integer()],
      ['020901ffffffffffffffff', (reader) => reader.integer()],
      ['30800000', (reader) => reader.enter(TAG.sequence)],
      ['3003', (reader) => reader.enter(TAG.sequence)],
      ['30', (reader) => reader.enter(TAG.sequence)],
      ['308500000000010a', (reader) => reader.enter(TAG.sequence)],
      ['', (reader) => reader.take(TAG.sequence)],
      ['170d3330313330313030303030305a', timeOf],
      ['170c33303031303130303030305a', timeOf],
    ];
    for (const [hex, read] of bad) {
      assert.throws(() => read(new DerReader(Uint8Array.from(Buffer.from(hex, 'hex')))), RangeError, hex);
    }
  });
});
