import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createAddressClient } from '../../overlay/address-client.ts';
import { formatInvitation, type Invitation, parseInvitation } from '../../overlay/invitation.ts';
import { createNodeKey } from '../../overlay/node-key.ts';
import { createOmClient, type OmClient } from '../../overlay/om-client.ts';
import { FILES, readLocalAccess } from '../files.ts';
import { startOm } from '../server.ts';
import { assertFails, temporaryDirectory, valueOf } from './fixture.ts';

const PROGRAM = fileURLToPath(new URL('om-process.ts', import.meta.url));

type OmProcess = { readonly child: ChildProcess; readonly port: number; readonly log: () => string };

async function startProcess(t: TestContext, data: string, port = 0, logLevel = 'silent'): Promise<OmProcess> {
  const child = spawn(process.execPath, [PROGRAM, data, String(port), logLevel], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const failed = once(child, 'exit').then(() => assert.fail(`it ended: ${log}`));
  const [line] = (await Promise.race([once(child.stdout, 'data'), failed])) as [Buffer];
  return { child, port: Number(line.toString()), log: () => log };
}

async function kill({ child }: OmProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

function adminOf(t: TestContext, data: string): OmClient {
  const client = createOmClient(valueOf(readLocalAccess(data)));
  t.after(() => client.close());
  return client;
}

async function inviteMany(admin: OmClient): Promise<Invitation> {
  const { text } = valueOf(await admin.createInvitation('lab', { uses: 10_000 }));
  return valueOf(parseInvitation(text));
}

async function join1(t: TestContext, invitation: Invitation, name: string, timeoutMs = 10_000) {
  const { host, port, caFingerprint, vi } = invitation;
  const joiner = createOmClient({ host, port, caFingerprint, timeoutMs });
  t.after(() => joiner.close());
  const key = await createNodeKey(name);
  const secret = Buffer.from(invitation.secret).toString('base64');
  const attempt = () => joiner.join({ vi, secret, name, csr: key.csrPem });
  return { key, attempt };
}

test('kill -9 under load: no address and no pair is given twice, nothing acknowledged is lost', {
  timeout: 30_000,
}, async (t) => {
  const data = temporaryDirectory(t);
  let om = await startProcess(t, data);
  const admin = adminOf(t, data);
  valueOf(await admin.createVi({ name: 'lab' }));
  const invitation = await inviteMany(admin);
  const nodes = await Promise.all(
    Array.from({ length: 4 }, async (_, index) => {
      const { key, attempt } = await join1(t, invitation, `node${index}`);
      const { certificate: certPem, ca: caPem } = valueOf(await attempt());
      const { host, port } = invitation;
      const client = createOmClient({ host, port, caPem, clientCertificate: { certPem, keyPem: key.keyPem } });
      t.after(() => client.close());
      const locate = (): ReturnType<OmClient['addressServer']> => client.addressServer();
      const identity = { certPem, keyPem: key.keyPem };
      const addresses = createAddressClient({ host, caPem, identity, locate, timeoutMs: 5000 });
      t.after(() => addresses.close());
      return {
        addresses,
        held: new Set<number>(),
        perhapsHeld: new Set<number>(),
        unanswered: new Map<string, number>(),
      };
    }),
  );
  const places = new Map<string, string>();
  const load = { on: true };
  let requests = 0;

  const leaseLoad = async (node: (typeof nodes)[number]): Promise<void> => {
    while (load.on) {
      const request = (requests++).toString(16).padStart(16, '0');
      const result = await node.addresses.lease(request, 1 + (requests % 7));
      if (result.ok) for (const pair of result.value) node.held.add(pair);
      else node.unanswered.set(request, 1 + (requests % 7));
      if (node.held.size < 500) continue;
      const some = [...node.held].slice(0, 200);
      const freed = await node.addresses.release(some);
      for (const pair of some) node.held.delete(pair);
      if (!freed.ok) for (const pair of some) node.perhapsHeld.add(pair);
    }
  };
  const joinLoad = async (): Promise<void> => {
    while (load.on) {
      const name = `late${requests++}`;
      const { attempt } = await join1(t, invitation, name, 2000);
      const result = await attempt();
      if (result.ok) places.set(name, result.value.ipv4);
    }
  };

  for (let round = 0; round < 3; round++) {
    load.on = true;
    const loads = [...nodes.map(leaseLoad), joinLoad()];
    const goal = { requests: requests + 60, joins: places.size + 2 };
    while (requests < goal.requests || places.size < goal.joins) await setTimeout(5);
    await kill(om, 'SIGKILL');
    load.on = false;
    await Promise.all(loads);
    om = await startProcess(t, data, om.port);
    for (const node of nodes) {
      for (const [request, count] of node.unanswered) {
        for (const pair of valueOf(await node.addresses.lease(request, count))) node.held.add(pair);
      }
      node.unanswered.clear();
      // Whether a release that was not acknowledged was carried out, only the server knows.
      const kept = valueOf(await node.addresses.keep([...node.held, ...node.perhapsHeld]));
      for (const pair of node.held) assert.ok(kept.includes(pair), `pair ${pair} was acknowledged`);
      node.held = new Set(kept);
      node.perhapsHeld.clear();
      assert.ok(kept.length > 0);
    }
    const all = nodes.flatMap(({ held }) => [...held]);
    assert.equal(new Set(all).size, all.length, 'no pair is held by two nodes');
    const { linkPairsLeased } = valueOf(await admin.showVi('lab'));
    assert.equal(linkPairsLeased, all.length, 'no pair is lost');
  }
  const listed = valueOf(await admin.listNodes('lab'));
  assert.equal(new Set(listed.map(({ ipv4 }) => ipv4)).size, listed.length);
  for (const [name, ipv4] of places) assert.equal(listed.find((node) => node.name === name)?.ipv4, ipv4);
});

test('one overlay manager on a data directory, and one on a port', async (t) => {
  const data = temporaryDirectory(t);
  const om = await startProcess(t, data);
  const listen = { host: '127.0.0.1', port: 0 };
  assertFails(await startOm({ data, listen, logLevel: 'silent' }), 'CONFLICT', /Another overlay manager runs/);
  const elsewhere = temporaryDirectory(t);
  const samePort = { host: '127.0.0.1', port: om.port };
  assertFails(await startOm({ data: elsewhere, listen: samePort, logLevel: 'silent' }), 'CONFLICT', /in use/);
  await kill(om, 'SIGKILL');
  const next = valueOf(
    await startOm({ data, listen: samePort, addressListen: { ...samePort, port: 0 }, logLevel: 'silent' }),
  );
  assertFails(await startOm({ data, listen, logLevel: 'silent' }), 'CONFLICT');
  await next.close();
});

test('a member that was told of is named to newcomers after kill -9', async (t) => {
  const data = temporaryDirectory(t);
  const om = await startProcess(t, data);
  const admin = adminOf(t, data);
  valueOf(await admin.createVi({ name: 'lab' }));
  const invitation = await inviteMany(admin);
  const nodeOf = async (name: string): Promise<{ client: OmClient; id: string }> => {
    const { key, attempt } = await join1(t, invitation, name);
    const joined = valueOf(await attempt());
    const { host, port } = invitation;
    const clientCertificate = { certPem: joined.certificate, keyPem: key.keyPem };
    const client = createOmClient({ host, port, caPem: joined.ca, clientCertificate });
    t.after(() => client.close());
    return { client, id: joined.id };
  };
  const [member, newcomer] = [await nodeOf('member'), await nodeOf('newcomer')];
  const contact = Buffer.from('somewhere').toString('base64');
  valueOf(await member.client.heartbeat({ incarnation: 1, contact, member: true }));
  await kill(om, 'SIGKILL');
  await startProcess(t, data, om.port);
  const told = valueOf(await newcomer.client.bootstrap());
  assert.deepEqual(told, { nodes: [{ id: member.id, incarnation: 1, contact }], found: false });
});

test('SIGTERM ends it cleanly', async (t) => {
  const om = await startProcess(t, temporaryDirectory(t));
  await kill(om, 'SIGTERM');
  assert.equal(om.child.exitCode, 0);
});

test('secrets are in files of mode 0600, and never in the log', async (t) => {
  const data = join(temporaryDirectory(t), 'deeper', 'om');
  const om = await startProcess(t, data, 0, 'trace');
  const { token } = valueOf(readLocalAccess(data));
  const admin = adminOf(t, data);
  valueOf(await admin.createVi({ name: 'lab' }));
  const invitation = await inviteMany(admin);
  const { key, attempt } = await join1(t, invitation, 'n');
  valueOf(await attempt());
  const { attempt: duplicate } = await join1(t, invitation, 'n');
  assertFails(await duplicate(), 'DUPLICATE_NAME');
  const forged = { ...invitation, secret: invitation.secret.map((byte) => byte ^ 0xff) };
  assertFails(await (await join1(t, forged, 'm')).attempt(), 'INVITATION_UNKNOWN');
  const wrong = createOmClient({ ...valueOf(readLocalAccess(data)), token: `${token}x` });
  t.after(() => wrong.close());
  assertFails(await wrong.listVis(), 'UNAUTHENTICATED');
  await kill(om, 'SIGTERM');
  const secrets = [invitation.secret, forged.secret].flatMap((secret) =>
    (['hex', 'base64', 'base64url'] as const).map((encoding) => Buffer.from(secret).toString(encoding)),
  );
  const log = om.log();
  assert.match(log, /a node joined/);
  for (const secret of [token, key.keyPem.split('\n')[1] ?? '', formatInvitation(invitation), ...secrets]) {
    assert.ok(secret.length > 20 && !log.includes(secret), `the log contains ${secret}`);
  }
  assert.doesNotMatch(log, /PRIVATE KEY|Bearer/);
  assert.equal(statSync(data).mode & 0o777, 0o700);
  assert.ok(Buffer.from(token, 'base64url').length === 32);
  for (const file of readdirSync(data)) assert.equal(statSync(join(data, file)).mode & 0o077, 0, file);
});

test('requests of strangers do not fill the log', async (t) => {
  const data = temporaryDirectory(t);
  const om = await startProcess(t, data, 0, 'info');
  valueOf(await adminOf(t, data).createVi({ name: 'lab' }));
  const stranger = createOmClient({ ...valueOf(readLocalAccess(data)), token: 'x' });
  t.after(() => stranger.close());
  const { csrPem: csr } = await createNodeKey('n');
  const linesOf = (): number => om.log().split('\n').length;
  const before = linesOf();
  for (let i = 0; i < 100; i++) {
    assert.equal((await stranger.join({ vi: 'lab', secret: 'AAAA', name: 'n', csr })).ok, false);
    assertFails(await stranger.listVis(), 'UNAUTHENTICATED');
    assertFails(await stranger.self(), 'UNAUTHENTICATED');
  }
  await kill(om, 'SIGTERM');
  assert.ok(linesOf() - before < 20, om.log());
});

test('a data directory whose CA was replaced is refused', async (t) => {
  const data = temporaryDirectory(t);
  const order = { data, listen: { host: '127.0.0.1', port: 0 }, logLevel: 'silent' as const };
  await valueOf(await startOm(order)).close();
  rmSync(join(data, FILES.caKey));
  assertFails(await startOm(order), 'CONFLICT', /restore ca\.pem and ca-key\.pem/);
});

test('a database that is none, or newer, is refused with a sentence', async (t) => {
  const data = temporaryDirectory(t);
  const order = { data, listen: { host: '127.0.0.1', port: 0 }, logLevel: 'silent' as const };
  writeFileSync(join(data, FILES.database), 'this is no database, but long enough to be looked at '.repeat(20));
  assertFails(await startOm(order), 'SYSTEM', /om\.sqlite/);
  rmSync(join(data, FILES.database));
  const { DatabaseSync } = await import('node:sqlite');
  const newer = new DatabaseSync(join(data, FILES.database));
  newer.exec('PRAGMA user_version = 99');
  newer.close();
  assertFails(await startOm(order), 'BAD_VERSION', /newer/);
});
