import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createNodeKey } from '../../overlay/node-key.ts';
import { GIVE_BACK_MS } from '../../overlay/om-api.ts';
import { CLOCK_SKEW_MS } from '../ca.ts';
import { FILES } from '../files.ts';
import { GIVEN_BACK_MAX } from '../store/invitations.ts';
import { MIGRATIONS } from '../store/schema.ts';
import {
  addressClient,
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

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Between the steps of a test; more than the test takes. */
const MARGIN_MS = 120_000;

const SMALL = { ipv4Pool: '10.9.0.0/29', certificateDays: 1 };

async function fill(om: TestOm): Promise<{ nodes: TestNode[]; join: (name: string) => Promise<TestNode> }> {
  await createVi(om, 'lab', SMALL);
  const invitation = await invite(om, { uses: 100, expiresSeconds: 30 * 86_400 });
  const join = (name: string): Promise<TestNode> => joinNode(om, name, invitation);
  const nodes = [];
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) nodes.push(await join(name));
  return { nodes, join };
}

async function heldBack(om: TestOm): Promise<number> {
  return valueOf(await om.admin.showVi('lab')).placesHeldBack;
}

test('a place is held back until the certificates for it have expired', async (t) => {
  const om = await startTestOm(t);
  const { nodes, join } = await fill(om);
  valueOf(await om.admin.deleteNode('lab', 'b'));
  om.clock.advance(HOUR_MS);
  valueOf((await nodes[3]?.client.leave()) ?? assert.fail());
  assert.equal(await heldBack(om), 2);
  const open = await invite(om);
  const first = new Date(om.clock.wall() + 23 * HOUR_MS).toISOString().slice(0, 10);
  const full = new RegExp(
    `10\\.9\\.0\\.0/29 .*held back: 2 of nodes that left, .*the first on ${first}.*, the last on`,
  );
  assertFails(await tryJoin(om, open, { name: 'g' }), 'POOL_EXHAUSTED', full);
  om.clock.advance(23 * HOUR_MS);
  assertFails(await tryJoin(om, await invite(om), { name: 'g' }), 'POOL_EXHAUSTED');
  om.clock.advance(CLOCK_SKEW_MS + MARGIN_MS);
  assert.equal((await join('g')).joined.ipv4, '10.9.0.2');
  assert.equal((await join('h')).joined.ipv4, '10.9.0.4');
  assert.equal(await heldBack(om), 0);
});

test('a renewed certificate, or one of a repeated join, holds the place for as long as it is valid', async (t) => {
  const om = await startTestOm(t);
  const { nodes } = await fill(om);
  const [a, b] = nodes as [TestNode, TestNode];
  om.clock.advance(16 * HOUR_MS);
  valueOf(await a.client.renew());
  valueOf(await tryJoin(om, await invite(om), { name: 'b', key: b.key }));
  valueOf(await a.client.leave());
  valueOf(await om.admin.deleteNode('lab', 'b'));
  om.clock.advance(8 * HOUR_MS + CLOCK_SKEW_MS + MARGIN_MS);
  assertFails(await tryJoin(om, await invite(om), { name: 'g' }), 'POOL_EXHAUSTED', /held back: 2/);
  om.clock.advance(16 * HOUR_MS);
  assert.equal((await joinNode(om, 'g')).joined.ipv4, '10.9.0.1');
});

test('a node that left returns to its place, also after a restart, and nobody else gets it', async (t) => {
  const data = temporaryDirectory(t);
  const before = await startTestOm(t, data);
  const { nodes } = await fill(before);
  const [, b, , d] = nodes as [TestNode, TestNode, TestNode, TestNode];
  valueOf(await b.client.leave());
  valueOf(await before.admin.deleteNode('lab', 'd'));
  await before.om.close();
  const om = await startTestOm(t, data);
  assert.equal(await heldBack(om), 2);
  assertFails(await tryJoin(om, await invite(om), { name: 'b' }), 'POOL_EXHAUSTED', /held back: 2/);
  assertFails(await tryJoin(om, await invite(om), { name: 'x', key: b.key }), 'POOL_EXHAUSTED');
  for (const node of [d, b]) {
    const { name, ipv4, id } = node.joined;
    const back = valueOf(await tryJoin(om, await invite(om), { name, key: node.key }));
    assert.deepEqual([back.ipv4, back.id, back.returning], [ipv4, id, false]);
    valueOf(await nodeClient(om, back, node.key).self());
  }
  assert.equal(await heldBack(om), 0);
  const ids = valueOf(await om.admin.listNodes('lab')).map(({ id }) => id);
  assert.equal(new Set(ids).size, 6);
});

