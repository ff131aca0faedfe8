import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { openSealed, sealKey, sealMessage } from '../../overlay/address-seal.ts';
import { encodeFrame } from '../../overlay/frames.ts';
import {
  ADDRESS_BYTES_MAX,
  fromAddressServerCodec,
  type ToAddressServer,
  toAddressServerCodec,
} from '../../overlay/messages/address.ts';
import { createNodeKey } from '../../overlay/node-key.ts';
import { OM_SERVER_NAME } from '../../overlay/om-api.ts';
import type { AddressTransport } from '../../overlay/vi.ts';
import { INTRODUCTION_MS, STREAMS_PER_CALLER_MAX } from '../addresses/streams.ts';
import { Authority, keyOfCsr } from '../ca.ts';
import { Wire } from './address-wire.ts';
import {
  addressClient,
  assertFails,
  createVi,
  joinNode,
  nodeClient,
  startTestOm,
  type TestNode,
  type TestOm,
  temporaryDirectory,
  valueOf,
} from './fixture.ts';

const TRANSPORTS: readonly AddressTransport[] = ['udp', 'tcp', 'tls'];
const DAY_MS = 86_400_000;
const ORDER = { version: 1 } as const;
const REQUEST = new Uint8Array(8).fill(1);
const REQUEST_HEX = '01'.repeat(8);

async function viOf(t: TestContext, transport: AddressTransport): Promise<TestOm> {
  const om = await startTestOm(t);
  await createVi(om, 'lab', { addressServer: { transport } });
  return om;
}

async function leased(om: TestOm): Promise<number> {
  return valueOf(await om.admin.showVi('lab')).linkPairsLeased;
}

for (const transport of TRANSPORTS) {
  test(`${transport}: leases, keeps and releases; a node that was removed is told so`, async (t) => {
    const om = await viOf(t, transport);
    const [a, b] = [await joinNode(om, 'a'), await joinNode(om, 'b')];
    assert.equal(valueOf(await a.client.addressServer()).secret === null, transport === 'tls');
    const [first, second] = await Promise.all([
      a.addresses.lease(REQUEST_HEX, 3),
      a.addresses.lease('2'.repeat(32), 2),
    ]);
    assert.deepEqual(
      [valueOf(first), valueOf(second)],
      [
        [0, 1, 2],
        [3, 4],
      ],
    );
    assert.deepEqual(valueOf(await b.addresses.lease(REQUEST_HEX, 1)), [5]);
    assert.deepEqual(valueOf(await a.addresses.lease(REQUEST_HEX, 3)), [0, 1, 2]);
    assert.deepEqual(valueOf(await a.addresses.keep([0, 4, 5])), [0, 4]);
    valueOf(await a.addresses.release([4, 5]));
    assert.equal(await leased(om), 2);
    valueOf(await om.admin.deleteNode('lab', 'a'));
    assertFails(await a.addresses.lease('3'.repeat(16), 1), 'NODE_REMOVED');
    assert.equal(await leased(om), 2, 'what a removed node uses is not given to others yet');
    valueOf(await b.client.leave());
    assertFails(await b.addresses.release([5]), 'NODE_REMOVED');
    valueOf(await om.admin.deleteVi('lab', true));
    assertFails(await b.addresses.release([5]), 'NODE_REMOVED');
  });

  test(`${transport}: an ask survives a restart of the server on another port`, async (t) => {
    const data = temporaryDirectory(t);
    const before = await startTestOm(t, data);
    await createVi(before, 'lab', { addressServer: { transport } });
    const node = await joinNode(before, 'a');
    assert.deepEqual(valueOf(await node.addresses.lease(REQUEST_HEX, 2)), [0, 1]);
    const { port } = before.access;
    await before.om.close();
    assertFails(await node.addresses.lease('2'.repeat(16), 2), 'OM_UNREACHABLE');
    const after = await startTestOm(t, data, { listen: { host: '127.0.0.1', port } });
    assert.deepEqual(valueOf(await node.addresses.lease('2'.repeat(16), 2)), [2, 3]);
    assert.deepEqual(valueOf(await node.addresses.lease(REQUEST_HEX, 2)), [0, 1]);
    assert.equal(await leased(after), 4);
  });
}

