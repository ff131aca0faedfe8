import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../../cli/demo/machine.ts';
import type { World } from '../../cli/demo/world.ts';
import { formatInvitation, parseInvitation } from '../../overlay/invitation.ts';
import { skip, VI, worldFor } from './topology.ts';

async function worldWithVi(
  context: TestContext,
  machines: number,
  definition: Readonly<Record<string, unknown>> = {},
): Promise<World> {
  const world = await worldFor(context);
  await world.addMachines(machines);
  await world.startOm();
  await world.createVi(VI, definition);
  return world;
}

/** The join must fail with this exit code and say something like this; it leaves no node behind. */
async function refused(machine: Machine, invitation: string, exit: number, says: RegExp): Promise<void> {
  const { code, stderr } = await machine.join(invitation);
  const sentence = stderr.trim().split('\n').at(-1) ?? '';
  assert.equal(code, exit, sentence);
  assert.match(sentence, says);
  const { nodes } = await machine.status();
  assert.deepEqual(nodes, []);
}

test('bad invitations are refused with a sentence', { skip, timeout: 90_000 }, async (context) => {
  const world = await worldWithVi(context, 2);
  const [first, second] = world.machines;
  assert.ok(first && second);
  await second.startRd();

  const once = await world.invite(VI);
  await first.mustJoin(once);
  await refused(second, once, 3, /used already/);

  await refused(second, once.slice(0, -5), 2, /not a whole invitation/);
  await refused(second, `${once.slice(0, 60)}xx${once.slice(62)}`, 2, /not a whole invitation/);

  const parsed = parseInvitation(once);
  assert.ok(parsed.ok);
  const forgedSecret = formatInvitation({ ...parsed.value, secret: new Uint8Array(16).fill(7) });
  await refused(second, forgedSecret, 3, /invitation/);
  const forgedCa = formatInvitation({ ...parsed.value, caFingerprint: new Uint8Array(32).fill(7) });
  await refused(second, forgedCa, 3, /is not the one that made the invitation/);
  const elsewhere = formatInvitation({ ...parsed.value, port: 1 });
  await refused(second, elsewhere, 4, /does not answer/);

  const brief = await world.invite(VI, ['--expires', '1s']);
  await sleep(1500);
  await refused(second, brief, 3, /has expired/);
  // The date inside says otherwise, but the overlay manager remembers.
  const extended = parseInvitation(brief);
  assert.ok(extended.ok);
  await refused(second, formatInvitation({ ...extended.value, expires: 4_000_000_000 }), 3, /has expired/);

  const revoked = await world.invite(VI);
  const list = await world.om.mustCommand(['invite', VI, '--list', '--json', '--data', world.om.data]);
  const { invitations } = JSON.parse(list) as { invitations: { id: string; state: string }[] };
  for (const { id, state } of invitations) {
    if (state === 'open') await world.om.mustCommand(['invite', VI, '--revoke', id, '--data', world.om.data]);
  }
  await refused(second, revoked, 3, /has been revoked/);

  const joined = await second.mustJoin(await world.invite(VI));
  assert.equal(joined.name, second.name);
});

test('a name that is taken is refused', { skip, timeout: 60_000 }, async (context) => {
  const world = await worldWithVi(context, 2);
  const [first, second] = world.machines;
  assert.ok(first && second);
  await second.startRd();
  await first.mustJoin(await world.invite(VI));
  const invitation = await world.invite(VI);
  const { code, stderr } = await second.join(invitation, ['--name', first.name]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /name/);
  // The invitation has not been used up by that.
  await second.mustJoin(invitation);
});

test('a pool that is used up is refused', { skip, timeout: 90_000 }, async (context) => {
  const world = await worldWithVi(context, 7, { ipv4Pool: '10.77.0.0/29', linkPool: '10.78.0.0/24' });
  const invitation = await world.invite(VI, ['--uses', '10']);
  const last = world.machines[6] ?? assert.fail();
  await last.startRd();
  await Promise.all(world.machines.slice(0, 6).map((machine) => machine.mustJoin(invitation)));
  await refused(last, invitation, 1, /in use|pool/);
});
