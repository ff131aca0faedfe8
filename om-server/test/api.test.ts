import assert from 'node:assert/strict';
import { request } from 'node:https';
import { test } from 'node:test';
import { parseCidr } from '../../overlay/addresses.ts';
import { ERRORS } from '../../overlay/errors.ts';
import { BODY_BYTES_MAX } from '../http/app.ts';
import { assertFails, createVi, invite, joinNode, startTestOm, type TestOm, valueOf } from './fixture.ts';

type Call = { readonly method: string; readonly path: string; readonly token?: string; readonly body?: string };

/** A request as any program could send it. */
function send(om: TestOm, { method, path, token, body }: Call): Promise<{ status: number; json: unknown }> {
  const { host, port, caPem: ca } = om.access;
  const headers: Record<string, string> = {};
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, ca, method, path: `/api/v1${path}`, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, json: text === '' ? undefined : JSON.parse(text) }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Every call there is: [method, path, who may call]. */
const CALLS: readonly (readonly [string, string, 'anybody' | 'administrator' | 'node'])[] = [
  ['get', '/health', 'anybody'],
  ['post', '/join', 'anybody'],
  ['get', '/openapi.json', 'administrator'],
  ['get', '/vis', 'administrator'],
  ['post', '/vis', 'administrator'],
  ['get', '/vis/{vi}', 'administrator'],
  ['delete', '/vis/{vi}', 'administrator'],
  ['get', '/vis/{vi}/nodes', 'administrator'],
  ['delete', '/vis/{vi}/nodes/{node}', 'administrator'],
  ['get', '/vis/{vi}/invitations', 'administrator'],
  ['post', '/vis/{vi}/invitations', 'administrator'],
  ['delete', '/vis/{vi}/invitations/{invitation}', 'administrator'],
  ['get', '/node', 'node'],
  ['delete', '/node', 'node'],
  ['post', '/node/renew', 'node'],
  ['post', '/node/heartbeat', 'node'],
  ['get', '/node/revocations', 'node'],
  ['get', '/node/bootstrap', 'node'],
  ['get', '/node/nodes', 'node'],
  ['get', '/node/address-server', 'node'],
];

type Operation = {
  operationId?: string;
  summary?: string;
  security?: Record<string, []>[];
  parameters?: { name: string; in: string }[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
};
type Document = {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { securitySchemes: Record<string, { type: string }> };
};

test('OpenAPI describes every call, its answers and who may make it', async (t) => {
  const om = await startTestOm(t);
  const document = valueOf(await om.admin.openApi()) as Document;
  assert.match(document.openapi, /^3\.1\./);
  assert.deepEqual(document.components.securitySchemes['node']?.type, 'mutualTLS');
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const described = operations.map(({ path, method }) => `${method} ${path}`).sort();
  assert.deepEqual(described, CALLS.map(([method, path]) => `${method} /api/v1${path}`).sort());
  assert.equal(new Set(operations.map(({ operation }) => operation.operationId)).size, CALLS.length);
  for (const [method, path, who] of CALLS) {
    const operation = document.paths[`/api/v1${path}`]?.[method];
    assert.ok(operation !== undefined && operation.summary !== undefined);
    assert.deepEqual(operation.security ?? [], who === 'anybody' ? [] : [{ [who]: [] }]);
    const statuses = Object.keys(operation.responses);
    assert.ok(
      statuses.some((status) => /^20\d$/.test(status)) && statuses.includes('4XX') && statuses.includes('5XX'),
      `${path}: ${statuses.join(' ')}`,
    );
    for (const [status, response] of Object.entries(operation.responses)) {
      if (status !== '204')
        assert.ok(response.content?.['application/json']?.schema !== undefined, `${path} ${status}`);
    }
    for (const [, name] of path.matchAll(/\{(\w+)\}/g)) {
      assert.ok(operation.parameters?.some((parameter) => parameter.name === name && parameter.in === 'path'));
    }
    if (['post', 'put'].includes(method) && !path.endsWith('renew')) assert.ok(operation.requestBody !== undefined);
  }
  assert.doesNotMatch(JSON.stringify(document), /"\$(id|ref)"/, 'it stands for itself');
});

test('without credentials there is health and join, nothing else', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const tokens = [undefined, '', 'x', om.access.token.slice(1), `${om.access.token}x`];
  for (const [method, template, who] of CALLS) {
    const path = template.replace('{vi}', 'lab').replace('{node}', 'n').replace('{invitation}', 'i');
    for (const token of who === 'anybody' ? [undefined] : tokens) {
      const { status, json } = await send(om, { method, path, ...(token === undefined ? {} : { token }) });
      const expected = path === '/health' ? 200 : path === '/join' ? 400 : 401;
      assert.equal(status, expected, `${method} ${path} with ${token}`);
      if (expected === 401) assert.equal((json as { error: { code: string } }).error.code, 'UNAUTHENTICATED');
    }
  }
  for (const path of ['/', '/nothing', '/vis/lab/nothing', '/node/nothing', '/../../etc/passwd']) {
    const { status, json } = await send(om, { method: 'get', path });
    assert.deepEqual([status, (json as { error: { code: string } }).error.code], [404, 'NOT_FOUND']);
  }
});