test('a VI’s nodes are served by its own transport only', async (t) => {
  const om = await viOf(t, 'udp');
  const node = await joinNode(om, 'a');
  const { port, secret } = valueOf(await node.client.addressServer());
  for (const transport of ['tcp', 'tls'] as const) {
    const other = addressClient(om, node.joined, node.key, {
      ...node.client,
      addressServer: async () => ({ ok: true, value: { transport, port, secret } }),
    });
    assertFails(await other.lease(REQUEST_HEX, 1), 'NOT_PERMITTED');
  }
  assert.equal(await leased(om), 0);
});

test('a lost answer costs nothing: the same request again gets the same pairs', async (t) => {
  const om = await viOf(t, 'udp');
  const wire = await Wire.of(t, await joinNode(om, 'a'));
  const epoch = await wire.epoch();
  const lease = (counter: number) => wire.ask({ t: 'lease', ...ORDER, epoch, counter, request: REQUEST, count: 4 });
  assert.deepEqual(await lease(7), { t: 'leased', counter: 7, pairs: [0, 1, 2, 3] });
  assert.deepEqual(await lease(8), { t: 'leased', counter: 8, pairs: [0, 1, 2, 3] });
  assert.equal(await leased(om), 4);
  const release = (counter: number) => wire.ask({ t: 'release', ...ORDER, epoch, counter, pairs: [0, 1] });
  assert.deepEqual(await release(20), { t: 'released', counter: 20 });
  assert.deepEqual(await release(21), { t: 'released', counter: 21 });
  assert.deepEqual(await lease(22), { t: 'leased', counter: 22, pairs: [2, 3] }, 'what is still leased by it');
});

test('what was recorded has no effect, also after a restart', async (t) => {
  const data = temporaryDirectory(t);
  const om = await startTestOm(t, data);
  await createVi(om);
  const node = await joinNode(om, 'a');
  const wire = await Wire.of(t, node);
  const epoch = await wire.epoch();
  const request = (byte: number) => new Uint8Array(8).fill(byte);
  const lease = (counter: number, byte: number) =>
    wire.ask({ t: 'lease', ...ORDER, epoch, counter, request: request(byte), count: 1 });
  assert.equal((await lease(1000, 1)).t, 'leased');
  const recorded = wire.seal({ t: 'release', ...ORDER, epoch, counter: 1001, pairs: [0] });
  assert.equal((await wire.exchange(recorded)).t, 'released');
  assert.deepEqual(await lease(1002, 2), { t: 'leased', counter: 1002, pairs: [0] });
  assert.deepEqual(await wire.exchange(recorded), { t: 'stale', counter: 1001, epoch, highest: 1002 });
  assert.equal(await leased(om), 1);
  const neverSent = wire.seal({ t: 'release', ...ORDER, epoch, counter: 1_000_000, pairs: [0] });
  await om.om.close();
  const again = await startTestOm(t, data);
  const wireAgain = await Wire.of(t, { ...node, client: nodeClient(again, node.joined, node.key) });
  for (const old of [recorded, neverSent]) {
    const answer = await wireAgain.exchange(old);
    assert.ok(answer.t === 'stale' && answer.epoch !== epoch && answer.highest === 0, JSON.stringify(answer));
  }
  assert.equal(await leased(again), 1);
});

test('udp: what nobody sealed is not answered, and changes nothing', async (t) => {
  const om = await viOf(t, 'udp');
  const [a, b] = [await joinNode(om, 'a'), await joinNode(om, 'b')];
  const [wire, other] = [await Wire.of(t, a), await Wire.of(t, b)];
  const epoch = await wire.epoch();
  const body = toAddressServerCodec.encode({ t: 'lease', ...ORDER, epoch, counter: 5, request: REQUEST, count: 1 });
  const sealed = sealMessage('request', wire.serial, wire.key, body);
  const changed = Uint8Array.from(sealed);
  changed[40] = (changed[40] as number) ^ 1;
  const forgeries = [
    new Uint8Array(0),
    Uint8Array.of(0x11),
    body,
    changed,
    sealed.subarray(0, sealed.length - 1),
    sealMessage('answer', wire.serial, wire.key, body),
    sealMessage('request', wire.serial, other.key, body),
    sealMessage('request', wire.serial, sealKey(new Uint8Array(32)), body),
    sealMessage('request', '4e'.repeat(16), wire.key, body),
    // Sealed by a node, but no request.
    sealMessage('request', wire.serial, wire.key, Uint8Array.of(0xa0)),
    Buffer.concat([sealed, new Uint8Array(2000)]),
  ];
  for (const forgery of forgeries) await wire.assertSilence(forgery);
  assert.equal(await leased(om), 0);
  assert.equal((await wire.exchange(sealed)).t, 'leased');
  assert.ok(sealed.length > 60);
});

