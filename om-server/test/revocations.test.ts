import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createNodeKey } from '../../overlay/node-key.ts';
import { parseRevocationList, REVOCATIONS_MAX, serialOf } from '../../overlay/revocation-list.ts';
import { startOm } from '../server.ts';
import { CERTIFICATES_PER_NODE_MAX, Certificates } from '../store/certificates.ts';
import { Database } from '../store/database.ts';
import {
  assertFails,
  contactOf,
  createVi,
  invite,
  joinNode,
  nodeClient,
  startTestOm,
  type TestNode,
  type TestOm,
  temporaryDirectory,
  tryJoin,
  valueOf,
} from './fixture.ts';

const DAY = 86_400_000;
const beat = { incarnation: 1, contact: contactOf('x'), member: true };

async function listOf(
  om: TestOm,
  node: TestNode,
): Promise<{ number: number; serials: ReadonlySet<string>; pem: string }> {
  const { number, list } = valueOf(await node.client.revocations());
  const parsed = valueOf(parseRevocationList(list, om.access.caPem));
  assert.equal(parsed.number, number);
  assert.equal(valueOf(await node.client.heartbeat(beat)).revocations, number, 'a heartbeat tells the number');
  return parsed;
}

test('removing a node revokes its certificates, those before a renewal too, and no other', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const [watcher, gone, leaver] = [await joinNode(om, 'w'), await joinNode(om, 'g'), await joinNode(om, 'l')];
  assert.equal(valueOf(await watcher.client.heartbeat(beat)).revocations, 0);
  assert.deepEqual((await listOf(om, watcher)).serials, new Set());
  const renewed = valueOf(await gone.client.renew()).certificate;
  const removed = valueOf(await om.admin.deleteNode('lab', 'g'));
  assert.equal(removed.certificates, 2);
  const first = await listOf(om, watcher);
  assert.equal(first.number, removed.revocations);
  assert.deepEqual(first.serials, new Set([serialOf(gone.joined.certificate), serialOf(renewed)]));
  assertFails(await gone.client.revocations(), 'NODE_REMOVED');
  valueOf(await leaver.client.leave());
  const second = await listOf(om, watcher);
  assert.ok(second.number > first.number);
  assert.ok(second.serials.has(serialOf(leaver.joined.certificate)));
  assert.equal(second.serials.size, 3);
});

test('OpenSSL goes by the list', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const [good, bad] = [await joinNode(om, 'good'), await joinNode(om, 'bad')];
  valueOf(await om.admin.deleteNode('lab', 'bad'));
  const directory = temporaryDirectory(t);
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const authority = file('ca.pem', om.access.caPem + (await listOf(om, good)).pem);
  const verify = (name: string, node: TestNode): string => {
    const args = ['verify', '-crl_check', '-CAfile', authority, file(name, node.joined.certificate)];
    try {
      return execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
  };
  assert.match(verify('good.pem', good), /OK/);
  assert.match(verify('bad.pem', bad), /revoked/);
});

test('who joins again has a certificate that is not revoked; a copy of what it was before is refused', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const invitation = await invite(om, { uses: 9 });
  const watcher = await joinNode(om, 'w', invitation);
  const key = await createNodeKey('n');
  const before = valueOf(await tryJoin(om, invitation, { name: 'n', key }));
  valueOf(await om.admin.deleteNode('lab', 'n'));
  const after = valueOf(await tryJoin(om, invitation, { name: 'n', key }));
  const { serials } = await listOf(om, watcher);
  assert.ok(serials.has(serialOf(before.certificate)) && !serials.has(serialOf(after.certificate)));
  valueOf(await nodeClient(om, after, key).self());
  assertFails(await nodeClient(om, before, key).self(), 'NODE_REMOVED');
});

test('a certificate with groups that its node lost is revoked, one that is repeated is not', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const watcher = await joinNode(om, 'w');
  const key = await createNodeKey('n');
  const invitation = await invite(om, { uses: 9, groups: ['a', 'b'] });
  const first = valueOf(await tryJoin(om, invitation, { name: 'n', key }));
  const repeated = valueOf(await tryJoin(om, invitation, { name: 'n', key }));
  assert.equal((await listOf(om, watcher)).serials.size, 0);
  const other = valueOf(await tryJoin(om, invitation, { name: 'n', key, groups: ['a'] }));
  const { serials } = await listOf(om, watcher);
  assert.deepEqual(serials, new Set([serialOf(first.certificate), serialOf(repeated.certificate)]));
  valueOf(await nodeClient(om, other, key).self());
});

test('the list outlives the process, and forgets what would have expired', async (t) => {
  const om = await startTestOm(t);
  await createVi(om, 'lab', { certificateDays: 1 });
  await createVi(om, 'long');
  const watcher = await joinNode(om, 'w', await invite(om, {}, 'long'));
  await joinNode(om, 'g');
  const { revocations } = valueOf(await om.admin.deleteNode('lab', 'g'));
  await om.om.close();
  const database = valueOf(Database.open(join(om.data, 'om.sqlite')));
  const certificates = new Certificates(database);
  assert.equal(certificates.number, revocations);
  assert.equal(certificates.list().revocations.length, 1);
  assert.equal(certificates.prune(om.clock.wall()), false);
  assert.equal(certificates.prune(om.clock.wall() + DAY + 600_000), true);
  assert.equal(certificates.list().revocations.length, 0);
  assert.ok(certificates.number > revocations, 'a shorter list is a new one');
  database.close();
  const { host, port } = om.access;
  const again = valueOf(await startOm({ data: om.data, listen: { host, port }, logLevel: 'silent' }));
  t.after(() => again.close());
  assert.equal((await listOf(om, watcher)).serials.size, 0);
});

test('what one node has, and what the list holds, is bounded', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const node = await joinNode(om, 'n');
  for (let i = 1; i < CERTIFICATES_PER_NODE_MAX; i++) valueOf(await node.client.renew());
  assertFails(await node.client.renew(), 'LIMIT_REACHED', /16 certificates/);
  await joinNode(om, 'm');
  await om.om.close();

  const database = valueOf(Database.open(join(om.data, 'om.sqlite')));
  const now = om.clock.wall();
  const fill = (departed: number): void => {
    database.run('DELETE FROM revocations');
    database.run(
      `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO revocations SELECT printf('%x', 4096 + i), 0, ?, ? FROM n`,
      REVOCATIONS_MAX - 1,
      now + DAY,
      departed,
    );
  };
  const certificates = new Certificates(database);
  const keys = database.all('SELECT key FROM nodes ORDER BY name').map((row) => ({ key: Number(row['key']) }));
  const [m = assert.fail(), n = assert.fail()] = keys;
  fill(0);
  assertFails(
    database.transaction(() => certificates.revokeAll(n, 'removed', now)),
    'LIMIT_REACHED',
  );
  assert.equal(certificates.list().revocations.length, REVOCATIONS_MAX);
  fill(1);
  assert.equal(valueOf(database.transaction(() => certificates.revokeAll(n, 'removed', now))), 16);
  assert.equal(certificates.list().revocations.length, REVOCATIONS_MAX);
  fill(0);
  assert.equal(valueOf(database.transaction(() => certificates.revokeAll(m, 'departed', now))), 0, 'it may go');
  database.close();
});
