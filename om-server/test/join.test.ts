import assert from 'node:assert/strict';
import { type webcrypto, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { claimsOfCertificate } from '../../overlay/certificate.ts';
import { formatId, idOfNode } from '../../overlay/id.ts';
import { createCsr, createNodeKey } from '../../overlay/node-key.ts';
import { FAILURES_MAX, FAILURES_WINDOW_MS } from '../attempts.ts';
import { NODE_CERTIFICATE_BYTES_MAX } from '../ca.ts';
import { assertFails, createVi, invite, joinNode, nodeClient, startTestOm, tryJoin, valueOf } from './fixture.ts';

test('a node gets its place and a certificate that says so', async (t) => {
  const om = await startTestOm(t);
  await createVi(om, 'lab', { ipv4Pool: '10.9.0.0/24', certificateDays: 30 });
  const invitation = await invite(om, { groups: ['web', 'db'] });
  assert.equal(invitation.port, om.om.address.port);
  assert.deepEqual(invitation.caFingerprint, om.om.caFingerprint);
  const { joined, client } = await joinNode(om, 'alpha', invitation);
  assert.equal(joined.ipv4, '10.9.0.1');
  assert.equal(joined.id, formatId(idOfNode(Uint8Array.from([10, 9, 0, 1]), joined.vi.id)));
  assert.ok(joined.ipv6.startsWith(joined.vi.prefix.replace('::/64', ':')));
  const certificate = new X509Certificate(joined.certificate);
  assert.equal(certificate.subject, 'CN=alpha');
  assert.ok(certificate.verify(new X509Certificate(joined.ca).publicKey));
  assert.equal(certificate.ca, false);
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1']);
  assert.ok(certificate.checkIP('10.9.0.1') !== undefined && certificate.checkIP(joined.ipv6) !== undefined);
  const claims = { vi: joined.vi.id, name: 'alpha', id: joined.id, ipv4: joined.ipv4, groups: ['web', 'db'] };
  assert.deepEqual(claimsOfCertificate(joined.certificate), claims);
  const days = (certificate.validToDate.getTime() - om.clock.wall()) / 86_400_000;
  assert.ok(days > 29.9 && days <= 30, `${days} days`);
  assert.ok(certificate.validFromDate.getTime() < om.clock.wall() - 60_000, 'clocks may differ');
  assert.equal(valueOf(await client.self()).name, 'alpha');
});

test('each way in which an invitation fails has its own error', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  await createVi(om, 'other');
  const used = await invite(om);
  valueOf(await tryJoin(om, used, { name: 'a' }));
  assertFails(await tryJoin(om, used, { name: 'b' }), 'INVITATION_USED');
  const expired = await invite(om, { expiresSeconds: 60 });
  const revoked = await invite(om);
  valueOf(await om.admin.revokeInvitation('lab', revoked.id));
  assertFails(await tryJoin(om, revoked, { name: 'b' }), 'INVITATION_REVOKED');
  const open = await invite(om, { expiresSeconds: 3600 });
  om.clock.advance(61_000);
  assertFails(await tryJoin(om, expired, { name: 'b' }), 'INVITATION_EXPIRED');
  const forged = { ...open, secret: open.secret.map((byte) => byte ^ 1) };
  assertFails(await tryJoin(om, forged, { name: 'b' }), 'INVITATION_UNKNOWN');
  assertFails(await tryJoin(om, { ...open, vi: 'other' }, { name: 'b' }), 'INVITATION_UNKNOWN');
  assertFails(await tryJoin(om, { ...open, vi: 'nowhere' }, { name: 'b' }), 'INVITATION_UNKNOWN');
  assertFails(await tryJoin(om, { ...open, secret: new Uint8Array(0) }, { name: 'b' }), 'INVITATION_UNKNOWN');
  valueOf(await tryJoin(om, open, { name: 'b' }));
  const states = valueOf(await om.admin.listInvitations('lab')).map(({ id, state }) => [id, state]);
  assert.deepEqual(
    new Map(states as [string, string][]),
    new Map([
      [used.id, 'used'],
      [expired.id, 'expired'],
      [revoked.id, 'revoked'],
      [open.id, 'used'],
    ]),
  );
});

test('a join that fails costs no use; a name is given once', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  await joinNode(om, 'taken');
  const invitation = await invite(om);
  assertFails(await tryJoin(om, invitation, { name: 'taken' }), 'DUPLICATE_NAME', /taken/);
  const key = await createNodeKey('x');
  const forged = { ...key, csrPem: key.csrPem.replace(/.{8}=*\n-----END/, 'AAAAAAAA\n-----END') };
  assertFails(await tryJoin(om, invitation, { name: 'x', key: forged }), 'BAD_ARGUMENT', /csr/);
  assertFails(await tryJoin(om, invitation, { name: 'Not A Name' }), 'BAD_ARGUMENT', /name/);
  assertFails(await tryJoin(om, invitation, { name: 'x', groups: ['root'] }), 'NOT_PERMITTED', /root/);
  valueOf(await tryJoin(om, invitation, { name: 'x', key }));
});

