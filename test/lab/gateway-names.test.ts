/** Policies of virtual nodes that name nodes and security groups: real nodes, certificates and an overlay manager. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Member } from '../../cli/demo/check.ts';
import { type Machine, untilTrue } from '../../cli/demo/machine.ts';
import { run, within } from '../../cli/demo/namespaces.ts';
import type { World } from '../../cli/demo/world.ts';
import { gateway, POLICY_HEAD, policyOf, serve, startManaged, usePolicy } from './managed-nodes.ts';
import { membersOf, skip, VI, worldFor } from './topology.ts';

const NODES = 6;
const rules = (...texts: string[]): string =>
  `${POLICY_HEAD}connectionCache: {denyFor: 0s}\nrules: [${texts.join(', ')}]\n`;

const useRules = (member: Member, ...texts: string[]): Promise<string> => usePolicy(member, rules(...texts));

async function reaches(from: Member, address: string): Promise<boolean> {
  const url = `http://${address.includes(':') ? `[${address}]` : address}/`;
  const command = ['curl', '-s', '-m', '3', '-o', '/dev/null', '-w', '%{http_code}', url];
  return (await run(within(from.machine.namespace, command))).stdout !== '000';
}

async function joinInGroups(world: World, groups: readonly string[]): Promise<Member[]> {
  const machines = world.machines;
  await world.startOm();
  await world.createVi(VI, { successors: 2 });
  for (const [i, group] of groups.entries()) {
    const machine = machines[i] as Machine;
    await startManaged(machine, rules());
    await machine.mustJoin(await world.invite(VI, ['--groups', group]), []);
  }
  await world.untilIdeal();
  return membersOf(world);
}

test('a policy allows and denies by node and by group, and goes by who is in a group now', {
  skip,
  timeout: 300_000,
}, async (context) => {
  const world = await worldFor(context);
  await world.addMachines(NODES);
  const members = await joinInGroups(world, ['staff', 'guests', 'staff', 'guests', 'staff', 'guests']);
  const [server, guest, worker] = members as [Member, Member, Member];
  const tell = (member: Member): string => member.node.name;

  const [, , , , neighbour] = members as [Member, Member, Member, Member, Member];
  for (const member of [server, neighbour]) {
    const nginx = serve(member, {});
    context.after(() => nginx.kill('SIGKILL'));
  }
  for (const member of members.slice(1)) {
    await untilTrue(`${tell(member)} reaches the server`, 20_000, 200, () => reaches(member, server.node.ipv4));
  }
  const said = await useRules(
    server,
    '{name: no guests, when: {from: "group:guests"}, do: reject}',
    '{when: {from: "node:nobody"}, do: reject}',
  );
  const guests = members.filter(({ node }) => node.groups.includes('guests')).map(tell);
  assert.match(said, /warning: Nobody in the virtual Internet is 'node:nobody' now/);
  const [, listed = ''] = /^group:guests: (.*)$/m.exec(said) ?? [];
  assert.deepEqual(listed.split(', ').sort(), guests.sort(), said);
  for (const member of members.slice(1)) {
    const isGuest = member.node.groups.includes('guests');
    for (const address of [server.node.ipv4, server.node.ipv6]) {
      assert.equal(await reaches(member, address), !isGuest, `${tell(member)} to ${address}`);
    }
  }

  await useRules(
    server,
    `{when: {from: "node:${tell(guest)}"}, do: accept}`,
    '{when: {from: "group:guests"}, do: reject}',
  );
  assert.equal(await reaches(guest, server.node.ipv4), true, 'the one guest that is named');
  assert.equal(await reaches(members[3] as Member, server.node.ipv4), false);

  // The worker comes back as a guest, under the same address and key; nobody reads a policy again.
  await useRules(server, '{name: no guests, when: {from: "group:guests"}, do: reject}');
  assert.equal(await reaches(worker, server.node.ipv4), true);
  const { ipv4 } = worker.node;
  await worker.machine.command(['leave', VI, '--run', worker.machine.run]);
  await worker.machine.mustJoin(await world.invite(VI, ['--groups', 'guests']));
  await world.untilIdeal();
  const again =
    (await membersOf(world)).find(({ node }) => node.name === tell(worker)) ?? assert.fail('it is not back');
  assert.equal(again.node.ipv4, ipv4);
  // Heartbeats tell of it: every 8 seconds.
  await untilTrue(
    'the worker is a guest to the server',
    20_000,
    500,
    async () => !(await reaches(again, server.node.ipv4)),
  );
  await sleep(1000);
  assert.equal(await reaches(again, server.node.ipv4), false);
  assert.ok(await reaches(again, neighbour.node.ipv4), 'others go by policies of their own');

  const explained = await gateway(
    server,
    'explain',
    policyOf(server.machine),
    '--from',
    `node:${tell(again)}`,
    '--to',
    server.node.ipv4,
  );
  assert.match(explained.stdout, /^reject by rule 1, "no guests"/, explained.stderr);
  assert.match(explained.stdout, new RegExp(`\\nfrom is node ${tell(again)}, in guests\\n`));

  // On a router nobody is known.
  const refused = await server.machine.command(['gateway', 'check', policyOf(server.machine)]);
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /'group:guests' is known in a virtual Internet only: name it in sets, with addresses/);

  // The overlay manager is not needed for those who are known.
  world.om.kill([world.omPid ?? assert.fail()]);
  assert.equal((await gateway(server, 'reload')).code, 0);
  assert.equal(await reaches(again, server.node.ipv4), false);
});
