import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { CONTACT_BYTES_MAX } from '../../overlay/fields.ts';
import { ADDRESS_PAIRS_MAX } from '../../overlay/messages/address.ts';
import { type Bootstrap, LEASE_MS, LEASE_PAIRS_MAX } from '../../overlay/om-api.ts';
import { Authority } from '../ca.ts';
import { LEASE_AFTER_START_MS } from '../store/leases.ts';
import {
  assertFails,
  contactOf,
  createVi,
  invite,
  joinNode,
  nodeClient,
  startTestOm,
  temporaryDirectory,
  tryJoin,
  valueOf,
} from './fixture.ts';

test('a node is known by a certificate of this CA, for a key and a place that are still its own', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const node = await joinNode(om, 'alpha');
  assertFails(await om.client({ caPem: om.access.caPem }).self(), 'UNAUTHENTICATED');
  assertFails(await om.admin.self(), 'UNAUTHENTICATED');
  assertFails(await node.client.listVis(), 'UNAUTHENTICATED');

  const foreign = await Authority.open(temporaryDirectory(t), om.clock.wall());
  const { joined } = node;
  const claims = { vi: joined.vi.id, name: 'alpha', id: joined.id, ipv4: joined.ipv4, groups: [] };
  const publicKey = new X509Certificate(joined.certificate).publicKey.export({ type: 'spki', format: 'der' });
  const order = { claims, ipv6: joined.ipv6, publicKey, days: 1 };
  const certificate = valueOf(await foreign.issue(order, om.clock.wall())).pem;
  assertFails(await nodeClient(om, { ...joined, certificate }, node.key).self(), 'CERTIFICATE_REFUSED');

  assert.equal(valueOf(await node.client.self()).id, joined.id);
  valueOf(await om.admin.deleteNode('lab', 'alpha'));
  const beat = { incarnation: 1, contact: contactOf('x'), member: true };
  assertFails(await node.client.heartbeat(beat), 'NODE_REMOVED', /join again/);
  const namesake = await joinNode(om, 'alpha');
  assert.notEqual(namesake.joined.ipv4, joined.ipv4);
  assertFails(await node.client.self(), 'NODE_REMOVED');
  valueOf(await namesake.client.self());
  valueOf(await om.admin.deleteVi('lab', true));
  assertFails(await namesake.client.heartbeat(beat), 'NODE_REMOVED');
});

test('a certificate ends, and is renewed before', async (t) => {
  const om = await startTestOm(t);
  await createVi(om, 'lab', { certificateDays: 1 });
  // TLS itself looks at the system's clock, so the certificate is issued in the past.
  om.clock.advance(-16 * 3_600_000);
  const node = await joinNode(om, 'alpha');
  om.clock.advance(16 * 3_600_000);
  const { certificate } = valueOf(await node.client.renew());
  om.clock.advance(9 * 3_600_000);
  assertFails(await node.client.self(), 'CERTIFICATE_REFUSED');
  const renewed = nodeClient(om, { ...node.joined, certificate }, node.key);
  assert.equal(valueOf(await renewed.self()).id, node.joined.id);
});

test('bootstrap: one founder, then members that are up', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const invitation = await invite(om, { uses: 20 });
  const [a, b, c] = [
    await joinNode(om, 'a', invitation),
    await joinNode(om, 'b', invitation),
    await joinNode(om, 'c', invitation),
  ];
  const beat = (member: boolean, contact: string, incarnation = 1) => ({
    incarnation,
    contact: contactOf(contact),
    member,
  });
  const recordOfA = { id: a.joined.id, incarnation: 1, contact: contactOf('at-a') };
  assert.deepEqual(valueOf(await a.client.bootstrap()), { nodes: [], found: true });
  assert.deepEqual(valueOf(await b.client.bootstrap()), { nodes: [], found: false }, 'only one may found');
  valueOf(await a.client.heartbeat(beat(false, 'at-a')));
  assert.deepEqual(valueOf(await b.client.bootstrap()), { nodes: [recordOfA], found: false }, 'the founder is told');
  om.clock.advance(10_000);
  assert.equal(valueOf(await a.client.bootstrap()).found, true, 'asking again renews the grant');
  om.clock.advance(10_000);
  assert.equal(valueOf(await b.client.bootstrap()).found, false);
  om.clock.advance(10_000);
  assert.equal(valueOf(await c.client.bootstrap()).found, true, 'a founder that is silent loses the grant');
  valueOf(await c.client.heartbeat(beat(true, 'at-c', 7)));
  const recordOfC = { id: c.joined.id, incarnation: 7, contact: contactOf('at-c') };
  assert.deepEqual(valueOf(await a.client.bootstrap()), { nodes: [recordOfC], found: false });
  assert.equal(valueOf(await c.client.bootstrap()).found, true, 'it is the only member');
  valueOf(await a.client.heartbeat(beat(true, 'at-a')));
  assert.deepEqual(valueOf(await c.client.bootstrap()), { nodes: [recordOfA], found: false });
  assert.equal(valueOf(await b.client.bootstrap()).nodes.length, 2);
  valueOf(await a.client.heartbeat(beat(false, 'at-a')));
  assert.deepEqual(valueOf(await b.client.bootstrap()).nodes, [recordOfC], 'who leaves the ring is not offered');
  valueOf(await c.client.leave());
  om.clock.advance(75_000);
  assert.equal(valueOf(await b.client.bootstrap()).found, true, 'who leaves the VI is not offered');
});

