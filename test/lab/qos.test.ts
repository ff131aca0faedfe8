import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Member } from '../../cli/demo/check.ts';
import { untilTrue } from '../../cli/demo/machine.ts';
import { run, within } from '../../cli/demo/namespaces.ts';
import { formatId } from '../../overlay/id.ts';
import type { PeerQos } from '../../overlay/messages/control.ts';
import { dropsOf, membersOf, ringFor, skip, tunnelsOf } from './topology.ts';
import { transfer } from './transfer.ts';

type Pinged = { readonly received: number; readonly leastMs: number };

async function ping({ machine }: Member, address: string, count: number): Promise<Pinged> {
  const command = ['ping', '-n', '-q', '-c', String(count), '-i', '0.02', '-W', '2', address];
  const { stdout } = await run(within(machine.namespace, command));
  const received = Number(/(\d+) received/.exec(stdout)?.[1] ?? Number.NaN);
  return { received, leastMs: Number(/= ([\d.]+)\//.exec(stdout)?.[1] ?? Number.NaN) };
}

async function qos({ machine }: Member, ...args: string[]): Promise<PeerQos[]> {
  const text = await machine.mustCommand(['qos', ...args, '--json', '--run', machine.run]);
  return (JSON.parse(text) as { nodes: { peers: PeerQos[] }[] }).nodes[0]?.peers ?? [];
}

/** Bounds so wide that only no effect, or one of another unit, is outside. */
function assertAbout(value: number, wanted: number, what: string): void {
  assert.ok(value >= 0.95 * wanted && value < 5 * wanted, `${what} is ${value}, and should be about ${wanted}`);
}

test('quality of service by definition and by command', { skip, timeout: 180_000 }, async (context) => {
  const ring = await ringFor(context, 3, {
    order: 'at once',
    definition: { shape: { out: { delay: '20ms' }, in: { delay: '10ms' } } },
  });
  const [one, two] = ring.members as [Member, Member, Member];
  const address = two.node.ipv4;

  // Each end, each way.
  const defined = await ping(one, address, 20);
  context.diagnostic(`by definition: ${defined.leastMs} ms where 60 were asked for`);
  assertAbout(defined.leastMs, 60, 'the round-trip time by definition');

  const [set] = await qos(one, 'set', two.node.name, '--delay', '100ms');
  assert.deepEqual(set?.out, { shape: { delayMs: 100 }, from: 'command' });
  const slower = await ping(one, address, 10);
  context.diagnostic(`by command: ${slower.leastMs} ms where 230 were asked for`);
  assertAbout(slower.leastMs, 230, 'the round-trip time by command');

  // It replaces the delay. A megabyte at a megabyte per second.
  await qos(one, 'set', address, '--out', '--rate', '8mbit');
  await qos(one, 'set', address, '--in', '--rate', '1gbit');
  const ms = await transfer(one.machine.namespace, two.machine.namespace, address, 1_000_000);
  context.diagnostic(`a megabyte at 8mbit took ${ms} ms`);
  assertAbout(ms, 1000, 'the time of a transfer');

  await qos(one, 'set', formatId(two.node.id), '--in', '--loss', '50%');
  const lossy = await ping(one, address, 100);
  context.diagnostic(`with a loss of 50%: ${lossy.received} of 100 answers`);
  assert.ok(lossy.received > 20 && lossy.received < 80, `${lossy.received} of 100 came back`);
  const drops = await dropsOf([one]);
  assert.ok((drops['shaperLost'] ?? 0) >= 100 - lossy.received);

  const tunnel = (await tunnelsOf(one)).find(({ peer }) => peer === two.node.id);
  assert.deepEqual(tunnel?.shape, { out: { rateBitsPerSecond: 8_000_000 }, in: { loss: 0.5 } });
  const [cleared] = await qos(one, 'clear', two.node.name);
  assert.deepEqual(cleared?.out, { shape: { delayMs: 20 }, from: 'vi' });
  assert.equal((await ping(one, address, 20)).received, 20);

  const unknown = await one.machine.command(['qos', 'set', 'nobody', '--delay', '1ms', '--run', one.machine.run]);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /There is no tunnel to 'nobody' here; 'p2pxbone tunnels' lists the peers/);
});

test('a setting outlives its tunnel', { skip, timeout: 120_000 }, async (context) => {
  const ring = await ringFor(context, 2, { order: 'sequential' });
  const [one, two] = ring.members as [Member, Member];
  await qos(one, 'set', two.node.name, '--both', '--delay', '50ms');
  await two.machine.stopRd();
  await untilTrue('the tunnel to go', 20_000, 100, async () => (await tunnelsOf(one)).length === 0);
  assert.equal((await qos(one, 'show'))[0]?.hasTunnel, false);
  await two.machine.startRd();
  await ring.world.untilIdeal();
  const [back] = (await membersOf(ring.world)).slice(1);
  const { leastMs, received } = await ping(one, back?.node.ipv4 ?? '', 10);
  assert.equal(received, 10);
  assertAbout(leastMs, 100, 'the round-trip time');
  await qos(one, 'clear', '--all');
  assert.equal((await qos(one, 'show'))[0]?.out.from, 'none');
  assert.ok((await ping(one, back?.node.ipv4 ?? '', 10)).leastMs < 50);
});