test('only EC P-256 keys are certified', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const invitation = await invite(om);
  const { Pkcs10CertificateRequestGenerator } = await import('../../overlay/lib/x509.ts');
  for (const algorithm of [
    { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
    { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: Uint8Array.from([1, 0, 1]) },
    { name: 'Ed25519' },
  ]) {
    const keys = (await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
    const request = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=n', keys, signingAlgorithm: algorithm });
    const key = { keyPem: '', csrPem: request.toString('pem') };
    assertFails(await tryJoin(om, invitation, { name: 'n', key }), 'BAD_ARGUMENT', /P-256/);
  }
});

test('the same name and key again is the same node, and a lost answer costs nothing', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const first = await invite(om, { groups: ['web'] });
  const node = await joinNode(om, 'alpha', first);
  const again = { ...node.key, csrPem: await createCsr(node.key.keyPem, 'alpha') };
  const repeated = valueOf(await tryJoin(om, first, { name: 'alpha', key: again }));
  assert.deepEqual([repeated.ipv4, repeated.id], [node.joined.ipv4, node.joined.id]);
  assert.deepEqual([node.joined.returning, repeated.returning], [false, true]);
  const second = await invite(om, { groups: ['db'] });
  const moved = valueOf(await tryJoin(om, second, { name: 'alpha', key: again }));
  assert.deepEqual([moved.ipv4, moved.groups], [node.joined.ipv4, ['db']]);
  assertFails(await tryJoin(om, second, { name: 'beta' }), 'INVITATION_USED');
  assert.equal(valueOf(await om.admin.listNodes('lab')).length, 1);
  assert.deepEqual(valueOf(await nodeClient(om, moved, node.key).self()).groups, ['db']);
  om.clock.advance(3_601_000);
  assertFails(await tryJoin(om, second, { name: 'alpha', key: again }), 'INVITATION_EXPIRED');
});

test('addresses: the lowest free one, until the pool or nodesMax is used up', async (t) => {
  const om = await startTestOm(t);
  await createVi(om, 'small', { ipv4Pool: '10.9.0.0/29' });
  const invitation = await invite(om, { uses: 100 }, 'small');
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const nodes = [];
  for (const name of names) nodes.push(await joinNode(om, name, invitation));
  assert.deepEqual(
    nodes.map(({ joined }) => joined.ipv4),
    [1, 2, 3, 4, 5, 6].map((last) => `10.9.0.${last}`),
  );
  assertFails(await tryJoin(om, invitation, { name: 'g' }), 'POOL_EXHAUSTED', /10\.9\.0\.0\/29 are in use;/);
  await createVi(om, 'few', { nodesMax: 1 });
  const few = await invite(om, { uses: 2 }, 'few');
  await joinNode(om, 'a', few);
  assertFails(await tryJoin(om, few, { name: 'b' }), 'LIMIT_REACHED', /nodesMax/);
});

test('a certificate fits into one datagram, and groups that make it too large are refused', async (t) => {
  const om = await startTestOm(t);
  await createVi(om, 'a-name-of-the-greatest-length-32', { ipv4Pool: '110.128.0.0/10', linkPool: '10.0.0.0/8' });
  const vi = 'a-name-of-the-greatest-length-32';
  const name = 'another-name-of-the-full-size-32';
  const sixteen = (length: number): string[] =>
    Array.from({ length: 16 }, (_, index) => `g${index}`.padEnd(length, 'x'));
  const moderate = await invite(om, { groups: sixteen(10) }, vi);
  const joined = valueOf(await tryJoin(om, moderate, { name }));
  const size = new X509Certificate(joined.certificate).raw.length;
  assert.ok(size <= NODE_CERTIFICATE_BYTES_MAX, `${size} bytes`);
  assert.equal(claimsOfCertificate(joined.certificate)?.groups.length, 16);
  const long = await invite(om, { groups: sixteen(32) }, vi);
  assertFails(await tryJoin(om, long, { name: 'beta' }), 'LIMIT_REACHED', /fewer groups/);
  valueOf(await tryJoin(om, long, { name: 'beta', groups: sixteen(32).slice(0, 4) }));
});

test('guessing secrets is limited by source address', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const invitation = await invite(om);
  const key = await createNodeKey('a');
  const wrong = { ...invitation, secret: new Uint8Array(16) };
  for (let i = 0; i < FAILURES_MAX; i++) {
    assertFails(await tryJoin(om, wrong, { name: 'a', key }, om.admin), 'INVITATION_UNKNOWN');
  }
  assertFails(await tryJoin(om, invitation, { name: 'a', key }, om.admin), 'LIMIT_REACHED', /wait/);
  om.clock.advance(FAILURES_WINDOW_MS);
  valueOf(await tryJoin(om, invitation, { name: 'a', key }, om.admin));
});

test('50 joins at once with a single-use invitation: one succeeds', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const invitation = await invite(om);
  const key = await createNodeKey('n');
  const results = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const own = await createNodeKey(`n${index}`);
      return tryJoin(
        om,
        invitation,
        { name: `n${index}`, key: index === 0 ? key : own },
        om.client({ caPem: om.access.caPem }),
      );
    }),
  );
  assert.equal(results.filter(({ ok }) => ok).length, 1);
  for (const result of results) if (!result.ok) assertFails(result, 'INVITATION_USED');
  assert.equal(valueOf(await om.admin.listNodes('lab')).length, 1);
});

test('200 joins at once get 200 addresses', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const invitation = await invite(om, { uses: 200 });
  const clients = Array.from({ length: 20 }, () => om.client({ caPem: om.access.caPem }));
  const results = await Promise.all(
    Array.from({ length: 200 }, (_, index) => tryJoin(om, invitation, { name: `n${index}` }, clients[index % 20])),
  );
  const joined = results.map(valueOf);
  assert.equal(new Set(joined.map(({ ipv4 }) => ipv4)).size, 200);
  assert.equal(new Set(joined.map(({ id }) => id)).size, 200);
  const [summary] = valueOf(await om.admin.listInvitations('lab'));
  assert.deepEqual([summary?.state, summary?.usesLeft], ['used', 0]);
  assertFails(await tryJoin(om, invitation, { name: 'one-more' }), 'INVITATION_USED');
});
