/** Security is on exactly where it has to be, and what it protects cannot be read on the base network. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { Member } from '../../cli/demo/check.ts';
import { type Machine, untilTrue } from '../../cli/demo/machine.ts';
import { ip } from '../../cli/demo/namespaces.ts';
import type { World } from '../../cli/demo/world.ts';
import type { TunnelSecurity } from '../../overlay/messages/control.ts';
import { dropsOf, membersOf, skip, tunnelsOf, VI, worldFor } from './topology.ts';
import { capture, pingWith, secretText } from './wire.ts';

type Definition = Readonly<Record<string, unknown>>;

/** Members on machines of their own, one after the other, each with these groups of the invitation's. */
async function joinWith(
  world: World,
  groups: readonly (readonly string[])[],
  definition: Definition = {},
): Promise<Member[]> {
  const machines = world.machines;
  await world.startOm();
  await world.createVi(VI, definition);
  const offered = [...new Set(groups.flat())].join(',');
  const invitation = await world.invite(VI, ['--uses', String(groups.length), '--groups', offered]);
  for (const [i, own] of groups.entries()) {
    await (machines[i] as Machine).mustJoin(invitation, ['--groups', own.join(',')]);
  }
  await world.untilIdeal();
  return membersOf(world);
}

async function securityOf(from: Member, to: Member): Promise<TunnelSecurity | null | undefined> {
  return (await tunnelsOf(from)).find(({ peer }) => peer === to.node.id)?.security;
}

/** Waits until the tunnel between the two is this at both ends. */
async function untilSecurity(
  from: Member,
  to: Member,
  secure: boolean,
  whys: readonly [RegExp, RegExp],
): Promise<void> {
  let seen: unknown;
  try {
    await untilTrue('the tunnel to be agreed on', 20_000, 100, async () => {
      const [there, here] = [await securityOf(from, to), await securityOf(to, from)];
      seen = { there, here };
      if (!there || !here) return false;
      return there.secure === secure && here.secure === secure && whys[0].test(there.why) && whys[1].test(here.why);
    });
  } catch (error) {
    throw new Error(`${from.node.name} to ${to.node.name}: ${JSON.stringify(seen)}`, { cause: error });
  }
}

/** Whether what two nodes say to each other, by either family, can be read on the base network. */
async function isReadable(context: TestContext, world: World, from: Member, to: Member): Promise<boolean> {
  const wire = await capture(context, world);
  const text = secretText();
  for (const address of [to.node.ipv4, to.node.ipv6]) {
    assert.equal(await pingWith(text, from.machine.namespace, address), 3, `${from.node.name} to ${address}`);
  }
  const bytes = await wire.stop();
  assert.ok(bytes.length > 6 * 200, 'the wire was read at all');
  return bytes.includes(text);
}

test('tunnels are secure exactly where groups intersect', { skip, timeout: 180_000 }, async (context) => {
  const world = await worldFor(context);
  await world.addMachines(4);
  const groups = [['a'], ['a', 'b'], ['b'], []];
  const members = await joinWith(world, groups);
  assert.deepEqual(
    members.map(({ node }) => node.groups),
    groups,
  );
  for (const [i, from] of members.entries()) {
    for (const [j, to] of members.entries()) {
      if (j <= i) continue;
      const shared = (groups[i] ?? []).filter((group) => groups[j]?.includes(group));
      const isSecure = shared.length > 0;
      const why = isSecure ? new RegExp(`^groups: ${shared.join(', ')}$`) : /^no common group$/;
      await untilSecurity(from, to, isSecure, [why, why]);
      const { cipher, keysAgeMs } = (await securityOf(from, to)) ?? assert.fail();
      assert.equal(cipher, isSecure ? 'aes-128-gcm' : null);
      assert.equal(typeof keysAgeMs, isSecure ? 'number' : 'object');
      assert.equal(await isReadable(context, world, from, to), !isSecure, `${from.node.name} to ${to.node.name}`);
    }
  }
  const status = await members[1]?.machine.mustCommand(['status', '--run', members[1].machine.run]);
  assert.match(status ?? '', /groups +a, b\n/);
  assert.match(status ?? '', /policy groups/);
  assert.match(status ?? '', /n1: secure \(groups: a\), aes-128-gcm, keys /);
  assert.match(status ?? '', /n4: plain \(no common group\)/);
});