test('a return to a high place leaves the lower ones free', async (t) => {
  const data = temporaryDirectory(t);
  const before = await startTestOm(t, data);
  await createVi(before, 'lab', SMALL);
  const nodes = [await joinNode(before, 'a'), await joinNode(before, 'b'), await joinNode(before, 'c')];
  for (const { client } of nodes) valueOf(await client.leave());
  await before.om.close();
  const om = await startTestOm(t, data);
  valueOf(await tryJoin(om, await invite(om), { name: 'c', key: nodes[2]?.key ?? assert.fail() }));
  om.clock.advance(DAY_MS + CLOCK_SKEW_MS + MARGIN_MS);
  assert.equal((await joinNode(om, 'd')).joined.ipv4, '10.9.0.1');
  assert.equal((await joinNode(om, 'e')).joined.ipv4, '10.9.0.2');
});

test('deleting a VI frees what it held back', async (t) => {
  const om = await startTestOm(t);
  const { nodes } = await fill(om);
  for (const { client } of nodes) valueOf(await client.leave());
  assert.deepEqual([valueOf(await om.admin.showVi('lab')).nodes, await heldBack(om)], [0, 6]);
  valueOf(await om.admin.deleteVi('lab'));
  const database = new DatabaseSync(join((await closed(om)).data, FILES.database));
  for (const table of ['nodes', 'held_places', 'invitations', 'lease_blocks', 'founders']) {
    assert.equal(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n'], 0, table);
  }
  database.close();
  const again = await startTestOm(t, om.data);
  assert.equal((await fill(again)).nodes.at(-1)?.joined.ipv4, '10.9.0.6');
});

test('a VI that an earlier release made has the security of the defaults', async (t) => {
  const om = await startTestOm(t);
  await createVi(om, 'lab', { security: { policy: 'always', ciphers: ['chacha20-poly1305'], rekeySeconds: 10 } });
  const made = valueOf(await om.admin.showVi('lab')).config.definition;
  assert.deepEqual(made.security, { policy: 'always', ciphers: ['chacha20-poly1305'], rekeySeconds: 10 });
  const database = new DatabaseSync(join((await closed(om)).data, FILES.database));
  const { security: _, ...earlier } = made;
  database.prepare('UPDATE vis SET definition = ?').run(JSON.stringify(earlier));
  database.close();
  const again = await startTestOm(t, om.data);
  assert.equal(valueOf(await again.admin.showVi('lab')).config.definition.security.policy, 'groups');
  assert.equal((await joinNode(again, 'n')).joined.vi.definition.security.rekeySeconds, 3600);
});

async function closed(om: TestOm): Promise<TestOm> {
  await om.om.close();
  return om;
}

test('a node that never came up gives its use of the invitation back', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const order = { expiresSeconds: 86_400 };
  const invitation = await invite(om, order);
  const beat = (member: boolean) => ({ incarnation: 1, contact: contactOf('x'), member });
  const failed = await joinNode(om, 'a', invitation);
  valueOf(await failed.client.heartbeat(beat(false)));
  assertFails(await tryJoin(om, invitation, { name: 'b' }), 'INVITATION_USED');
  valueOf(await failed.client.leave());
  const second = valueOf(await tryJoin(om, invitation, { name: 'a', key: failed.key }));
  assert.equal(second.ipv4, failed.joined.ipv4);

  const came = nodeClient(om, second, failed.key);
  valueOf(await came.heartbeat(beat(true)));
  valueOf(await came.heartbeat(beat(false)));
  valueOf(await came.leave());
  assertFails(await tryJoin(om, invitation, { name: 'c' }), 'INVITATION_USED');

  const removed = await invite(om, order);
  await joinNode(om, 'f', removed);
  valueOf(await om.admin.deleteNode('lab', 'f'));
  assertFails(await tryJoin(om, removed, { name: 'g' }), 'INVITATION_USED');

  const revoked = await invite(om, order);
  const revokedNode = await joinNode(om, 'h', revoked);
  valueOf(await om.admin.revokeInvitation('lab', revoked.id));
  valueOf(await revokedNode.client.leave());
  const listed = valueOf(await om.admin.listInvitations('lab')).find(({ id }) => id === revoked.id);
  assert.deepEqual([listed?.state, listed?.usesLeft], ['revoked', 0]);

  const late = await invite(om, order);
  const lateNode = await joinNode(om, 'd', late);
  om.clock.advance(GIVE_BACK_MS);
  valueOf(await lateNode.client.leave());
  assertFails(await tryJoin(om, late, { name: 'e' }), 'INVITATION_USED');
});