test('bootstrap offers at most eight, never the asker, never a silent node', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const invitation = await invite(om, { uses: 12 });
  const nodes = [];
  for (let i = 0; i < 12; i++) nodes.push(await joinNode(om, `n${i}`, invitation));
  const beat = { incarnation: 1, contact: contactOf('x'), member: true };
  for (const { client } of nodes) valueOf(await client.heartbeat(beat));
  const asker = nodes[0];
  assert.ok(asker !== undefined);
  const offered = new Set<string>();
  for (let i = 0; i < 40; i++) {
    const answer: Bootstrap = valueOf(await asker.client.bootstrap());
    assert.deepEqual([answer.nodes.length, answer.found], [8, false]);
    for (const { id } of answer.nodes) offered.add(id);
  }
  assert.equal(offered.size, 11, 'they are drawn at random, the asker is not among them');
  om.clock.advance(76_000);
  valueOf((await nodes[5]?.client.heartbeat(beat)) ?? assert.fail());
  assert.deepEqual(
    valueOf(await asker.client.bootstrap()).nodes.map(({ id }) => id),
    [nodes[5]?.joined.id],
  );
  assert.equal(valueOf(await om.admin.showVi('lab')).nodesUp, 1);
  const summary = valueOf(await asker.client.nodes()).map(({ heardAt, member }) => [typeof heardAt, member]);
  assert.deepEqual(
    summary,
    Array.from({ length: 12 }, () => ['number', true]),
  );
});

test('a heartbeat carries a contact of the right size', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const { client } = await joinNode(om, 'a');
  const ofBytes = (count: number): string => Buffer.alloc(count).toString('base64');
  for (const contact of [ofBytes(0), ofBytes(CONTACT_BYTES_MAX + 1), 'AAAAA', 'AA=A', '====', 'AA==AAAA', 'AAA-']) {
    assertFails(await client.heartbeat({ incarnation: 1, contact, member: true }), 'BAD_ARGUMENT', /contact/);
  }
  for (let bytes = 1; bytes <= CONTACT_BYTES_MAX; bytes++) {
    valueOf(await client.heartbeat({ incarnation: 1, contact: ofBytes(bytes), member: true }));
  }
});

test('a heartbeat carries an incarnation that can be kept', async (t) => {
  const data = temporaryDirectory(t);
  const om = await startTestOm(t, data);
  await createVi(om);
  const [a, b] = [await joinNode(om, 'a'), await joinNode(om, 'b')];
  const beat = (incarnation: number) => a.client.heartbeat({ incarnation, contact: contactOf('x'), member: true });
  for (const incarnation of [2 ** 53, 2 ** 63, 1e300, -1, 0.5]) {
    assertFails(await beat(incarnation), 'BAD_ARGUMENT', /incarnation/);
  }
  valueOf(await beat(Number.MAX_SAFE_INTEGER));
  await om.om.close();
  const again = await startTestOm(t, data);
  const told = valueOf(await nodeClient(again, b.joined, b.key).bootstrap());
  assert.equal(told.nodes[0]?.incarnation, Number.MAX_SAFE_INTEGER);
});

test('a restart keeps members on offer until they had time to be heard', async (t) => {
  const data = temporaryDirectory(t);
  const first = await startTestOm(t, data);
  await createVi(first);
  const [a, b] = [await joinNode(first, 'a'), await joinNode(first, 'b')];
  valueOf(await a.client.heartbeat({ incarnation: 3, contact: contactOf('at-a'), member: true }));
  await first.om.close();
  const second = await startTestOm(t, data);
  second.clock.advance(0);
  const clientOf = (node: typeof a) => nodeClient(second, node.joined, node.key);
  const told = valueOf(await clientOf(b).bootstrap());
  assert.deepEqual(told, { nodes: [{ id: a.joined.id, incarnation: 3, contact: contactOf('at-a') }], found: false });
  valueOf(await clientOf(a).heartbeat({ incarnation: 4, contact: contactOf('at-a'), member: false }));
  assert.equal(valueOf(await clientOf(b).bootstrap()).found, true, 'the whole VI was started anew');
});

