/** An overlay manager over real HTTPS on the loopback, in a directory of its own, and nodes that join it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type AddressClient, createAddressClient } from '../../overlay/address-client.ts';
import { type Invitation, parseInvitation } from '../../overlay/invitation.ts';
import { type Clock, type Millis, systemClock } from '../../overlay/lib/clock.ts';
import type { Result } from '../../overlay/lib/result.ts';
import { createNodeKey, type NodeKey } from '../../overlay/node-key.ts';
import type { JoinResponse } from '../../overlay/om-api.ts';
import { createOmClient, type OmClient } from '../../overlay/om-client.ts';
import type { ViDefinition } from '../../overlay/vi.ts';
import { type LocalAccess, readLocalAccess } from '../files.ts';
import { type OmOptions, type RunningOm, startOm } from '../server.ts';

/** The system's clock, moved forward by hand. */
export type TestClock = Clock & { advance(ms: number): void };

export function testClock(): TestClock {
  let offset = 0;
  return {
    now: () => (systemClock.now() + offset) as Millis,
    wall: () => systemClock.wall() + offset,
    advance: (ms) => {
      offset += ms;
    },
  };
}

export function valueOf<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.code}: ${result.message}`);
  return result.value;
}

export function assertFails(result: Result<unknown>, code: string, text?: RegExp): void {
  assert.equal(result.ok ? 'ok' : result.code, code, result.ok ? undefined : result.message);
  if (text !== undefined && !result.ok) assert.match(result.message, text);
}

export function temporaryDirectory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'pxb-om-test-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export type TestOm = {
  readonly data: string;
  readonly om: RunningOm;
  readonly access: LocalAccess;
  readonly clock: TestClock;
  readonly admin: OmClient;
  /** Closed when the test ends. */
  client(options: Partial<Parameters<typeof createOmClient>[0]>): OmClient;
  closeAtEnd(client: { close(): void }): void;
};

/** `options`: in place of what these tests start an overlay manager with. */
export async function startTestOm(
  t: TestContext,
  data = temporaryDirectory(t),
  options: Partial<OmOptions> = {},
): Promise<TestOm> {
  const clock = testClock();
  const listen = { host: '127.0.0.1', port: 0 };
  const om = valueOf(await startOm({ data, listen, addressListen: listen, logLevel: 'silent', clock, ...options }));
  const access = valueOf(readLocalAccess(data));
  const clients: { close(): void }[] = [];
  t.after(async () => {
    for (const client of clients) client.close();
    await om.close();
  });
  const client: TestOm['client'] = (options) => {
    const made = createOmClient({ host: access.host, port: access.port, ...options });
    clients.push(made);
    return made;
  };
  const closeAtEnd = (made: { close(): void }): void => void clients.push(made);
  return { data, om, access, clock, client, closeAtEnd, admin: client({ caPem: access.caPem, token: access.token }) };
}

export async function createVi(test: TestOm, name = 'lab', definition: Partial<ViDefinition> = {}): Promise<void> {
  valueOf(await test.admin.createVi({ name, definition }));
}

export async function invite(
  test: TestOm,
  order: { uses?: number; groups?: string[]; expiresSeconds?: number } = {},
  vi = 'lab',
): Promise<Invitation & { id: string }> {
  const { invitation, text } = valueOf(await test.admin.createInvitation(vi, order));
  return { ...valueOf(parseInvitation(text)), id: invitation.id };
}

export type JoinOrder = { readonly name: string; readonly key?: NodeKey; readonly groups?: string[] };

export async function tryJoin(
  test: TestOm,
  invitation: Invitation,
  { name, key, groups }: JoinOrder,
  client = test.client({ caPem: test.access.caPem }),
): Promise<Result<JoinResponse>> {
  const { csrPem: csr } = key ?? (await createNodeKey(name));
  const secret = Buffer.from(invitation.secret).toString('base64');
  return client.join({ vi: invitation.vi, secret, name, csr, ...(groups === undefined ? {} : { groups }) });
}

export type TestNode = {
  readonly joined: JoinResponse;
  readonly key: NodeKey;
  readonly client: OmClient;
  readonly addresses: AddressClient;
};

export async function joinNode(test: TestOm, name: string, invitation?: Invitation): Promise<TestNode> {
  const key = await createNodeKey(name);
  const joined = valueOf(await tryJoin(test, invitation ?? (await invite(test)), { name, key }));
  const client = nodeClient(test, joined, key);
  return { joined, key, client, addresses: addressClient(test, joined, key, client) };
}

/** Asks for the node's link pairs, and where by `client`. */
export function addressClient(
  test: TestOm,
  { certificate: certPem, ca: caPem }: JoinResponse,
  { keyPem }: NodeKey,
  client: OmClient,
  timeoutMs = 5000,
): AddressClient {
  const locate = (): ReturnType<OmClient['addressServer']> => client.addressServer();
  const made = createAddressClient({ host: test.access.host, caPem, identity: { certPem, keyPem }, locate, timeoutMs });
  test.closeAtEnd(made);
  return made;
}

export function nodeClient(test: TestOm, joined: JoinResponse, key: NodeKey): OmClient {
  const clientCertificate = { certPem: joined.certificate, keyPem: key.keyPem };
  return test.client({ caPem: joined.ca, clientCertificate });
}

/** A contact, base64. */
export function contactOf(text: string): string {
  return Buffer.from(text).toString('base64');
}
