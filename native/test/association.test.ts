/** DTLS associations between data planes through the addon: what JavaScript asks and hears. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { X509Certificate } from '../../overlay/lib/x509.ts';
import type { AssociationHandle, NativeEvent } from '../index.ts';
import { makeCa, type TestCa } from './certificates.ts';
import { eventually, type OpenPlane, openPlane, unwrap } from './lab.ts';

const VI = 'vi-lab.p2pxbone.internal';

async function openWithCredential(t: TestContext, ca: TestCa, name: string, address = '127.0.0.1'): Promise<OpenPlane> {
  const open = openPlane(t, address);
  unwrap(open.plane.setCredential({ serverName: VI, ...(await ca.issue(name)) }));
  return open;
}

function eventOf<Type extends NativeEvent['type']>(
  open: OpenPlane,
  type: Type,
): Extract<NativeEvent, { type: Type }> | undefined {
  return open.events.find((event): event is Extract<NativeEvent, { type: Type }> => event.type === type);
}

async function up(open: OpenPlane): Promise<Extract<NativeEvent, { type: 'association.up' }>> {
  return eventually('association.up', () => eventOf(open, 'association.up'));
}

for (const address of ['127.0.0.1', '::1']) {
  test(`two data planes associate over ${address} and exchange messages both ways`, async (t) => {
    const ca = await makeCa();
    const a = await openWithCredential(t, ca, 'node-a', address);
    const b = await openWithCredential(t, ca, 'node-b', address);
    const handle = unwrap(a.plane.associate(b.at, VI));
    assert.equal(unwrap(a.plane.associate(b.at, VI)), handle, 'one association per endpoint');
    const atA = await up(a);
    const atB = await up(b);
    assert.equal(atA.association, handle);
    assert.equal(atA.role, 'client');
    assert.equal(atB.role, 'server');
    assert.equal(atB.serverName, VI);
    assert.deepEqual(atA.peer, b.at);
    assert.deepEqual(atB.peer, a.at);
    const certificateOf = (der: Uint8Array) => new X509Certificate(Uint8Array.from(der)).subject;
    assert.equal(certificateOf(atA.peerCertificate), 'CN=node-b');
    assert.equal(certificateOf(atB.peerCertificate), 'CN=node-a');

    const long = Uint8Array.from({ length: 1100 }, (_, index) => (index === 0 ? 0x80 : index & 0xff));
    unwrap(a.plane.send(handle, long));
    unwrap(b.plane.send(atB.association, Uint8Array.of(0xff, 1, 2)));
    assert.deepEqual((await eventually('a message at b', () => eventOf(b, 'control'))).message, long);
    assert.deepEqual(
      (await eventually('a message at a', () => eventOf(a, 'control'))).message,
      Uint8Array.of(0xff, 1, 2),
    );

    const mtu = await eventually('a path MTU', () => eventOf(a, 'association.mtu'));
    assert.ok(mtu.payloadBytesMax >= 1200 && mtu.payloadBytesMax <= 1472, `${mtu.payloadBytesMax}`);
    await eventually('a round-trip time', () => (a.plane.counters().associations[0]?.rttMs ?? null) !== null);
    const [row] = a.plane.counters().associations;
    assert.equal(row?.state, 'up');
    assert.deepEqual(row?.peer, b.at);

    a.plane.closeAssociation(handle);
    assert.equal((await eventually('down at a', () => eventOf(a, 'association.down'))).reason, 'closed');
    assert.equal((await eventually('down at b', () => eventOf(b, 'association.down'))).reason, 'peer-closed');
    const late = a.plane.send(handle, Uint8Array.of(0x80));
    assert.equal(late.ok, false);
  });
}

test('both ends start at once: each hears of exactly one association', async (t) => {
  const ca = await makeCa();
  const a = await openWithCredential(t, ca, 'node-a');
  const b = await openWithCredential(t, ca, 'node-b');
  unwrap(a.plane.associate(b.at, VI));
  unwrap(b.plane.associate(a.at, VI));
  const atA = await up(a);
  const atB = await up(b);
  assert.notEqual(atA.role, atB.role);
  unwrap(a.plane.send(atA.association, Uint8Array.of(0x81)));
  await eventually('a message', () => eventOf(b, 'control'));
  for (const open of [a, b]) {
    assert.equal(open.events.filter((event) => event.type === 'association.up').length, 1);
    assert.equal(open.plane.counters().associations.length, 1);
  }
});

test('a certificate of another authority is refused', async (t) => {
  const a = await openWithCredential(t, await makeCa(), 'node-a');
  const b = await openWithCredential(t, await makeCa(), 'node-b');
  unwrap(a.plane.associate(b.at, VI));
  assert.equal((await eventually('refusal', () => eventOf(a, 'association.down'))).reason, 'handshake-refused');
  assert.equal(eventOf(a, 'association.up'), undefined);
  assert.equal(eventOf(b, 'association.up'), undefined);
});

test('a peer that closes its data plane says goodbye', async (t) => {
  const ca = await makeCa();
  const a = await openWithCredential(t, ca, 'node-a');
  const b = await openWithCredential(t, ca, 'node-b');
  unwrap(a.plane.associate(b.at, VI));
  await up(a);
  await up(b);
  b.plane.close();
  assert.equal((await eventually('goodbye', () => eventOf(a, 'association.down'))).reason, 'peer-closed');
});

test('datagrams of strangers are counted, and nothing comes back', async (t) => {
  const ca = await makeCa();
  const a = await openWithCredential(t, ca, 'node-a');
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  const answers: Buffer[] = [];
  socket.on('message', (message) => answers.push(message));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const datagrams = [[], [0, 1], [8, 0], [22, 1, 2, 3], [64], [255, 255]].map((bytes) => Uint8Array.from(bytes));
  for (const datagram of datagrams) socket.send(datagram, a.at.port, a.at.address);
  const dropped = () => Object.values(a.plane.counters().drops).reduce((sum, count) => sum + count, 0n);
  await eventually('six drops', () => dropped() === 6n);
  assert.deepEqual(answers, []);
});

test('arguments are checked, with a sentence', async (t) => {
  const ca = await makeCa();
  const a = await openWithCredential(t, ca, 'node-a');
  const codeOf = (result: { ok: boolean; code?: string }) => (result.ok ? 'ok' : result.code);
  assert.equal(codeOf(a.plane.bind({ address: '127.0.0.1', port: 0 })), 'CONFLICT');
  assert.equal(codeOf(a.plane.associate({ address: 'localhost', port: 1 }, VI)), 'BAD_ARGUMENT');
  assert.equal(codeOf(a.plane.associate({ address: '127.0.0.1', port: 0 }, VI)), 'BAD_ARGUMENT');
  assert.equal(codeOf(a.plane.associate({ address: '127.0.0.1', port: 9 }, 'other')), 'NOT_FOUND');
  assert.equal(codeOf(a.plane.send(99 as AssociationHandle, Uint8Array.of(0x80))), 'NOT_FOUND');
  assert.equal(codeOf(a.plane.send(99 as AssociationHandle, Uint8Array.of(0x7f))), 'BAD_ARGUMENT');
  assert.equal(codeOf(a.plane.send(99 as AssociationHandle, new Uint8Array(1101).fill(0x80))), 'BAD_ARGUMENT');
  const credential = await ca.issue('x');
  const other = await ca.issue('y');
  const mixed = a.plane.setCredential({ serverName: 'mixed', ...credential, privateKeyPem: other.privateKeyPem });
  assert.equal(codeOf(mixed), 'CERTIFICATE_REFUSED');
});
