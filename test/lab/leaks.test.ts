import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pingAllPairs } from '../../cli/demo/check.ts';
import { type Machine, untilTrue } from '../../cli/demo/machine.ts';
import { namespacesWithPrefix, processesIn, run, within } from '../../cli/demo/namespaces.ts';
import { membersOf, ringFor, skip, VI, worldFor } from './topology.ts';

const ROUNDS = 10;

/** Everything that a daemon could leave behind in its namespace. */
async function traces(machine: Machine): Promise<string> {
  const commands = [
    ['ip', '-br', 'link'],
    ['ip', '-4', 'rule'],
    ['ip', '-6', 'rule'],
    ['ip', '-4', 'route', 'show', 'table', 'all'],
    ['ip', '-6', 'route', 'show', 'table', 'all'],
  ];
  const shown = await Promise.all(commands.map((command) => run(within(machine.namespace, command))));
  const processes = await processesIn(machine.namespace);
  return [...shown.map(({ stdout }) => stdout), `${processes.length} processes`].join('\n');
}

async function untilClean(machine: Machine, clean: string): Promise<void> {
  let now = '';
  try {
    await untilTrue(
      'the daemon to leave nothing behind',
      5000,
      100,
      async () => (now = await traces(machine)) === clean,
    );
  } catch {
    assert.equal(now, clean);
  }
}

test('start, stop and kill leave nothing behind, ten times over', { skip, timeout: 240_000 }, async (context) => {
  const { world } = await ringFor(context, 2, { order: 'at once' });
  const [machine] = await world.addMachines(1);
  assert.ok(machine);
  await untilTrue('the kernel to have looked for duplicate addresses', 10_000, 100, async () => {
    const tentative = await run(within(machine.namespace, ['ip', '-6', 'addr', 'show', 'tentative']));
    return tentative.stdout.trim() === '';
  });
  const clean = await traces(machine);
  const invitation = await world.invite(VI);
  await machine.mustJoin(invitation);
  const namespaces = await namespacesWithPrefix(world.id);
  for (let round = 0; round < ROUNDS; round++) {
    await world.untilIdeal({ timeoutMs: 30_000 });
    if (round % 2 === 0) {
      await machine.stopRd();
      await untilClean(machine, clean);
    } else {
      // What the kernel does not remove with the processes, the next start takes back; the next stop shows it.
      await machine.killDaemons();
      await untilTrue(
        'the processes to be gone',
        5000,
        50,
        async () => (await processesIn(machine.namespace)).length === 0,
      );
    }
    await machine.startRd();
  }
  await world.untilIdeal({ timeoutMs: 30_000 });
  assert.deepEqual((await pingAllPairs(await membersOf(world))).faults, []);
  assert.deepEqual(await namespacesWithPrefix(world.id), namespaces);

  await machine.mustCommand(['leave', VI, '--run', machine.run]);
  const { nodes } = await machine.status();
  assert.deepEqual(nodes, []);
  await machine.stopRd();
  await untilClean(machine, clean);
  context.diagnostic(`${ROUNDS} rounds of stop or kill and start: interfaces, rules, routes and processes as before`);
});

test('a daemon keeps nothing of nodes that have joined and left', { skip, timeout: 120_000 }, async (context) => {
  const { world } = await ringFor(context, 2, { order: 'at once' });
  const [machine] = await world.addMachines(1);
  assert.ok(machine);
  const invitation = await world.invite(VI, ['--uses', '100']);
  await machine.startRd();
  const { pid } = await machine.status();
  const seen: string[] = [];
  for (let round = 0; round < 4; round++) {
    await machine.mustJoin(invitation);
    await machine.mustCommand(['leave', VI, '--run', machine.run]);
    const descriptors = readdirSync(`/proc/${pid}/fd`).length;
    seen.push(`${descriptors} descriptors\n${await traces(machine)}`);
  }
  // The first round loads code and opens what stays open.
  assert.deepEqual(new Set(seen.slice(1)).size, 1, seen.slice(1).join('\n---\n'));
  assert.equal((await machine.status()).pid, pid);
});

test('the daemon hosts no more nodes than its configuration says', { skip, timeout: 60_000 }, async (context) => {
  const world = await worldFor(context);
  const [machine] = await world.addMachines(1);
  assert.ok(machine);
  const config = join(machine.directory, 'rd.yaml');
  writeFileSync(config, 'nodesMax: 1\n');
  await world.startOm();
  await world.createVi('first');
  await world.createVi('second', { ipv4Pool: '10.87.0.0/16', linkPool: '10.88.0.0/16' });
  await machine.startRd(['--config', config]);
  await machine.mustJoin(await world.invite('first'));
  const { code, stderr } = await machine.join(await world.invite('second'));
  assert.equal(code, 1, stderr);
  assert.match(stderr, /limit|nodesMax/);
});

test('a second daemon in the same place is refused', { skip, timeout: 60_000 }, async (context) => {
  const world = await worldFor(context);
  const [machine] = await world.addMachines(1);
  assert.ok(machine);
  await machine.startRd();
  const { code, stderr } = await machine.command(['rd', 'start', '--run', machine.run, '--data', machine.data]);
  assert.notEqual(code, 0);
  assert.match(stderr.trim().split('\n').at(-1) ?? '', /^p2pxbone: /);
  await machine.status();
});
