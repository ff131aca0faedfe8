import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createVi, invite, startTestOm, temporaryDirectory, tryJoin, valueOf } from '../../om-server/test/fixture.ts';
import { fail } from '../../overlay/errors.ts';
import { createLog } from '../../overlay/lib/log.ts';
import { ok } from '../../overlay/lib/result.ts';
import { createNodeKey } from '../../overlay/node-key.ts';
import { parseRevocationList, serialOf } from '../../overlay/revocation-list.ts';
import type { NodeRef } from '../core/io.ts';
import { DataDirectory } from '../driver/files.ts';
import type { Host } from '../driver/host.ts';
import { loadIdentity } from '../driver/identity.ts';
import { Members } from '../driver/members.ts';
import { Revocations } from '../driver/revocations.ts';

const log = createLog('test', 'silent');

test('who joins goes by the revocation list before the first handshake, and before any heartbeat', async (t) => {
  const om = await startTestOm(t);
  await createVi(om);
  const [key, invitation] = [await createNodeKey('gone'), await invite(om)];
  const gone = valueOf(await tryJoin(om, invitation, { name: 'gone', key }));
  const { revocations: number } = valueOf(await om.admin.deleteNode('lab', 'gone'));

  const data = new DataDirectory(temporaryDirectory(t));
  assert.ok(data.prepare().ok);
  const revocations = new Revocations(log);
  // It gets as far as the interface: a credential would be the next, and then handshakes.
  const kernel = {
    prepareNamespace: async () => fail('SYSTEM', 'There is no kernel here.'),
    releaseNamespace: async () => undefined,
  };
  const host = {
    config: { nodesMax: 4, securePeers: [], p2pdUid: 0, logLevel: 'silent' },
    data,
    identity: valueOf(loadIdentity(data)),
    kernel,
    revocations,
    endpoints: () => [],
    p2pdSocket: '/nonexistent',
    nextRef: () => 1 as NodeRef,
    log,
  } as unknown as Host;
  const { text } = valueOf(await om.admin.createInvitation('lab', {}));
  const joined = await new Members(host, () => ok()).join(
    { invitation: text, name: 'n', netns: 'blue' },
    () => undefined,
  );
  assert.ok(!joined.ok && joined.message === 'There is no kernel here.', joined.ok ? '' : joined.message);
  assert.equal(revocations.numberOf(gone.ca), number);
  assert.deepEqual(revocations.serialsOf(gone.ca), new Set([serialOf(gone.certificate)]));
  assert.equal(valueOf(parseRevocationList(revocations.pemOf(gone.ca) ?? '', gone.ca)).number, number);
});
