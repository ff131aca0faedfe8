import assert from 'node:assert/strict';
import { createPrivateKey, KeyObject } from 'node:crypto';
import { before, describe, test } from 'node:test';
import type { AssociationHandle, DataPlane, NativeEvent } from '../../native/index.ts';
import { createLog } from '../../overlay/lib/log.ts';
import {
  AuthorityKeyIdentifierExtension,
  formatPem,
  KEY_ALGORITHM,
  SIGNING_ALGORITHM,
  X509Certificate,
  X509CertificateGenerator,
} from '../../overlay/lib/x509.ts';
import { formatRevocationList, serialOf } from '../../overlay/revocation-list.ts';
import type { NodeRef } from '../core/io.ts';
import { Engine } from '../driver/engine.ts';
import { pemToDer } from '../driver/identity.ts';
import type { NodePlane } from '../driver/node-plane.ts';
import { Revocations } from '../driver/revocations.ts';
import { testVi } from './network.ts';

const NOW = Date.UTC(2030, 0, 1);
const PEER = { address: '192.0.2.9', port: 4780 };
const log = createLog('test', 'silent');

type Ca = { readonly pem: string; list(number: number, serials: readonly string[]): string };

async function makeCa(): Promise<Ca> {
  const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const made = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=ca',
    notBefore: new Date(NOW),
    notAfter: new Date(NOW + 1e9),
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
  });
  const pem = formatPem('CERTIFICATE', new Uint8Array(made.rawData));
  const identifier = await AuthorityKeyIdentifierExtension.create(keys.publicKey);
  const signer = {
    issuer: new Uint8Array(new X509Certificate(pem).subjectName.toArrayBuffer()),
    authorityKeyIdentifier: new Uint8Array(identifier.rawData),
    key: createPrivateKey(KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' })),
  };
  const list: Ca['list'] = (number, serials) => {
    const revocations = serials.map((serial) => ({ serial, revokedAt: NOW }));
    return formatRevocationList({ number, issuedAt: NOW, usableUntil: NOW + 1e9, revocations }, signer);
  };
  return { pem, list };
}

describe('revocation lists', () => {
  let ca: Ca;
  let other: Ca;
  before(async () => {
    [ca, other] = await Promise.all([makeCa(), makeCa()]);
  });

  test('are taken when they are newer and of the right CA', () => {
    const revocations = new Revocations(log);
    const told: string[] = [];
    revocations.onChange((caPem) => told.push(caPem));
    assert.deepEqual([revocations.numberOf(ca.pem), revocations.pemOf(ca.pem)], [0, null]);
    assert.ok(revocations.take(ca.pem, ca.list(5, ['ab'])).ok);
    const older = revocations.take(ca.pem, ca.list(4, []));
    assert.ok(!older.ok && older.code === 'CONFLICT');
    const foreign = revocations.take(ca.pem, other.list(6, []));
    assert.ok(!foreign.ok && foreign.code === 'CERTIFICATE_REFUSED');
    const rubbish = revocations.take(ca.pem, 'rubbish');
    assert.ok(!rubbish.ok && rubbish.code === 'BAD_MESSAGE');
    assert.ok(revocations.take(ca.pem, ca.list(5, ['ab'])).ok, 'the same one again is nothing new');
    assert.deepEqual(told, [ca.pem]);
    assert.deepEqual(revocations.serialsOf(ca.pem), new Set(['ab']));
    assert.deepEqual(revocations.serialsOf(other.pem), new Set(), 'each CA speaks of its own certificates');
    revocations.confirm(ca.pem, 4, NOW);
    assert.equal(revocations.statusOf(ca.pem)?.confirmedAt, null);
    revocations.confirm(ca.pem, 5, NOW);
    assert.deepEqual(revocations.statusOf(ca.pem), { number: 5, certificates: 1, issuedAt: NOW, confirmedAt: NOW });
  });

  test('end associations whose certificate is on them, those of other VIs not', () => {
    const closed: number[] = [];
    const plane = { closeAssociation: (handle: AssociationHandle) => closed.push(handle) } as unknown as DataPlane;
    const revocations = new Revocations(log);
    const setup = { key: '00', self: PEER, families: [4] } as const;
    const engine = new Engine(setup, () => plane, revocations, log);
    revocations.onChange((caPem) => engine.revoked(caPem));
    const vi = testVi();
    const names = [vi.id, 'vi-00000000000000bb'];
    [ca, other].forEach(({ pem: caPem }, index) => {
      const actions = { vi: names[index] ?? '', caPem, plane: {} as NodePlane, act: () => undefined };
      engine.add((index + 1) as NodeRef, actions);
    });
    const serial = serialOf(ca.pem);
    const up = (handle: number, serverName = ''): NativeEvent => ({
      type: 'association.up',
      association: handle as AssociationHandle,
      peer: { ...PEER, port: handle },
      role: 'client',
      serverName,
      // Any certificate will do: the data plane has checked the chain.
      peerCertificate: pemToDer(ca.pem),
    });
    engine.events([up(1, names[0]), up(2, names[1])]);
    assert.ok(revocations.take(other.pem, other.list(1, ['77'])).ok);
    assert.deepEqual(closed, []);
    assert.ok(revocations.take(ca.pem, ca.list(1, [serial])).ok);
    assert.deepEqual(closed, [1]);
    engine.events([up(3, names[0])]);
    assert.deepEqual(closed, [1, 3], 'one that the data plane let through meanwhile');
    engine.stop();
  });
});
