/** The data plane against the openssl command, both as client and as server: what is on the wire is DTLS 1.2. */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { AssociationHandle, Cipher, NativeEvent } from '../index.ts';
import { makeCa, type TestCa } from './certificates.ts';
import { eventually, type OpenPlane, openPlane, unwrap } from './lab.ts';

const VI = 'vi-lab.p2pxbone.internal';
const SUITES: Readonly<Record<Cipher, string>> = {
  'aes-128-gcm': 'ECDHE-ECDSA-AES128-GCM-SHA256',
  'aes-256-gcm': 'ECDHE-ECDSA-AES256-GCM-SHA384',
  'chacha20-poly1305': 'ECDHE-ECDSA-CHACHA20-POLY1305',
};

type Openssl = { readonly child: ChildProcessWithoutNullStreams; output(): Buffer; complaints(): string };

/** Runs `openssl tool` with a certificate of the authority; killed with the test. */
async function openssl(t: TestContext, ca: TestCa, tool: string, more: readonly string[]): Promise<Openssl> {
  const folder = await mkdtemp(join(tmpdir(), 'p2pxbone-openssl-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const identity = await ca.issue('openssl');
  const files = { certificate: identity.certificatePem, key: identity.privateKeyPem, ca: ca.pem };
  for (const [name, pem] of Object.entries(files)) await writeFile(join(folder, `${name}.pem`), pem);
  const own = ['-cert', join(folder, 'certificate.pem'), '-key', join(folder, 'key.pem')];
  const trust = ['-CAfile', join(folder, 'ca.pem'), '-verify_return_error'];
  const child = spawn('openssl', [tool, '-dtls1_2', '-quiet', '-mtu', '1200', ...own, ...trust, ...more]);
  t.after(() => child.kill('SIGKILL'));
  const chunks: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  child.stdin.on('error', () => undefined);
  return { child, output: () => Buffer.concat(chunks), complaints: () => Buffer.concat(errors).toString() };
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

function eventOf<Type extends NativeEvent['type']>(
  open: OpenPlane,
  type: Type,
): Extract<NativeEvent, { type: Type }> | undefined {
  return open.events.find((event): event is Extract<NativeEvent, { type: Type }> => event.type === type);
}

/** A keep-alive and a control message, each way. */
async function converse(open: OpenPlane, peer: Openssl, association: AssociationHandle): Promise<void> {
  unwrap(open.plane.send(association, Buffer.from('\u0080greeting', 'latin1')));
  await eventually('a greeting at openssl', () => peer.output().includes('greeting'));
  // Each write of openssl's input is a record.
  peer.child.stdin.write(Uint8Array.of(1, 7, 7, 7, 7, 7, 7, 7, 7));
  await eventually('the answer to a keep-alive', () => peer.output().includes(Buffer.of(2, 7, 7, 7, 7, 7, 7, 7, 7)));
  peer.child.stdin.write(Buffer.from('\u0081reply', 'latin1'));
  const heard = await eventually('a control message', () => eventOf(open, 'control'));
  assert.equal(Buffer.from(heard.message).toString('latin1'), '\u0081reply');
  assert.equal(heard.association, association);
  const { drops } = open.plane.counters();
  assert.equal(drops.dtlsRecordBad + drops.dtlsContentUnknown + drops.recordReplayed, 0n);
}

async function openWithCredential(t: TestContext, ca: TestCa): Promise<OpenPlane> {
  const open = openPlane(t, '127.0.0.1', { keepAliveMs: 1000, silenceMs: 60_000 });
  unwrap(open.plane.setCredential({ serverName: VI, ...(await ca.issue('node')) }));
  return open;
}

for (const [cipher, suite] of Object.entries(SUITES)) {
  test(`openssl s_client joins with ${cipher}`, async (t) => {
    const ca = await makeCa();
    const open = await openWithCredential(t, ca);
    const to = ['-connect', `127.0.0.1:${open.at.port}`, '-servername', VI, '-cipher', suite];
    const peer = await openssl(t, ca, 's_client', to);
    const up = await eventually('association.up', () => eventOf(open, 'association.up'));
    assert.equal(up.role, 'server');
    assert.equal(up.serverName, VI);
    assert.equal(open.plane.counters().associations[0]?.cipher, cipher);
    await converse(open, peer, up.association);
    peer.child.stdin.end();
    peer.child.kill('SIGINT');
  });

  test(`openssl s_server is joined with ${cipher}`, async (t) => {
    const ca = await makeCa();
    const open = await openWithCredential(t, ca);
    const port = await freePort();
    const peer = await openssl(t, ca, 's_server', ['-accept', String(port), '-4', '-Verify', '2', '-cipher', suite]);
    const association = unwrap(open.plane.associate({ address: '127.0.0.1', port }, VI));
    const up = await eventually('association.up', () => eventOf(open, 'association.up'));
    assert.equal(up.role, 'client');
    assert.equal(up.association, association);
    assert.equal(open.plane.counters().associations[0]?.cipher, cipher);
    await converse(open, peer, association);
  });
}

test('openssl without a certificate of the authority is refused', async (t) => {
  const open = await openWithCredential(t, await makeCa());
  const to = ['-connect', `127.0.0.1:${open.at.port}`, '-servername', VI];
  const peer = await openssl(t, await makeCa(), 's_client', to);
  await eventually('an end', () => peer.child.exitCode !== null || peer.complaints().includes('alert'));
  await eventually('an end here too', () => open.plane.counters().associations.length === 0);
  assert.equal(eventOf(open, 'association.up'), undefined);
});