test('nothing of a secure tunnel is readable while cables are out and daemons die', {
  skip,
  timeout: 180_000,
}, async (context) => {
  const world = await worldFor(context);
  await world.addMachines(2);
  const [one, two] = (await joinWith(world, [['a'], ['a']])) as [Member, Member];
  await untilSecurity(one, two, true, [/^groups: a$/, /^groups: a$/]);
  const wire = await capture(context, world);
  const text = secretText();
  const pings = [
    pingWith(text, one.machine.namespace, two.node.ipv4, { count: 800, intervalSeconds: 0.02 }),
    pingWith(text, two.machine.namespace, one.node.ipv6, { count: 800, intervalSeconds: 0.02 }),
  ];
  // Longer than the peers' patience: the association is lost, and a new one takes its place.
  await ip(world.switch, [`link set ${world.portOf(two.machine)} down`]);
  await sleep(3000);
  await ip(world.switch, [`link set ${world.portOf(two.machine)} up`]);
  await world.untilIdeal();
  await untilSecurity(one, two, true, [/^groups: a$/, /^groups: a$/]);
  const { pid } = await two.machine.status();
  process.kill(pid, 'SIGKILL');
  await two.machine.startRd();
  await one.machine.killDaemons();
  await one.machine.startRd();
  const answers = await Promise.all(pings);
  await world.untilIdeal();
  await untilSecurity(one, two, true, [/^groups: a$/, /^groups: a$/]);
  assert.equal(await pingWith(text, one.machine.namespace, two.node.ipv4), 3);
  assert.ok(!(await wire.stop()).includes(text), 'the text was readable');
  context.diagnostic(`answers: ${answers.join(' and ')} of 800`);
  context.diagnostic(`drops: ${JSON.stringify(await dropsOf([one, two]))}`);
});

for (const cipher of ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305']) {
  test(`the policy always secures all tunnels, by ${cipher}`, { skip, timeout: 90_000 }, async (context) => {
    const world = await worldFor(context);
    await world.addMachines(2);
    const security = { policy: 'always', ciphers: [cipher] };
    const [one, two] = (await joinWith(world, [[], []], { security })) as [Member, Member];
    await untilSecurity(one, two, true, [/^policy always$/, /^policy always$/]);
    assert.equal((await securityOf(one, two))?.cipher, cipher);
    assert.equal(await isReadable(context, world, one, two), false);
  });
}

test('the policy never leaves all tunnels plain, whatever groups and lists say', {
  skip,
  timeout: 90_000,
}, async (context) => {
  const world = await worldFor(context);
  const [first] = await world.addMachines(2);
  await startWithList(first ?? assert.fail(), ['0.0.0.0/0', '::/0']);
  const security = { policy: 'never' };
  const [one, two] = (await joinWith(world, [['a'], ['a']], { security })) as [Member, Member];
  await untilSecurity(one, two, false, [/^policy never$/, /^policy never$/]);
  assert.equal(await isReadable(context, world, one, two), true);
  assert.match(one.machine.logTail(join('data', 'rd.log'), 1000), /securePeers has no effect/);
});

async function startWithList(machine: Machine, securePeers: readonly string[]): Promise<void> {
  const file = join(machine.directory, 'rd.yaml');
  writeFileSync(file, stringify({ securePeers }));
  await machine.startRd(['--config', file]);
}

test('a list of peers secures the tunnels with them, at both ends', { skip, timeout: 120_000 }, async (context) => {
  const world = await worldFor(context);
  const [first, second] = (await world.addMachines(3)) as [Machine, Machine, Machine];
  await startWithList(first, [second.ipv4, second.ipv6]);
  const [one, two, three] = (await joinWith(world, [[], [], []])) as [Member, Member, Member];
  await untilSecurity(one, two, true, [/^secure peer list here$/, /^asked by peer$/]);
  for (const from of [one, two]) {
    await untilSecurity(from, three, false, [/^no common group$/, /^no common group$/]);
  }
  assert.equal(await isReadable(context, world, one, two), false);
  assert.equal(await isReadable(context, world, three, two), true);

  await three.machine.stopRd();
  await startWithList(three.machine, [two.node.ipv4]);
  await world.untilIdeal();
  await untilSecurity(three, two, true, [/^secure peer list here$/, /^asked by peer$/]);
  await untilSecurity(three, one, false, [/^no common group$/, /^no common group$/]);
  assert.equal(await isReadable(context, world, two, three), false);
});

test('a group that the invitation does not give is refused by name', { skip, timeout: 60_000 }, async (context) => {
  const world = await worldFor(context);
  const [machine] = (await world.addMachines(1)) as [Machine];
  await world.startOm();
  await world.createVi(VI);
  const invitation = await world.invite(VI, ['--groups', 'a,b']);
  const refused = await machine.join(invitation, ['--groups', 'a,root']);
  assert.equal(refused.code, 3, refused.stderr);
  assert.match(refused.stderr, /does not give the group root/);
  const node = await machine.mustJoin(invitation, ['--groups', 'b']);
  assert.deepEqual(node.groups, ['b']);
});
