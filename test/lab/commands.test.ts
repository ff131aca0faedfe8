/** Every command against real daemons. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { HTTP_PORT } from '../../cli/demo/agent-client.ts';
import { keyAddressOf } from '../../cli/demo/check.ts';
import { untilTrue } from '../../cli/demo/machine.ts';
import { within } from '../../cli/demo/namespaces.ts';
import { longestPath, routeTables } from '../../cli/demo/paths.ts';
import { ownerOf } from '../../cli/ring-picture.ts';
import { formatId, idOfKey } from '../../overlay/id.ts';
import { ringFor, skip, VI } from './topology.ts';

test('the commands show a running ring', { skip, timeout: 90_000 }, async (context) => {
  const { world, members } = await ringFor(context, 6, { order: 'at once', definition: { successors: 2 } });
  const { machine, node } = members[0] ?? assert.fail();
  const here = ['--run', machine.run];
  const admin = ['--data', world.om.data];

  const plain: [string[], RegExp][] = [
    [['status'], new RegExp(`${node.name} in VI ${VI}`)],
    [['ring'], /this node/],
    [['tunnels'], /successor/],
    [['routes'], /this node/],
    [['key', 'hello'], new RegExp(formatId(idOfKey('hello')))],
    [['flows'], /PROTOCOL|is connected over VI/],
    [['ping', 'n2', '-c', '1'], /1 received/],
    [['ping', 'n2', '-6', '-c', '1'], /1 received/],
    [['ping', 'key:hello', '-c', '1'], /is responsible for it now/],
    [['bugreport', '--output', join(machine.directory, 'report.json')], /report\.json/],
  ];
  for (const [args, expected] of plain) {
    const stdout = await machine.mustCommand([...args, ...here]);
    assert.match(stdout, expected, args.join(' '));
    assert.doesNotMatch(stdout, /undefined|NaN|\[object/, args.join(' '));
  }
  for (const args of [
    ['vi', 'list'],
    ['vi', 'show', VI],
    ['node', 'list', VI],
    ['invite', VI, '--list'],
  ]) {
    const stdout = await world.om.mustCommand([...args, ...admin]);
    assert.doesNotMatch(stdout, /undefined|NaN|\[object/, args.join(' '));
    JSON.parse(await world.om.mustCommand([...args, ...admin, '--json']));
  }

  const key = JSON.parse(await machine.mustCommand(['key', 'hello', '--json', ...here])) as { owner: { name: string } };
  const nodes = members.map((member) => member.node);
  assert.equal(key.owner.name, ownerOf(nodes, idOfKey('hello'))?.name);

  const owner = members.find((member) => member.node.name === key.owner.name) ?? assert.fail();
  const client = members.find((member) => member !== owner) ?? assert.fail();
  await owner.machine.agent();
  const agent = await client.machine.agent();
  assert.equal((await agent.fetchOne(keyAddressOf(client.node, idOfKey('hello')))).by, owner.node.name);
  // One that stays open: which end remembers a closed connection depends on who closed first.
  const [program = '', ...rest] = within(client.machine.namespace, [
    process.execPath,
    '--eval',
    `require('node:net').connect(${HTTP_PORT}, '${keyAddressOf(client.node, idOfKey('hello'))}')`,
  ]);
  const open = spawn(program, rest, { stdio: 'ignore' });
  context.after(() => open.kill('SIGKILL'));
  await untilTrue('the connection to be among the flows', 10_000, 200, async () => {
    const { flows } = JSON.parse(await owner.machine.mustCommand(['flows', '--json', '--run', owner.machine.run])) as {
      flows: { local: { key: string | null }; remote: { node: string | null } }[];
    };
    const answered = flows.filter(({ local }) => local.key === formatId(idOfKey('hello')));
    return answered.some(({ remote }) => remote.node === client.node.name);
  });

  const unreachable = await machine.command(['ping', '192.0.2.1', '-c', '1', ...here]);
  assert.equal(unreachable.code, 4, unreachable.stderr);
});

test('a trace shows the nodes that the routes say', { skip, timeout: 60_000 }, async (context) => {
  const { members } = await ringFor(context, 6, { order: 'at once', definition: { successors: 2 } });
  const nameOf = (id: bigint): string => members.find(({ node }) => node.id === id)?.node.name ?? '?';
  const tables = await routeTables(members.map(({ machine }) => machine));
  const { key, path } = longestPath(tables, ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
  const way = path.map(nameOf);
  const from = members.find(({ node }) => node.name === way[0]) ?? assert.fail();
  // A neighbour is reached by the tunnel to it, in one hop, by either family.
  const neighbour = nameOf(from.node.successors[0] ?? 0n);
  for (const [target, names] of [
    [[`key:${key}`], way.slice(1)],
    [[neighbour, '-4'], [neighbour]],
    [[neighbour, '-6'], [neighbour]],
  ] as const) {
    const text = await from.machine.mustCommand(['trace', ...target, '--json', '--run', from.machine.run]);
    const { reached, hops } = JSON.parse(text) as { reached: boolean; hops: { name: string }[] };
    assert.equal(reached, true);
    assert.deepEqual(
      hops.map(({ name }) => name),
      names,
    );
  }
  context.diagnostic(`trace: ${way.join(' → ')}`);
});