test('secrets differ by node, end with the certificate, and follow a renewal', async (t) => {
  const om = await startTestOm(t);
  await createVi(om, 'lab', { certificateDays: 1 });
  om.clock.advance(-DAY_MS / 2);
  const [a, b] = [await joinNode(om, 'a'), await joinNode(om, 'b')];
  om.clock.advance(DAY_MS / 2);
  const secretOf = async (node: Pick<TestNode, 'client'>) => valueOf(await node.client.addressServer()).secret;
  assert.notEqual(await secretOf(a), await secretOf(b));
  assert.equal(await secretOf(a), await secretOf(a));
  assert.deepEqual(valueOf(await a.addresses.lease(REQUEST_HEX, 1)), [0]);
  const joined = { ...a.joined, certificate: valueOf(await a.client.renew()).certificate };
  const client = nodeClient(om, joined, a.key);
  assert.notEqual(await secretOf(a), await secretOf({ client }));
  const renewed = addressClient(om, joined, a.key, client);
  assert.deepEqual(valueOf(await renewed.lease(REQUEST_HEX, 1)), [0], 'the same node');
  om.clock.advance(DAY_MS / 2 + 1000);
  assertFails(await a.addresses.lease(REQUEST_HEX, 1), 'CERTIFICATE_REFUSED');
  assert.deepEqual(valueOf(await renewed.lease(REQUEST_HEX, 1)), [0]);
});

test('a node asks no more than its share', async (t) => {
  const om = await startTestOm(t, temporaryDirectory(t), { addressRequestsPerSecond: 10 });
  await createVi(om);
  const [a, b] = [await joinNode(om, 'a'), await joinNode(om, 'b')];
  const ask = () => a.addresses.lease(REQUEST_HEX, 1);
  const results = [];
  for (let i = 0; i < 40; i++) results.push(await ask());
  const refused = results.filter((result) => !result.ok && result.code === 'LIMIT_REACHED').length;
  assert.ok(refused >= 10 && refused <= 25, `${refused} of 40 refused`);
  valueOf(await b.addresses.lease(REQUEST_HEX, 1));
  om.clock.advance(1000);
  valueOf(await ask());
});

test('tcp: many requests in one segment and one in many; who talks nonsense is cut off', async (t) => {
  const om = await viOf(t, 'tcp');
  const wire = await Wire.of(t, await joinNode(om, 'a'));
  const stream = await wire.connect(t);
  const epoch = await wire.epochOn(stream);
  const release = (counter: number): ToAddressServer => ({ t: 'release', ...ORDER, epoch, counter, pairs: [1] });
  const five = [100, 101, 102, 103, 104];
  const all = Buffer.concat(five.map((counter) => encodeFrame(wire.seal(release(counter)))));
  stream.write(all.subarray(0, 7));
  await sleep(20);
  stream.write(all.subarray(7));
  assert.deepEqual(
    (await wire.answersOn(stream, 5)).map(({ counter }) => counter),
    five,
  );
  for (const nonsense of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Uint8Array.of(0, 0, 0, 2, 9, 9),
    encodeFrame(new Uint8Array(100)),
    encodeFrame(new Uint8Array(ADDRESS_BYTES_MAX + 1)),
    encodeFrame(wire.forge(release(300))),
    Uint8Array.of(0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5),
  ]) {
    const stranger = await wire.connect(t);
    stranger.resume();
    stranger.write(nonsense);
    await once(stranger, 'close');
  }
  stream.write(Buffer.concat([encodeFrame(wire.forge(release(400))), encodeFrame(wire.seal(release(401)))]));
  await once(stream, 'close');
});

test('tcp: who says nothing is cut off, and a node has few connections', {
  timeout: INTRODUCTION_MS * 3,
}, async (t) => {
  const om = await viOf(t, 'tcp');
  const wire = await Wire.of(t, await joinNode(om, 'a'));
  const [silent, slow] = [await wire.connect(t), await wire.connect(t)];
  for (const stream of [silent, slow]) stream.resume();
  slow.write(encodeFrame(wire.seal({ t: 'release', ...ORDER, epoch: 0, counter: 1, pairs: [] })).subarray(0, 20));
  const open = [];
  for (let i = 0; i <= STREAMS_PER_CALLER_MAX; i++) {
    const stream = await wire.connect(t);
    await wire.epochOn(stream);
    stream.resume();
    open.push(stream);
  }
  await once(open[0] ?? assert.fail(), 'close');
  assert.ok(open.slice(1).every(({ closed }) => !closed));
  for (const stream of [silent, slow]) if (!stream.closed) await once(stream, 'close');
  assert.ok(
    open.slice(1).every(({ closed }) => !closed),
    'who has shown who it is stays',
  );
});