test('leases: lowest first, idempotent, extended, freed, expired', async (t) => {
  const om = await startTestOm(t);
  await createVi(om, 'lab', { linkPool: '10.78.0.0/27' });
  const [a, b, c] = [await joinNode(om, 'a'), await joinNode(om, 'b'), await joinNode(om, 'c')];
  const lease = (node: typeof a, request: string, count: number) =>
    node.addresses.lease(request.padEnd(16, '0'), count);
  const pairs = async (result: ReturnType<typeof lease>): Promise<number[]> => valueOf(await result);
  assert.deepEqual(await pairs(lease(a, '1', 4)), [0, 1, 2, 3]);
  assert.deepEqual(await pairs(lease(b, '1', 4)), [4, 5, 6, 7], 'requests of two nodes are two requests');
  assert.deepEqual(await pairs(lease(a, '1', 4)), [0, 1, 2, 3], 'the same request again');
  valueOf(await a.addresses.release([1, 4, 99]));
  assert.deepEqual(await pairs(lease(b, '2', 2)), [1, 8], 'freed; what another node holds is not');
  assert.deepEqual(valueOf(await a.addresses.keep([3, 8, 77])), [3]);
  assert.deepEqual(await pairs(lease(b, '3', 3)), [0, 2, 9]);
  assert.deepEqual(await pairs(lease(a, '2', 100)), [10, 11, 12, 13, 14, 15], 'as many as there are');
  assertFails(await lease(b, '4', 1), 'POOL_EXHAUSTED');
  assert.equal(valueOf(await om.admin.showVi('lab')).linkPairsLeased, 16);
  om.clock.advance(LEASE_MS - 1000);
  valueOf(await a.addresses.keep([3, 10]));
  om.clock.advance(1001);
  assert.deepEqual(await pairs(lease(b, '5', 3)), [0, 1, 2], 'what was not extended is free again');
  valueOf(await a.client.leave());
  assert.deepEqual(await pairs(lease(b, '6', 2)), [3, 4], 'a node that leaves frees its pairs');
  valueOf(await om.admin.deleteNode('lab', 'b'));
  assert.ok(
    !(await pairs(lease(c, '7', 4))).some((pair) => pair <= 4),
    'a node that was removed may use its pairs still',
  );
});

test('leases: a node holds a limited number, and can keep them all', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const { addresses } = await joinNode(om, 'a');
  for (let i = 0; i < LEASE_PAIRS_MAX / ADDRESS_PAIRS_MAX; i++) {
    valueOf(await addresses.lease(`${i}`.padStart(16, '0'), ADDRESS_PAIRS_MAX));
  }
  assertFails(await addresses.lease('f'.repeat(16), 1), 'LIMIT_REACHED');
  const all = Array.from({ length: LEASE_PAIRS_MAX }, (_, pair) => pair);
  assert.deepEqual(valueOf(await addresses.keep(all)), all);
  assert.deepEqual(valueOf(await addresses.keep(all.filter((pair) => pair % 3 > 0))).length, LEASE_PAIRS_MAX - 1366);
  assert.equal(valueOf(await om.admin.showVi('lab')).linkPairsLeased, LEASE_PAIRS_MAX - 1366);
});

test('leases outlive an outage of the server', async (t) => {
  const data = temporaryDirectory(t);
  const first = await startTestOm(t, data);
  await createVi(first);
  const node = await joinNode(first, 'a');
  first.clock.advance(-LEASE_MS);
  valueOf(await node.addresses.lease('0'.repeat(16), 2));
  await first.om.close();
  const second = await startTestOm(t, data);
  const other = await joinNode(second, 'b');
  assert.deepEqual(valueOf(await other.addresses.lease('0'.repeat(16), 1)), [2]);
  second.clock.advance(LEASE_AFTER_START_MS + 1);
  assert.deepEqual(valueOf(await other.addresses.lease('1'.repeat(16), 1)), [0]);
});

test('a node leaves; it is told so, and its name is free', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const node = await joinNode(om, 'alpha');
  valueOf(await node.client.leave());
  assertFails(await node.client.leave(), 'NODE_REMOVED');
  assert.deepEqual(valueOf(await om.admin.listNodes('lab')), []);
  valueOf(await tryJoin(om, await invite(om), { name: 'alpha' }));
});

test('a heartbeat tells when nodes have come or gone or changed their groups, and only then', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  await createVi(om, 'other');
  const watcher = await joinNode(om, 'w');
  const beat = { incarnation: 1, contact: contactOf('w'), member: true };
  const tell = async (): Promise<number> => valueOf(await watcher.client.heartbeat(beat)).directory;
  let last = await tell();
  const assertOther = async (what: string): Promise<void> => {
    const now = await tell();
    assert.notEqual(now, last, what);
    last = now;
    assert.equal(await tell(), last, 'and then it stays');
  };
  assert.equal(await tell(), last);
  const joined = await joinNode(om, 'a', await invite(om, { groups: ['web'] }));
  await assertOther('a node has joined');
  valueOf(await tryJoin(om, await invite(om, { groups: ['db'] }), { name: 'a', key: joined.key }));
  await assertOther('a node has other groups');
  valueOf(await om.admin.deleteNode('lab', 'a'));
  await assertOther('a node was removed');
  const leaver = await joinNode(om, 'l');
  await assertOther('another has joined');
  valueOf(await leaver.client.leave());
  await assertOther('a node has left');
  await joinNode(om, 'elsewhere', await invite(om, {}, 'other'));
  assert.equal(await tell(), last, 'other VIs are their own');
});
