import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createNamespaces, ip, run, within } from '../../cli/demo/namespaces.ts';
import type { World } from '../../cli/demo/world.ts';
import { joinAll, type Ring, skip, VI, worldFor } from './topology.ts';
import { transfer } from './transfer.ts';

const LINK_MTU = 1400;
const BYTES = 100_000_000;

/** Three nodes; `narrow` puts a link of MTU 1400 before the last one. */
async function ringWith(context: TestContext, narrow: (world: World) => Promise<void>): Promise<Ring> {
  const world = await worldFor(context, { underlay: 'ipv4' });
  const machines = await world.addMachines(3);
  await narrow(world);
  await world.startOm();
  await world.createVi(VI);
  return joinAll(context, world, machines, await world.invite(VI, ['--uses', '3']), 'at once');
}

async function transferBothWays(context: TestContext, ring: Ring): Promise<void> {
  const [near, far] = [ring.members[0] ?? assert.fail(), ring.members[2] ?? assert.fail()];
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    for (const address of [to.node.ipv4, to.node.ipv6]) {
      const ms = await transfer(from.machine.namespace, to.machine.namespace, address, BYTES);
      const rate = (BYTES * 8) / 1e6 / ms;
      context.diagnostic(`${from.node.name} to ${address}: 100 MB in ${ms} ms, ${rate.toFixed(2)} Gbps`);
    }
  }
}

/** The packets that do not fit vanish without a word, as behind a misconfigured switch or firewall. */
async function silentlyNarrow(world: World): Promise<void> {
  const machine = world.machines[2] ?? assert.fail();
  await ip(world.switch, [`link set ${world.portOf(machine)} mtu ${LINK_MTU}`]);
  // A burst that the device would cut up itself would slip through the narrow port in one piece.
  await ip(machine.namespace, ['link set dev eth0 gso_max_segs 1']);
  for (const other of world.machines) await ip(other.namespace, ['link set dev eth0 gso_max_segs 1']);
}

/** Two routers with a link of MTU 1400 between them, which answer to what does not fit. */
async function routedNarrow(world: World): Promise<void> {
  const machine = world.machines[2] ?? assert.fail();
  const [a, b] = [`${world.id}-ra`, `${world.id}-rb`];
  await createNamespaces([a, b]);
  await ip(undefined, [
    `link add pra netns ${world.switch} type veth peer name eth0 netns ${a}`,
    `link add mid netns ${a} mtu ${LINK_MTU} type veth peer name mid netns ${b} mtu ${LINK_MTU}`,
    `link add eth1 netns ${b} type veth peer name wan netns ${machine.namespace}`,
  ]);
  await ip(world.switch, ['link set pra master br0', 'link set pra up']);
  await ip(a, [
    'link set lo up',
    'link set eth0 up',
    'link set mid up',
    'addr add 10.99.200.1/16 dev eth0',
    'addr add 10.97.0.1/30 dev mid',
    'route add 10.98.0.0/24 via 10.97.0.2',
  ]);
  await ip(b, [
    'link set lo up',
    'link set eth1 up',
    'link set mid up',
    'addr add 10.98.0.1/24 dev eth1',
    'addr add 10.97.0.2/30 dev mid',
    'route add 10.99.0.0/16 via 10.97.0.1',
  ]);
  for (const router of [a, b]) {
    const { code, stderr } = await run(within(router, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']));
    assert.equal(code, 0, stderr);
  }
  await ip(machine.namespace, [
    'link del eth0',
    'link set wan up',
    'addr add 10.98.0.2/24 dev wan',
    'route add default via 10.98.0.1',
  ]);
  for (const namespace of [world.om, ...world.machines.slice(0, 2)].map((other) => other.namespace)) {
    await ip(namespace, ['route add 10.98.0.0/24 via 10.99.200.1']);
  }
}

test('a path MTU of 1400 with routers that say so', { skip, timeout: 120_000 }, async (context) => {
  await transferBothWays(context, await ringWith(context, routedNarrow));
});

test('a path MTU of 1400 where what does not fit vanishes', { skip, timeout: 120_000 }, async (context) => {
  await transferBothWays(context, await ringWith(context, silentlyNarrow));
});
