import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Member } from '../../cli/demo/check.ts';
import { untilTrue } from '../../cli/demo/machine.ts';
import type { GatewayStatistics } from '../../overlay/gateway-status.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { fetch, gateway, POLICY_HEAD, serve, startManaged, usePolicy } from './managed-nodes.ts';
import { dropsOf, joinAll, skip, VI, worldFor } from './topology.ts';

const BYTES = 1_500_000;
const SLOW_MBITS = 5;
const FAST_MBITS = 60;
/** Less what may go at once. */
const SLOW_SECONDS = (BYTES * 8) / (SLOW_MBITS * 1e6) - 0.4;
const limited = (mbits: number): string =>
  `${POLICY_HEAD}limits: {web: {rate: ${mbits} Mbit/s}}\nrules: [{when: {port: 80}, do: {limit: web}}]\n`;

test('a policy’s limit and a tunnel’s shape hold together, whichever is the narrower, at either end', {
  skip,
  timeout: 180_000,
}, async (context) => {
  const world = await worldFor(context);
  const machines = await world.addMachines(2);
  await world.startOm();
  await world.createVi(VI);
  const invitation = await world.invite(VI, ['--uses', '2']);
  await Promise.all(machines.map((machine) => startManaged(machine, `${POLICY_HEAD}rules: []\n`)));
  const { members } = await joinAll(context, world, machines, invitation, 'at once');
  const [client, server] = members as [Member, Member];
  const content = randomBytes(BYTES);
  const nginx = serve(server, { 'file.bin': content });
  context.after(() => nginx.kill('SIGKILL'));
  await untilTrue('nginx answers', 20_000, 100, async () => (await fetch(client, server, 'file.bin')).status === 200);

  const into = join(client.machine.directory, 'got');
  const seconds = async (): Promise<number> => {
    const since = systemClock.now();
    const fetched = await fetch(client, server, 'file.bin', { into, seconds: 30 });
    assert.deepEqual(fetched, { status: 200, bytes: BYTES, exit: 0 });
    assert.ok(content.equals(readFileSync(into)), 'not what was sent');
    return (systemClock.now() - since) / 1000;
  };
  const shape = async (at: Member, way: string, mbits: number): Promise<void> => {
    const peer = members.find((member) => member !== at);
    const words = [
      'qos',
      'set',
      peer?.node.name ?? '',
      way,
      '--rate',
      `${mbits}mbit`,
      '--delay',
      '5ms',
      '--queue',
      '1MB',
    ];
    const set = await at.machine.command([...words, '--run', at.machine.run]);
    assert.equal(set.code, 0, set.stderr);
  };
  const waited = async (at: Member): Promise<number> => {
    const { stdout } = await gateway(at, 'top', '--json', '--flows', '0');
    const [view] = (JSON.parse(stdout) as { nodes: { statistics: GatewayStatistics }[] }).nodes;
    return view?.statistics.limits.find(({ name }) => name === 'web')?.waited ?? 0;
  };

  const free = await seconds();
  assert.ok(free < SLOW_SECONDS, `${free} s without any limit`);
  // At the client, packets come by the shaper's thread to the gateway, which keeps them, and leave by it.
  await shape(client, '--in', FAST_MBITS);
  await usePolicy(client, limited(SLOW_MBITS));
  const narrowLimit = await seconds();
  assert.ok(narrowLimit > SLOW_SECONDS, `limit behind the shape: ${narrowLimit} s`);
  assert.ok((await waited(client)) > 10, 'nothing has waited for the limit');
  await usePolicy(client, limited(FAST_MBITS));
  await shape(client, '--in', SLOW_MBITS);
  const narrowShape = await seconds();
  assert.ok(narrowShape > SLOW_SECONDS, `shape before the limit: ${narrowShape} s`);
  await client.machine.command(['qos', 'clear', '--all', '--run', client.machine.run]);
  await usePolicy(client, `${POLICY_HEAD}rules: []\n`);

  // At the server the limit comes first: what it lets go is shaped when it is sent.
  await shape(server, '--out', FAST_MBITS);
  await usePolicy(server, limited(SLOW_MBITS));
  const limitFirst = await seconds();
  assert.ok(limitFirst > SLOW_SECONDS, `limit before the shape: ${limitFirst} s`);
  await usePolicy(server, limited(FAST_MBITS));
  await shape(server, '--out', SLOW_MBITS);
  const shapeLast = await seconds();
  assert.ok(shapeLast > SLOW_SECONDS, `shape behind the limit: ${shapeLast} s`);
  const drops = await dropsOf(members);
  assert.equal(drops['gatewayLineFull'] ?? 0, 0);
  context.diagnostic(
    `free ${free.toFixed(2)} s; ${[narrowLimit, narrowShape, limitFirst, shapeLast].map((s) => s.toFixed(2)).join(', ')} s`,
  );
});
