import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Member } from '../../cli/demo/check.ts';
import { untilTrue } from '../../cli/demo/machine.ts';
import { run, within } from '../../cli/demo/namespaces.ts';
import type { GatewayFlow, GatewayStatistics } from '../../overlay/gateway-status.ts';
import { fetch, gateway, POLICY_HEAD, serve, startManaged, usePolicy } from './managed-nodes.ts';
import { dropsOf, joinAll, skip, VI, worldFor } from './topology.ts';

const OPEN = `${POLICY_HEAD}rules: []\n`;
const PORT = 3128;

test('a node’s gateway redirects connections to another node, and the client notices nothing', {
  skip,
  timeout: 180_000,
}, async (context) => {
  const world = await worldFor(context);
  const machines = await world.addMachines(4);
  await world.startOm();
  await world.createVi(VI, { successors: 2 });
  const invitation = await world.invite(VI, ['--uses', '4']);
  await Promise.all(machines.map((machine) => startManaged(machine, OPEN)));
  const { members } = await joinAll(context, world, machines, invitation, 'at once');
  const [client, server, other, bystander] = members as [Member, Member, Member, Member];

  const big = randomBytes(3_000_000);
  const nginx = serve(server, { 'here.txt': 'the one that was called\n', 'big.bin': 'x'.repeat(3_000_000) });
  context.after(() => nginx.kill('SIGKILL'));
  const files = serve(other, { 'big.bin': big });
  context.after(() => files.kill('SIGKILL'));
  const program = fileURLToPath(new URL('programs/other-server.ts', import.meta.url));
  const where = [other.node.ipv4, String(PORT), join(other.machine.directory, 'web', 'www')];
  const [node = '', ...words] = within(other.machine.namespace, [process.execPath, program, ...where]);
  const answering = spawn(node, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  context.after(() => answering.kill('SIGKILL'));
  await once(answering.stdout, 'data');

  const into = join(client.machine.directory, 'got');
  const get = async (from: Member, name: string): Promise<Buffer> => {
    const { status, exit } = await fetch(from, server, name, { into, seconds: 20 });
    assert.deepEqual([status, exit], [200, 0]);
    return readFileSync(into);
  };
  const here = 'the one that was called\n';
  await untilTrue('nginx answers', 20_000, 100, async () => (await fetch(client, server, 'here.txt')).status === 200);
  assert.equal((await get(client, 'here.txt')).toString(), here);

  await usePolicy(
    client,
    `${POLICY_HEAD}rules:
  - {name: to the other, when: {to: "node:${server.node.name}", protocol: tcp, port: 80}, do: {redirect: "${other.node.ipv4}:${PORT}"}}
  - {name: six, when: {to: "${server.node.ipv6}"}, do: {redirect: "${other.node.ipv6}"}}
`,
  );
  assert.equal((await get(client, 'here.txt')).toString(), `the other one, to ${client.node.ipv4}\n`);
  assert.ok(big.equals(await get(client, 'big.bin')), 'super-packets and their acknowledgements');
  assert.equal((await get(bystander, 'here.txt')).toString(), here, 'another node’s connections are its own');
  // The answer to an echo comes from the address that was asked.
  const echo = await run(within(client.machine.namespace, ['ping', '-n', '-c', '2', '-W', '2', server.node.ipv6]));
  assert.equal(echo.code, 0, echo.stdout);

  const shown = await gateway(client, 'top', '--json');
  const [view] = (JSON.parse(shown.stdout) as { nodes: { statistics: GatewayStatistics; flows: GatewayFlow[] }[] })
    .nodes;
  assert.ok(view !== undefined && view.statistics.redirects.begun >= 3, shown.stdout);
  assert.equal(view.statistics.redirects.refused, 0);
  assert.ok(view.flows.some(({ rule, to }) => rule === 'to the other' && to === server.node.ipv4));
  assert.ok(
    view.flows.every(({ to }) => to !== other.node.ipv4 && to !== other.node.ipv6),
    'flows are between the ends that the client knows',
  );
  assert.equal((await dropsOf([client]))['gatewayRedirect'] ?? 0, 0);

  await usePolicy(client, OPEN);
  assert.equal((await get(client, 'here.txt')).toString(), here);
});
