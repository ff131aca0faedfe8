import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { ok } from '../../overlay/lib/result.ts';
import {
  formatPem,
  KEY_ALGORITHM,
  SIGNING_ALGORITHM,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../../overlay/lib/x509.ts';
import { type CertificateClaims, formatClaims } from '../../overlay/om-api.ts';
import { serialOf } from '../../overlay/revocation-list.ts';
import { CertificateVerifier } from '../driver/certificates.ts';
import { fingerprintOf, pemToDer } from '../driver/identity.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2030, 0, 1);
const NONE: ReadonlySet<string> = new Set();
const CLAIMS: CertificateClaims = {
  vi: 'vi-00000000000000aa',
  name: 'one',
  id: '0123456789abcdef',
  ipv4: '10.77.0.1',
  groups: ['red', 'blue'],
};

type Keys = Awaited<ReturnType<typeof makeKeys>>;
const makeKeys = () => crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);

async function makeCa(keys: Keys, name: string): Promise<string> {
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    notBefore: new Date(NOW - DAY),
    notAfter: new Date(NOW + 100 * DAY),
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
  });
  return formatPem('CERTIFICATE', new Uint8Array(certificate.rawData));
}

async function issue(ca: Keys, issuer: string, keys: Keys, uri: string): Promise<Uint8Array> {
  const certificate = await X509CertificateGenerator.create({
    subject: 'CN=node',
    issuer: `CN=${issuer}`,
    notBefore: new Date(NOW - DAY),
    notAfter: new Date(NOW + DAY),
    publicKey: keys.publicKey,
    signingKey: ca.privateKey,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: uri }])],
  });
  return new Uint8Array(certificate.rawData);
}

async function fingerprint(keys: Keys): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('spki', keys.publicKey));
  return fingerprintOf(createPublicKey({ key: der, format: 'der', type: 'spki' }));
}

describe('a peer’s certificate', () => {
  let ca: Keys;
  let node: Keys;
  let stranger: Keys;
  let caPem: string;
  let certificate: Uint8Array;
  let key: string;
  const refused = (result: ReturnType<CertificateVerifier['check']>, about: RegExp): void => {
    assert.ok(!result.ok && result.code === 'CERTIFICATE_REFUSED');
    assert.match(result.message, about);
  };

  before(async () => {
    [ca, node, stranger] = await Promise.all([makeKeys(), makeKeys(), makeKeys()]);
    caPem = await makeCa(ca, 'ca');
    certificate = await issue(ca, 'ca', node, formatClaims(CLAIMS));
    key = await fingerprint(node);
  });

  test('gives the claims, the second time too', () => {
    const verifier = new CertificateVerifier();
    const proven = { ...CLAIMS, certificate: { serial: serialOf(certificate), msLeft: DAY } };
    assert.deepEqual(verifier.check(certificate, caPem, key, NOW, NONE), ok(proven));
    assert.deepEqual(verifier.check(certificate, caPem, key, NOW, NONE), ok(proven));
  });

  test('of another authority is refused, even of the same name', async () => {
    const verifier = new CertificateVerifier();
    const forged = await issue(stranger, 'ca', node, formatClaims(CLAIMS));
    refused(verifier.check(forged, caPem, key, NOW, NONE), /authority/);
    refused(verifier.check(pemToDer(await makeCa(stranger, 'ca')), caPem, key, NOW, NONE), /authority/);
  });

  test('is refused before and after its time, also from the cache', () => {
    const verifier = new CertificateVerifier();
    assert.ok(verifier.check(certificate, caPem, key, NOW, NONE).ok);
    refused(verifier.check(certificate, caPem, key, NOW + 2 * DAY, NONE), /time/);
    refused(verifier.check(certificate, caPem, key, NOW - 2 * DAY, NONE), /time/);
  });

  test('is taken to the last moment, and no longer', () => {
    const verifier = new CertificateVerifier();
    assert.ok(verifier.check(certificate, caPem, key, NOW + DAY, NONE).ok);
    refused(verifier.check(certificate, caPem, key, NOW + DAY + 1, NONE), /time/);
  });

  test('that was revoked is refused, also from the cache, and no other', () => {
    const verifier = new CertificateVerifier();
    assert.ok(verifier.check(certificate, caPem, key, NOW, new Set(['1234'])).ok);
    const result = verifier.check(certificate, caPem, key, NOW, new Set([serialOf(certificate)]));
    assert.ok(!result.ok && result.code === 'CERTIFICATE_REVOKED');
  });

  test('with another key than the association has proven is refused', async () => {
    const verifier = new CertificateVerifier();
    assert.ok(verifier.check(certificate, caPem, key, NOW, NONE).ok);
    refused(verifier.check(certificate, caPem, await fingerprint(stranger), NOW, NONE), /another key/);
  });

  test('that names no node, or is none, is refused', async () => {
    const verifier = new CertificateVerifier();
    const other = await issue(ca, 'ca', node, 'https://example.net/');
    refused(verifier.check(other, caPem, key, NOW, NONE), /names no node/);
    refused(verifier.check(Uint8Array.of(1, 2, 3), caPem, key, NOW, NONE), /cannot be read/);
    refused(verifier.check(certificate.subarray(0, 200), caPem, key, NOW, NONE), /cannot be read/);
  });
});
