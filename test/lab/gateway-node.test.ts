import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Member } from '../../cli/demo/check.ts';
import { untilTrue } from '../../cli/demo/machine.ts';
import type { GatewayFlow, GatewayStatistics } from '../../overlay/gateway-status.ts';
import { fetch, gateway, POLICY_HEAD, policyOf, serve, startManaged } from './managed-nodes.ts';
import { dropsOf, joinAll, type Ring, skip, untilTunnelsNeeded, VI, worldFor } from './topology.ts';

const NODES = 8;
const HEAD = `${POLICY_HEAD}audit: {directory: audit}\nconnectionCache: {denyFor: 0s}\n`;
const OPEN = `${HEAD}rules: []\n`;
const NO_SONGS = `${HEAD}rules:\n  - {name: no songs, when: {file: {name: ["*.mp3"]}}, do: reject}\n`;

/** Two nodes and the one through which the first one's packets to the second go. */
async function transitIn({ members }: Ring): Promise<{ client: Member; transit: Member; server: Member }> {
  for (const client of members) {
    for (const server of members) {
      if (client === server) continue;
      const words = ['trace', server.node.name, '--ipv4', '--json', '--run', client.machine.run];
      const { stdout } = await client.machine.command(words);
      const { hops, reached } = JSON.parse(stdout) as { hops: { name: string | null }[]; reached: boolean };
      const transit = members.find(({ node }) => node.name === hops[0]?.name);
      if (reached && hops.length > 1 && transit !== undefined) return { client, transit, server };
    }
  }
  return assert.fail('all nodes are neighbours');
}

function toldBy({ machine, node }: Member): { event_type: string; alert?: { rule: string } }[] {
  const file = join(machine.directory, 'audit', `${VI}.${node.name}`, 'eve.json');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as { event_type: string });
}

test('a node’s gateway manages what passes through it, between two others', {
  skip,
  timeout: 300_000,
}, async (context) => {
  const world = await worldFor(context);
  const machines = await world.addMachines(NODES);
  await world.startOm();
  await world.createVi(VI, { successors: 2 });
  const invitation = await world.invite(VI, ['--uses', String(NODES)]);
  await Promise.all(machines.map((machine) => startManaged(machine, OPEN)));
  const ring = await joinAll(context, world, machines, invitation, 'at once');
  await untilTunnelsNeeded(ring, 60_000);
  const { client, transit, server } = await transitIn(ring);
  context.diagnostic(`${client.node.name} to ${server.node.name} by ${transit.node.name}`);

  const nginx = serve(server, { 'note.txt': 'hello\n', 'song.mp3': 'la la\n', 'big.bin': 'x'.repeat(3_000_000) });
  context.after(() => nginx.kill('SIGKILL'));
  await untilTrue('nginx answers', 20_000, 100, async () => (await fetch(client, server, 'note.txt')).status === 200);
  assert.deepEqual(await fetch(client, server, 'song.mp3'), { status: 200, bytes: 6, exit: 0 });
  assert.deepEqual(await fetch(client, server, 'big.bin'), { status: 200, bytes: 3_000_000, exit: 0 });

  writeFileSync(policyOf(transit.machine), NO_SONGS);
  const reloaded = await gateway(transit, 'reload');
  assert.equal(reloaded.stdout, 'The policy is in force: 1 rules.\n', reloaded.stderr);
  assert.deepEqual(await fetch(client, server, 'song.mp3'), { status: 0, bytes: 0, exit: 56 });
  assert.deepEqual(await fetch(client, server, 'note.txt'), { status: 200, bytes: 6, exit: 0 });

  writeFileSync(policyOf(transit.machine), `${HEAD}rules: [{do: nothing}]\n`);
  const refused = await gateway(transit, 'reload');
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /policy\.yaml:4:/);
  assert.equal((await fetch(client, server, 'song.mp3')).exit, 56, 'a policy with a mistake changes nothing');

  const shown = await gateway(transit, 'top', '--json');
  const [view] = (JSON.parse(shown.stdout) as { nodes: { statistics: GatewayStatistics; flows: GatewayFlow[] }[] })
    .nodes;
  assert.ok(
    view?.flows.some(
      ({ application, rule, to }) => application === 'http' && rule === 'no songs' && to === server.node.ipv4,
    ),
  );
  assert.equal(view?.statistics.drops['gatewayRejected'], 2);
  assert.equal((await dropsOf([transit]))['gatewayRejected'], 2);
  // The ring is nobody's to manage.
  assert.ok(view.flows.every(({ toPort, fromPort }) => toPort !== 4747 && fromPort !== 4747));

  writeFileSync(policyOf(transit.machine), OPEN);
  assert.equal((await gateway(transit, 'reload')).code, 0);
  assert.deepEqual(await fetch(client, server, 'song.mp3'), { status: 200, bytes: 6, exit: 0 });

  await transit.machine.stopRd();
  const alerts = toldBy(transit).filter(({ event_type }) => event_type === 'alert');
  assert.deepEqual(
    alerts.map(({ alert }) => alert?.rule),
    ['no songs', 'no songs'],
  );
  assert.ok(toldBy(transit).some(({ event_type }) => event_type === 'flow'));
  // A policy that cannot be used is said before anything is begun.
  writeFileSync(policyOf(transit.machine), 'rules: 3\n');
  await assert.rejects(
    transit.machine.startRd(['--config', join(transit.machine.directory, 'rd.yaml')]),
    /policy\.yaml/,
  );
});
