import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseInvitation } from '../../overlay/invitation.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { createLog } from '../../overlay/lib/log.ts';
import { OM_SERVER_NAME } from '../../overlay/om-api.ts';
import { Attempts, FAILURES_MAX, FAILURES_WINDOW_MS, SOURCES_MAX } from '../attempts.ts';
import { Authority, type ServerName } from '../ca.ts';
import { parseEndpoint, parseOmConfig } from '../config.ts';
import { adminToken, FILES, readLocalAccess } from '../files.ts';
import { Presences } from '../presence.ts';
import { Refusals } from '../refusals.ts';
import { startOm } from '../server.ts';
import { Database } from '../store/database.ts';
import { LowestFree } from '../store/lowest-free.ts';
import { Nodes } from '../store/nodes.ts';
import { Vis } from '../store/vis.ts';
import { assertFails, contactOf, createVi, joinNode, startTestOm, temporaryDirectory, valueOf } from './fixture.ts';

const DAY_MS = 86_400_000;

test('the configuration has defaults and names the field that is wrong', () => {
  assert.deepEqual(valueOf(parseOmConfig(undefined)), {
    listen: { host: '::', port: 4781 },
    data: '/var/lib/p2pxbone/om',
    addressRequestsPerSecond: 200,
    logLevel: 'info',
  });
  const addresses = { addressListen: '[::1]:4000', addressRequestsPerSecond: 7 };
  const all = { listen: '127.0.0.1:0', data: '/d', advertise: 'om.example.org:443', logLevel: 'debug', ...addresses };
  assert.deepEqual(valueOf(parseOmConfig(all)), {
    listen: { host: '127.0.0.1', port: 0 },
    data: '/d',
    addressListen: { host: '::1', port: 4000 },
    addressRequestsPerSecond: 7,
    advertise: { host: 'om.example.org', port: 443 },
    logLevel: 'debug',
  });
  assert.deepEqual(valueOf(parseOmConfig({ advertise: '[2001:db8::1]' })).advertise, { host: '2001:db8::1' });
  for (const [input, field] of [
    [{ listen: '127.0.0.1' }, 'listen'],
    [{ listen: ':::4781' }, 'listen'],
    [{ listen: '1.2.3.4:65536' }, 'listen'],
    [{ listen: '1.2.3.4:65535' }, 'addressListen'],
    [{ addressListen: '1.2.3.4' }, 'addressListen'],
    [{ addressRequestsPerSecond: 0 }, 'addressRequestsPerSecond'],
    [{ advertise: 'a b' }, 'advertise'],
    [{ advertise: 'host:0' }, 'advertise'],
    [{ logLevel: 'loud' }, 'logLevel'],
    [{ data: '' }, 'data'],
    [{ port: 1 }, 'port'],
    [7, 'it'],
  ] as const) {
    assertFails(parseOmConfig(input), 'BAD_CONFIG', new RegExp(`: ${field}`));
  }
});

test('endpoints: whatever is read is written the same way', () => {
  const host = fc.oneof(fc.ipV4(), fc.domain(), fc.constant('::1'), fc.ipV6());
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65_535 }), (host, port) => {
      const text = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      assert.deepEqual(parseEndpoint(text), { host, port });
    }),
  );
});

test('lowest free: as a linear search would find it', () => {
  const capacity = 24;
  const step = fc.record({ count: fc.integer({ min: 0, max: 6 }), frees: fc.array(fc.nat(capacity - 1)) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const free = new LowestFree();
      const taken = new Set<number>();
      for (const { count, frees } of steps) {
        const expected = Array.from({ length: capacity }, (_, index) => index).filter((index) => !taken.has(index));
        const found = free.find('pool', count, capacity, (index) => taken.has(index));
        assert.deepEqual(found, expected.slice(0, count));
        for (const index of found) taken.add(index);
        for (const index of frees) {
          taken.delete(index);
          free.freed('pool', index);
        }
      }
    }),
  );
});

test('lowest free: what is given and freed often is not looked at again and again', () => {
  const [capacity, block] = [100_000, 16];
  const free = new LowestFree();
  const taken = new Set<number>();
  let looks = 0;
  const isTaken = (index: number): boolean => {
    looks++;
    return taken.has(index);
  };
  const take = (): number[] => {
    const found = free.find('pool', block, capacity, isTaken);
    for (const index of found) taken.add(index);
    return found;
  };
  while (take().length > 0);
  assert.equal(taken.size, capacity);
  looks = 0;
  for (let round = 0; round < 1000; round++) {
    const from = (round * 7919) % (capacity - block);
    const leaving = Array.from({ length: block }, (_, index) => from + index);
    for (const index of leaving) {
      taken.delete(index);
      free.freed('pool', index);
    }
    assert.deepEqual(take(), leaving);
    assert.deepEqual(take(), []);
  }
  assert.ok(looks < 1000 * 4 * block, `${looks} looks`);
});

test('failures are counted by IPv4 address and IPv6 /64, in a table of fixed size', () => {
  const attempts = new Attempts();
  const failMany = (address: string): void => {
    for (let i = 0; i < FAILURES_MAX; i++) attempts.failed(address, 0);
  };
  failMany('192.0.2.1');
  assert.ok(attempts.isBlocked('192.0.2.1', 1) && attempts.isBlocked('::ffff:192.0.2.1', 1));
  assert.ok(!attempts.isBlocked('192.0.2.2', 1) && !attempts.isBlocked('::ffff:192.0.2.2', 1));
  failMany('2001:db8:0:1::1');
  assert.ok(attempts.isBlocked('2001:db8:0:1:ffff::9', 1) && !attempts.isBlocked('2001:db8:0:2::1', 1));
  assert.ok(!attempts.isBlocked('192.0.2.1', FAILURES_WINDOW_MS));
  for (let i = 0; i < SOURCES_MAX; i++) attempts.failed(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 2);
  assert.ok(!attempts.isBlocked('192.0.2.1', 3), 'the oldest makes room');
});

