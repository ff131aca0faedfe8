import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createOmClient, type OmClientOptions } from '../../overlay/om-client.ts';
import { Authority } from '../ca.ts';
import { FILES, readIfExists } from '../files.ts';
import { startOm } from '../server.ts';
import { assertFails, createVi, joinNode, startTestOm, temporaryDirectory, valueOf } from './fixture.ts';

const HOST = '127.0.0.1';

async function listening(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, HOST, resolve);
  });
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** An HTTPS server that counts what it is asked. */
async function impostor(
  t: TestContext,
  tls: ServerOptions,
  answer = '{}',
): Promise<{ port: number; asked: () => number }> {
  let asked = 0;
  const server = createServer(tls, (_request, response) => {
    asked++;
    response.end(answer);
  });
  t.after(() => server.closeAllConnections());
  return { port: await listening(t, server), asked: () => asked };
}

function clientFor(t: TestContext, options: Partial<OmClientOptions> & { port: number }) {
  const client = createOmClient({ host: HOST, timeoutMs: 2000, ...options });
  t.after(() => client.close());
  return client;
}

test('a server that is not there, is silent, or speaks something else', async (t) => {
  const closed = createTcpServer();
  const port = await listening(t, closed);
  await new Promise((resolve) => {
    closed.close(resolve);
  });
  const sentence = new RegExp(`127\\.0\\.0\\.1:${port} does not answer`);
  assertFails(await clientFor(t, { port, caPem: '' }).health(), 'OM_UNREACHABLE', sentence);
  assertFails(await clientFor(t, { port, caFingerprint: new Uint8Array(32) }).health(), 'OM_UNREACHABLE', sentence);
  const silent = createTcpServer((socket) => t.after(() => socket.destroy()));
  const silentPort = await listening(t, silent);
  assertFails(
    await clientFor(t, { port: silentPort, caPem: '', timeoutMs: 200 }).health(),
    'OM_UNREACHABLE',
    /in time/,
  );
  const pinned = clientFor(t, { port: silentPort, caFingerprint: new Uint8Array(32), timeoutMs: 200 });
  assertFails(await pinned.health(), 'OM_UNREACHABLE', /in time/);
  const plain = await listening(
    t,
    createHttpServer((_request, response) => response.end('{}')),
  );
  assertFails(await clientFor(t, { port: plain, caPem: '' }).health(), 'OM_UNREACHABLE');
  assertFails(await clientFor(t, { port: 1, host: 'no-such-host.invalid', caPem: '' }).health(), 'OM_UNREACHABLE');
});

test('nothing is sent to anybody but the overlay manager of the invitation', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const pins = [{ caFingerprint: om.om.caFingerprint }, { caPem: om.access.caPem }];
  const other = await startTestOm(t);
  for (const pin of pins) assertFails(await clientFor(t, { port: other.access.port, ...pin }).health(), 'CA_MISMATCH');

  const { joined, key } = await joinNode(om, 'mallory');
  const foreign = await (await Authority.open(temporaryDirectory(t), om.clock.wall())).server(
    temporaryDirectory(t),
    [],
    om.clock.wall(),
  );
  const certificates: ServerOptions[] = [
    // A node of the VI: its certificate is good for servers, and of the right CA.
    { cert: joined.certificate + joined.ca, key: key.keyPem },
    // Somebody who has seen the CA certificate and sends it along.
    {
      cert: foreign.cert.replace(/-----END CERTIFICATE-----\n[^]*/, '-----END CERTIFICATE-----\n') + joined.ca,
      key: foreign.key,
    },
  ];
  for (const tls of certificates) {
    const { port, asked } = await impostor(t, tls);
    for (const pin of pins) assertFails(await clientFor(t, { port, ...pin }).health(), 'CA_MISMATCH');
    assert.equal(asked(), 0);
  }
});

test('an answer that is none is refused', async (t) => {
  const om = await startTestOm(t);
  const file = (name: string): string => readIfExists(join(om.data, name)) ?? '';
  const tls = { cert: file(FILES.server) + file(FILES.ca), key: file(FILES.serverKey) };
  for (const answer of [
    '',
    'hello',
    '{}',
    '{"status":"ok"}',
    '{"status":"ok","version":1}',
    '{"status":"ok","version":"1","x":1}',
  ]) {
    const { port } = await impostor(t, tls, answer);
    assertFails(await clientFor(t, { port, caPem: om.access.caPem }).health(), 'BAD_MESSAGE');
  }
  const { port } = await impostor(t, tls, '{"status":"ok","version":"1"}');
  valueOf(await clientFor(t, { port, caPem: om.access.caPem }).health());
});

test('the fingerprint gives the CA, for later use', async (t) => {
  const om = await startTestOm(t);
  const client = clientFor(t, { port: om.access.port, caFingerprint: om.om.caFingerprint });
  assert.equal(valueOf(await client.caPem()).trim(), om.access.caPem.trim());
  assert.equal(valueOf(await client.health()).status, 'ok');
});

test('a key that cannot be read is an error, not an exception', async (t) => {
  const om = await startTestOm(t);
  const clientCertificate = { certPem: 'no certificate', keyPem: 'no key' };
  const client = clientFor(t, { port: om.access.port, caPem: om.access.caPem, clientCertificate });
  assertFails(await client.self(), 'CERTIFICATE_REFUSED', /cannot be used/);
});

test('a client outlives a restart of the server', async (t) => {
  const om = await startTestOm(t);
  valueOf(await om.admin.listVis());
  await om.om.close();
  const unreachable = await om.admin.listVis();
  assertFails(unreachable, 'OM_UNREACHABLE');
  const { host, port } = om.access;
  const again = valueOf(
    await startOm({ data: om.data, listen: { host, port }, addressListen: { host, port: 0 }, logLevel: 'silent' }),
  );
  t.after(() => again.close());
  valueOf(await om.admin.listVis());
});

test('silent and half-said connections do not hold up the end', { timeout: 10_000 }, async (t) => {
  const om = await startTestOm(t);
  const silent = connect(om.om.address);
  const slow = connectTls({ ...om.om.address, rejectUnauthorized: false });
  for (const socket of [silent, slow]) socket.on('error', () => undefined);
  t.after(() => [silent, slow].forEach((socket) => socket.destroy()));
  await once(slow, 'secureConnect');
  slow.write('GET /api/v1/health HTTP/1.1\r\n');
  valueOf(await om.admin.health());
  await om.om.close();
});