test('an invitation gets a limited number of uses back', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const invitation = await invite(om);
  for (let time = 0; time <= GIVEN_BACK_MAX; time++) {
    const node = await joinNode(om, `n${time}`, invitation);
    const results = await Promise.all([node.client.leave(), node.client.leave()]);
    assert.deepEqual(results.map((result) => (result.ok ? 'ok' : result.code)).sort(), ['NODE_REMOVED', 'ok']);
  }
  assertFails(await tryJoin(om, invitation, { name: 'more' }), 'INVITATION_USED');
});

test('a database of the first schema, with a number too large to be read, is taken over', async (t) => {
  const data = temporaryDirectory(t);
  const before = await startTestOm(t, data);
  await createVi(before, 'lab', SMALL);
  const [a, b] = [await joinNode(before, 'a'), await joinNode(before, 'b')];
  const beat = { incarnation: 1, contact: contactOf('x'), member: true };
  for (const { client } of [a, b]) valueOf(await client.heartbeat(beat));
  const requests = ['1'.repeat(16), '2'.repeat(16)] as const;
  for (const request of requests) valueOf(await a.addresses.lease(request, 3));
  valueOf(await a.addresses.release([1]));
  await before.om.close();
  const path = join(data, FILES.database);
  toFirstSchema(path);
  const database = new DatabaseSync(path);
  database.exec("UPDATE nodes SET incarnation = 9007199254740992 WHERE name = 'a'");
  database.exec("UPDATE nodes SET contact = '?' WHERE name = 'b'");
  database.close();

  const om = await startTestOm(t, data);
  const clientOf = (node: TestNode) => nodeClient(om, node.joined, node.key);
  const addresses = addressClient(om, a.joined, a.key, clientOf(a));
  assert.deepEqual(valueOf(await addresses.lease(requests[0], 3)), [0, 2], 'leases are taken over');
  assert.deepEqual(valueOf(await addresses.lease(requests[1], 3)), [3, 4, 5]);
  assert.deepEqual(valueOf(await addresses.lease('3'.repeat(16), 2)), [1, 6]);
  assert.deepEqual(valueOf(await clientOf(a).bootstrap()), { nodes: [], found: true }, 'what cannot be told is not');
  assert.equal(valueOf(await om.admin.listNodes('lab')).length, 2);
  for (const node of [a, b]) valueOf(await clientOf(node).heartbeat(beat));
  assert.equal(valueOf(await clientOf(a).bootstrap()).nodes[0]?.id, b.joined.id);
  valueOf(await clientOf(a).leave());
  om.clock.advance(DAY_MS);
  assert.equal(await heldBack(om), 1);
  om.clock.advance(DAY_MS + CLOCK_SKEW_MS + MARGIN_MS);
  assert.equal((await joinNode(om, 'c')).joined.ipv4, '10.9.0.1');
});

/** Copies what the first schema had into a database of that schema. */
function toFirstSchema(path: string): void {
  const database = new DatabaseSync(path);
  // A pair was a row.
  const columns = 'vi, value AS pair, node, request, expires_at';
  database.exec(
    `CREATE TABLE leases AS SELECT ${columns} FROM lease_blocks, json_each(pairs); DROP TABLE lease_blocks`,
  );
  database.exec('PRAGMA foreign_keys = OFF; DROP TABLE held_places; DROP TABLE certificates; DROP TABLE revocations');
  const tables = ['meta', 'vis', 'invitations', 'nodes', 'founders', 'leases'];
  const model = new DatabaseSync(':memory:');
  model.exec(MIGRATIONS[0] ?? assert.fail());
  for (const table of tables) {
    const columns = model
      .prepare(`PRAGMA table_info(${table})`)
      .all()
      .map((row) => String(row['name']));
    database.exec(`CREATE TABLE old_${table} AS SELECT ${columns.join(', ')} FROM ${table}; DROP TABLE ${table}`);
  }
  database.exec(MIGRATIONS[0] ?? assert.fail());
  for (const table of tables) {
    database.exec(`INSERT INTO ${table} SELECT * FROM old_${table}; DROP TABLE old_${table}`);
  }
  database.exec('PRAGMA user_version = 1');
  model.close();
  database.close();
}

test('a name is free at once, and its place is not', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const first = await joinNode(om, 'alpha');
  valueOf(await first.client.leave());
  const second = await joinNode(om, 'alpha');
  assert.notEqual(second.joined.id, first.joined.id);
  assertFails(await tryJoin(om, await invite(om), { name: 'alpha', key: first.key }), 'DUPLICATE_NAME');
  const other = await createNodeKey('beta');
  valueOf(await tryJoin(om, await invite(om), { name: 'beta', key: other }));
});