test('a heartbeat that cannot be written down does not hold up the others', async (t) => {
  const data = temporaryDirectory(t);
  const om = await startTestOm(t, data);
  await createVi(om);
  const nodes = [await joinNode(om, 'a'), await joinNode(om, 'b'), await joinNode(om, 'c')];
  await om.om.close();
  const database = valueOf(Database.open(join(data, FILES.database)));
  t.after(() => database.close());
  const vi = new Vis(database).byName('lab')?.config ?? assert.fail();
  const stored = new Nodes(database);
  const presences = new Presences(database, createLog('test', 'silent'), 0);
  const beat = { contact: contactOf('x'), member: true };
  for (const [name, incarnation] of [
    ['a', 1],
    ['b', 1e300],
    ['c', 3],
  ] as const) {
    presences.heartbeat(stored.byName(vi, name) ?? assert.fail(), { ...beat, incarnation }, 1000);
  }
  presences.flush(2000);
  const rows = database.all('SELECT incarnation FROM nodes ORDER BY key');
  assert.deepEqual(
    rows.map((row) => row['incarnation']),
    [1, 0, 3],
  );
  const reread = new Presences(database, createLog('test', 'silent'), 2000);
  const asker = stored.byName(vi, 'b') ?? assert.fail();
  assert.equal(reread.bootstrap(asker, 2000).nodes.length, nodes.length - 1);
});

test('refusals are counted by their reason, and told once', () => {
  const refusals = new Refusals();
  assert.equal(refusals.take(), undefined);
  for (const code of ['INVITATION_USED', 'INVITATION_UNKNOWN', 'INVITATION_USED'] as const) refusals.count(code);
  assert.deepEqual(refusals.take(), { INVITATION_USED: 2, INVITATION_UNKNOWN: 1 });
  assert.equal(refusals.take(), undefined);
});

test('the server’s certificate is kept while it serves, and made anew when it does not', async (t) => {
  const data = temporaryDirectory(t);
  const now = systemClock.wall();
  const authority = await Authority.open(data, now);
  const names: ServerName[] = [
    { type: 'ip', value: '127.0.0.1' },
    { type: 'dns', value: 'localhost' },
  ];
  const first = await authority.server(data, names, now);
  assert.deepEqual(await authority.server(data, names, now + DAY_MS), first);
  const leaf = new X509Certificate(first.cert);
  assert.ok(leaf.checkHost(OM_SERVER_NAME) !== undefined && leaf.checkHost('localhost') !== undefined);
  assert.ok(leaf.checkIP('127.0.0.1') !== undefined && leaf.checkIssued(authority.certificate));
  assert.ok(first.cert.endsWith(authority.pem), 'the CA is sent along');
  const wider = await authority.server(data, [...names, { type: 'ip', value: '2001:db8::1' }], now);
  assert.notEqual(wider.cert, first.cert);
  assert.deepEqual(await authority.server(data, names, now), wider, 'more names do no harm');
  const later = await authority.server(data, names, now + 340 * DAY_MS);
  assert.notEqual(later.cert, wider.cert);
  const reopened = await Authority.open(data, now);
  assert.deepEqual(reopened.fingerprint, authority.fingerprint);
  assert.ok(authority.certificate.validToDate.getTime() - now > 19 * 365 * DAY_MS && authority.certificate.ca);
  for (const file of [FILES.caKey, FILES.ca, FILES.server, FILES.serverKey]) {
    assert.equal(statSync(join(data, file)).mode & 0o777, 0o600);
  }
});

test('what the administrator’s command finds on the same machine', async (t) => {
  const empty = temporaryDirectory(t);
  assertFails(readLocalAccess(empty), 'NOT_FOUND', /om start/);
  const om = await startTestOm(t);
  assert.equal(om.access.token, adminToken(om.data));
  assert.equal(om.access.port, om.om.address.port);
});

test('invitations name the advertised endpoint, and a wildcard is none', async (t) => {
  for (const [listen, advertise, expected] of [
    ['127.0.0.1', { host: 'om.example.org', port: 443 }, /^om\.example\.org:443$/],
    ['127.0.0.1', { host: '2001:db8::1' }, /^2001:db8::1:\d+$/],
    ['::', undefined, /^(?!:::|0\.0\.0\.0).+:\d+$/],
  ] as const) {
    const data = temporaryDirectory(t);
    const options = { data, listen: { host: listen, port: 0 }, logLevel: 'silent' as const };
    const om = valueOf(await startOm({ ...options, ...(advertise === undefined ? {} : { advertise }) }));
    t.after(() => om.close());
    const { createOmClient } = await import('../../overlay/om-client.ts');
    const admin = createOmClient(valueOf(readLocalAccess(data)));
    t.after(() => admin.close());
    valueOf(await admin.createVi({ name: 'lab' }));
    const { text } = valueOf(await admin.createInvitation('lab', {}));
    const { host, port } = valueOf(parseInvitation(text));
    assert.match(`${host}:${port}`, expected);
  }
});
