import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Machine } from '../../cli/demo/machine.ts';
import { createNamespaces, ip, run, within } from '../../cli/demo/namespaces.ts';
import type { World } from '../../cli/demo/world.ts';
import { joinAll, type Ring, skip, tunnelsOf, VI, worldFor } from './topology.ts';
import { transfer } from './transfer.ts';

const LINK_MTU = 1400;
/** Largest TCP segment towards the overlay manager. */
const CLAMPED_BYTES = 1300;
/** For which a bridge leaves room beyond its port's MTU. */
const VLAN_TAG_BYTES = 4;
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

/** Whether an unfragmented packet of so many bytes gets through on the base network. */
async function passes(from: Machine, to: string, bytes: number): Promise<boolean> {
  const headers = 28;
  const command = ['ping', '-n', '-c', '1', '-W', '1', '-M', 'do', '-s', String(bytes - headers), to];
  return (await run(within(from.namespace, command))).code === 0;
}

/** The link is as narrow as the test says, and no narrower. */
async function checkNarrow(ring: Ring): Promise<void> {
  const [near, far] = [ring.members[0] ?? assert.fail(), ring.members[2] ?? assert.fail()];
  assert.equal(await passes(far.machine, near.machine.ipv4, LINK_MTU), true, 'a packet that fits');
  assert.equal(
    await passes(far.machine, near.machine.ipv4, LINK_MTU + VLAN_TAG_BYTES + 1),
    false,
    'a packet that does not fit',
  );
}

async function transferBothWays(context: TestContext, ring: Ring): Promise<void> {
  const [near, far] = [ring.members[0] ?? assert.fail(), ring.members[2] ?? assert.fail()];
  await checkNarrow(ring);
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    for (const address of [to.node.ipv4, to.node.ipv6]) {
      const ms = await transfer(from.machine.namespace, to.machine.namespace, address, BYTES);
      const rate = (BYTES * 8) / 1e6 / ms;
      const { mtu } = (await tunnelsOf(from)).find(({ peer }) => peer === to.node.id) ?? assert.fail();
      assert.ok(mtu < LINK_MTU, `the tunnel says that ${mtu} bytes fit`);
      context.diagnostic(
        `inner MTU ${mtu}, ${from.node.name} to ${address}: 100 MB in ${ms} ms, ${rate.toFixed(2)} Gbps`,
      );
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
  // The way to the overlay manager is the kernel's TCP, for which a network like this one has to be told.
  await ip(machine.namespace, [`route add ${world.om.ipv4}/32 dev eth0 advmss ${CLAMPED_BYTES}`]);
  await ip(world.om.namespace, [`route add ${machine.ipv4}/32 dev eth0 advmss ${CLAMPED_BYTES}`]);
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