test('what is not understood is refused with the field that is wrong', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const { token } = om.access;
  const invitations = '/vis/lab/invitations';
  const refused: readonly [string, string, string, RegExp][] = [
    ['POST', '/vis', '{', /JSON|valid/i],
    ['POST', '/vis', '[]', /body/],
    ['POST', '/vis', '{}', /name/],
    ['POST', '/vis', '{"name":"x","colour":1}', /colour/],
    ['POST', '/vis', '{"name":"Über"}', /name/],
    ['POST', '/vis', '{"name":"x","definition":{"mtu":1}}', /definition\.mtu/],
    ['POST', '/vis', '{"name":"x","definition":{"timers":{"silenceMs":200}}}', /silenceMs/],
    ['POST', '/vis', '{"name":"x","definition":{"ipv4Pool":"10.0.0.1/16"}}', /ipv4Pool/],
    ['POST', '/vis', '{"name":"x","definition":{"linkPool":"10.77.1.0/24"}}', /overlap/],
    ['POST', '/vis', '{"name":"x","definition":{"ipv4Pool":"10.64.0.0/15"}}', /linkPool: 131070 nodes/],
    ['POST', '/vis', '{"name":"x","definition":{"tunnelsMax":9}}', /tunnelsMax: .* 10/],
    ['POST', '/vis', '{"name":"x","definition":{"p2pdPort":1023}}', /p2pdPort/],
    ['POST', invitations, '{"uses":0}', /uses/],
    ['POST', invitations, '{"expiresSeconds":"1"}', /expiresSeconds/],
    ['POST', invitations, '{"groups":["a","a"]}', /groups/],
    ['POST', invitations, '{"__proto__":{"uses":3}}', /JSON|proto/],
    ['DELETE', '/vis/lab?force=perhaps', '', /force/],
    ['GET', '/vis/LAB', '', /vi/],
  ];
  for (const [method, path, body, text] of refused) {
    const { status, json } = await send(om, { method, path, token, ...(body === '' ? {} : { body }) });
    const { error } = json as { error: { code: string; message: string } };
    assert.equal(status, 400, `${path} ${body}`);
    assert.match(error.code, /^BAD_(ARGUMENT|CONFIG)$/);
    assert.match(error.message, text);
  }
  const tooLong = await send(om, {
    method: 'POST',
    path: '/vis',
    token,
    body: `{"name":"${'x'.repeat(BODY_BYTES_MAX)}"}`,
  });
  assert.deepEqual([tooLong.status, (tooLong.json as { error: { code: string } }).error.code], [413, 'LIMIT_REACHED']);
  assert.equal(valueOf(await om.admin.listVis()).length, 1);
});

test('VIs are made with identities of their own, listed, shown, deleted', async (t) => {
  const om = await startTestOm(t);
  const made = valueOf(
    await om.admin.createVi({ name: 'lab', definition: { mtu: 1400, timers: { stabiliseMs: 500 } as never } }),
  );
  const { config } = made;
  assert.match(config.id, /^vi-[0-9a-f]{16}$/);
  assert.match(config.prefix, /^fd[0-9a-f:]+::\/64$/);
  const [prefix, link] = [parseCidr(config.prefix), parseCidr(config.linkPrefix)];
  assert.ok(prefix?.length === 64 && link?.length === 64);
  assert.deepEqual([...prefix.network.subarray(0, 6)], [...link.network.subarray(0, 6)], 'one site');
  assert.deepEqual(
    [[...prefix.network.subarray(6, 8)], [...link.network.subarray(6, 8)]],
    [
      [0, 0],
      [0, 1],
    ],
  );
  assert.deepEqual(
    [config.definition.mtu, config.definition.timers.stabiliseMs, config.definition.timers.silenceMs],
    [1400, 500, 2000],
  );
  assertFails(await om.admin.createVi({ name: 'lab' }), 'DUPLICATE_NAME', /lab/);
  for (let i = 0; i < 20; i++) await createVi(om, `vi${i}`);
  const all = valueOf(await om.admin.listVis());
  for (const field of ['id', 'prefix', 'vni'] as const)
    assert.equal(new Set(all.map((vi) => vi.config[field])).size, 21);
  assert.deepEqual(valueOf(await om.admin.showVi('lab')), made);
  await joinNode(om, 'n');
  assert.equal(valueOf(await om.admin.showVi('lab')).nodes, 1);
  assertFails(await om.admin.deleteVi('lab'), 'CONFLICT', /1 node;/);
  valueOf(await om.admin.deleteVi('lab', true));
  assertFails(await om.admin.showVi('lab'), 'NOT_FOUND', /lab/);
  assertFails(await om.admin.deleteVi('lab'), 'NOT_FOUND');
  await createVi(om, 'lab');
  assert.equal(valueOf(await om.admin.showVi('lab')).nodes, 0);
  assertFails(await om.admin.deleteNode('lab', 'n'), 'NOT_FOUND');
  assertFails(await om.admin.revokeInvitation('lab', 'inv-0'), 'NOT_FOUND');
  assertFails(await om.admin.createInvitation('none', {}), 'NOT_FOUND');
});

test('everything is there after a restart, and the invitation still works', async (t) => {
  const first = await startTestOm(t);
  await createVi(first);
  const before = valueOf(await first.admin.listVis());
  const invitation = await invite(first);
  await first.om.close();
  const second = await startTestOm(t, first.data);
  assert.deepEqual(valueOf(await second.admin.listVis()), before);
  assert.deepEqual(second.om.caFingerprint, first.om.caFingerprint);
  assert.equal(second.access.token, first.access.token);
  assert.equal((await joinNode(second, 'n', invitation)).joined.name, 'n');
});

test('the status of an error is that of the table', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const { status } = await send(om, { method: 'POST', path: '/vis', token: om.access.token, body: '{"name":"lab"}' });
  assert.equal(status, ERRORS.DUPLICATE_NAME.http);
});