test('tls: only the CA’s own clients get in', async (t) => {
  const om = await viOf(t, 'tls');
  const node = await joinNode(om, 'a');
  const { port } = valueOf(await node.client.addressServer());
  const stranger = await createNodeKey('a');
  const foreign = await Authority.open(temporaryDirectory(t), om.clock.wall());
  const publicKey = valueOf(await keyOfCsr(stranger.csrPem));
  const { id, ipv4, ipv6, vi } = node.joined;
  const claims = { vi: vi.id, name: 'a', id, ipv4, groups: [] };
  const forged = valueOf(await foreign.issue({ claims, ipv6, publicKey, days: 1 }, om.clock.wall()));
  const ask = toAddressServerCodec.encode({ t: 'release', ...ORDER, epoch: 0, counter: 1, pairs: [] });
  for (const identity of [{}, { cert: forged.pem, key: stranger.keyPem }]) {
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      ca: om.access.caPem,
      servername: OM_SERVER_NAME,
      ...identity,
    });
    socket.on('error', () => undefined);
    let heard = 0;
    socket.on('data', ({ length }) => {
      heard += length;
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.once('secureConnect', () => socket.write(encodeFrame(ask)));
    await closed;
    assert.equal(heard, 0);
  }
  valueOf(await node.addresses.lease(REQUEST_HEX, 1));
});

test('an answer of somebody else is not believed', async (t) => {
  const om = await viOf(t, 'udp');
  const node = await joinNode(om, 'a');
  const wire = await Wire.of(t, node);
  // Stands in the way, answers first, and holds back what the server says at first.
  const middle = createSocket('udp4');
  middle.bind(0, '127.0.0.1');
  await once(middle, 'listening');
  t.after(() => middle.close());
  let client: RemoteInfo | undefined;
  let held = 2;
  middle.on('message', (datagram, from) => {
    if (from.port === wire.port) {
      if (held-- <= 0) middle.send(datagram, client?.port ?? 0, '127.0.0.1');
      return;
    }
    client = from;
    const { counter } = valueOf(toAddressServerCodec.decode(openSealed(wire.key, datagram) ?? assert.fail()));
    const lie = fromAddressServerCodec.encode({ t: 'leased', counter, pairs: [77] });
    for (const key of [sealKey(new Uint8Array(32)), undefined]) {
      middle.send(key === undefined ? lie : sealMessage('answer', wire.serial, key, lie), from.port, '127.0.0.1');
    }
    middle.send(datagram, wire.port, '127.0.0.1');
  });
  const { port } = middle.address();
  const located = valueOf(await node.client.addressServer());
  const client2 = addressClient(om, node.joined, node.key, {
    ...node.client,
    addressServer: async () => ({ ok: true, value: { ...located, port } }),
  });
  assert.deepEqual(valueOf(await client2.lease(REQUEST_HEX, 2)), [0, 1]);
  assert.equal(await leased(om), 2, 'lost answers have cost nothing');
});

test('a client that is closed gives up what it was asking', async (t) => {
  const om = await viOf(t, 'udp');
  const node = await joinNode(om, 'a');
  const deaf = createSocket('udp4');
  deaf.bind(0, '127.0.0.1');
  await once(deaf, 'listening');
  t.after(() => deaf.close());
  const { port } = deaf.address();
  const located = valueOf(await node.client.addressServer());
  const addresses = addressClient(om, node.joined, node.key, {
    ...node.client,
    addressServer: async () => ({ ok: true, value: { ...located, port } }),
  });
  const first = addresses.lease(REQUEST_HEX, 1);
  const second = addresses.release([1]);
  await once(deaf, 'message');
  const closed = om.clock.now();
  addresses.close();
  assertFails(await first, 'OM_UNREACHABLE');
  assertFails(await second, 'OM_UNREACHABLE');
  assert.ok(om.clock.now() - closed < 1000);
});
