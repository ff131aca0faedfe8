import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createNodeKey } from '../../overlay/node-key.ts';
import { parseRevocationList, REVOCATIONS_MAX, serialOf } from '../../overlay/revocation-list.ts';
import { Revocations } from '../revocations.ts';
import { startOm } from '../server.ts';
import { Certificates } from '../store/certificates.ts';
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
  // TLS itself looks at the system's clock, so the first certificate is issued in the past.
  om.clock.advance(-200 * DAY);
  const [watcher, gone, leaver] = [await joinNode(om, 'w'), await joinNode(om, 'g'), await joinNode(om, 'l')];
  om.clock.advance(200 * DAY);
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
  const again = valueOf(
    await startOm({ data: om.data, listen: { host, port }, addressListen: { host, port: 0 }, logLevel: 'silent' }),
  );
  t.after(() => again.close());
  assert.equal((await listOf(om, watcher)).serials.size, 0);
});

test('who asks again for a certificate gets the last one again, until half of its life is over', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  om.clock.advance(-200 * DAY);
  const invitation = await invite(om, { groups: ['a'], expiresSeconds: 300 * 86_400 });
  const node = await joinNode(om, 'n', invitation);
  assert.equal(
    valueOf(await tryJoin(om, invitation, { name: 'n', key: node.key })).certificate,
    node.joined.certificate,
  );
  om.clock.advance(200 * DAY);
  const answers = await Promise.all(Array.from({ length: 40 }, () => node.client.renew()));
  const [renewed = assert.fail(), ...others] = new Set(answers.map((answer) => valueOf(answer).certificate));
  assert.deepEqual(others, [], 'however many ask at once');
  assert.notEqual(renewed, node.joined.certificate);
  assert.equal(valueOf(await tryJoin(om, invitation, { name: 'n', key: node.key })).certificate, renewed);
  assert.equal(valueOf(await om.admin.deleteNode('lab', 'n')).certificates, 2, 'all that were given out are known');
});

test('a node whose certificate is not on record is removed, and it is said until when it is accepted', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  await joinNode(om, 'n');
  await joinNode(om, 'm');
  await om.om.close();
  // As where they joined before certificates were written down, and have been off since.
  const database = valueOf(Database.open(join(om.data, 'om.sqlite')));
  database.run('DELETE FROM certificates');
  database.close();
  const again = await startTestOm(t, om.data);
  const { unlistedUntil, ...rest } = valueOf(await again.admin.deleteNode('lab', 'n'));
  assert.deepEqual(rest, { certificates: 0, revocations: 0 });
  assert.ok(Math.abs((unlistedUntil ?? 0) - (om.clock.wall() + 365 * DAY)) < 60_000);
  again.clock.advance(366 * DAY);
  assert.equal(valueOf(await again.admin.deleteNode('lab', 'm')).unlistedUntil, null, 'it has expired');
});

test('who joins has the list before it shakes hands with anybody', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const first = await joinNode(om, 'g');
  assert.equal(first.joined.revocations, null, 'there is none');
  const { revocations } = valueOf(await om.admin.deleteNode('lab', 'g'));
  const { joined } = await joinNode(om, 'n');
  const list = valueOf(parseRevocationList(joined.revocations?.list ?? '', joined.ca));
  assert.deepEqual([list.number, joined.revocations?.number], [revocations, revocations]);
  assert.deepEqual(list.serials, new Set([serialOf(first.joined.certificate)]));
});

test('a list that could not be signed is signed when it is asked for again', async () => {
  let failures = 1;
  const authority = {
    revocationList: async (number: number) => {
      if (failures-- > 0) throw new Error('no entropy');
      return `list ${number}`;
    },
  };
  const certificates = { number: 7, list: () => ({ number: 7, issuedAt: 0, revocations: [] }) };
  const revocations = new Revocations(authority as never, certificates as never);
  const [first, second] = await Promise.allSettled([revocations.current(), revocations.current()]);
  assert.deepEqual([first.status, second.status], ['rejected', 'rejected'], 'both asked for the same signature');
  assert.deepEqual(await revocations.current(), { number: 7, list: 'list 7' });
});

/** Fills the revocation list with others that are removed, or that left. */
function fillList(database: Database, departed: number, now: number): void {
  database.run('DELETE FROM revocations');
  database.run(
    `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO revocations SELECT printf('%x', 4096 + i), 0, ?, ? FROM n`,
    REVOCATIONS_MAX - 1,
    now + DAY,
    departed,
  );
}

test('a node keeps its groups while its former certificate cannot be revoked', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const invitation = await invite(om, { uses: 9, groups: ['a', 'b'] });
  const node = await joinNode(om, 'n', invitation);
  await om.om.close();
  const database = valueOf(Database.open(join(om.data, 'om.sqlite')));
  fillList(database, 0, om.clock.wall());
  database.close();
  const again = await startTestOm(t, om.data);
  const order = { name: 'n', key: node.key };
  const refused = await tryJoin(again, invitation, { ...order, groups: ['a'] });
  assertFails(refused, 'LIMIT_REACHED', /keeps the groups that it has.*revocation list.*wait/);
  const { groups } = valueOf(await again.admin.listNodes('lab'))[0] ?? assert.fail();
  assert.deepEqual(groups, ['a', 'b'], 'nothing is half done');
  valueOf(await nodeClient(again, node.joined, node.key).self());
  assert.equal(valueOf(await tryJoin(again, invitation, order)).certificate, node.joined.certificate);
});

test('what the list holds is bounded', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  await joinNode(om, 'n');
  await joinNode(om, 'm');
  await om.om.close();

  const database = valueOf(Database.open(join(om.data, 'om.sqlite')));
  const now = om.clock.wall();
  const fill = (departed: number): void => fillList(database, departed, now);
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
  assert.equal(valueOf(database.transaction(() => certificates.revokeAll(n, 'removed', now))), 1);
  assert.equal(certificates.list().revocations.length, REVOCATIONS_MAX);
  fill(0);
  assert.equal(valueOf(database.transaction(() => certificates.revokeAll(m, 'departed', now))), 0, 'it may go');
  database.close();
});
