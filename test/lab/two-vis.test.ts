import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Agent } from '../../cli/demo/agent-client.ts';
import { keyAddressOf } from '../../cli/demo/check.ts';
import type { Machine } from '../../cli/demo/machine.ts';
import { createNamespaces, ip } from '../../cli/demo/namespaces.ts';
import type { World } from '../../cli/demo/world.ts';
import { ping } from '../../cli/probe.ts';
import { ownerOf } from '../../cli/ring-picture.ts';
import { idOfKey } from '../../overlay/id.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { skip, worldFor } from './topology.ts';

const MACHINES = 4;
const POOL = { ipv4Pool: '10.77.0.0/24', linkPool: '10.78.0.0/24' };

type Placed = { readonly machine: Machine; readonly netns: string; readonly node: NodeStatus; readonly agent: Agent };

/** One node of the VI on every machine, in a namespace of its own there, with an HTTP server that names VI and machine. */
async function joinIn(context: TestContext, world: World, vi: string): Promise<Placed[]> {
  await world.createVi(vi, POOL);
  const invitation = await world.invite(vi, ['--uses', String(MACHINES)]);
  const names = world.machines.map((machine) => `${machine.namespace}${vi}`);
  await createNamespaces(names);
  await Promise.all(names.map((name) => ip(name, ['link set lo up'])));
  await Promise.all(
    world.machines.map((machine, i) => machine.mustJoin(invitation, ['--netns', names[i] ?? assert.fail()])),
  );
  const nodes = await world.untilIdeal({ vi });
  return Promise.all(
    world.machines.map(async (machine, i) => {
      const netns = names[i] ?? assert.fail();
      const agent = await Agent.start(netns, `${vi}-${machine.name}`);
      context.after(() => agent.release());
      return { machine, netns, node: nodes[i] ?? assert.fail(), agent };
    }),
  );
}

test('two VIs with the same addresses on the same machines do not mix', { skip, timeout: 120_000 }, async (context) => {
  const world = await worldFor(context);
  await world.addMachines(MACHINES);
  await world.startOm();
  const red = await joinIn(context, world, 'red');
  const blue = await joinIn(context, world, 'blue');
  const addresses = (places: readonly Placed[]): string[] => places.map(({ node }) => node.ipv4).sort();
  assert.deepEqual(addresses(red), addresses(blue));

  for (const places of [red, blue]) {
    const nodes = places.map(({ node }) => node);
    const vi = nodes[0]?.vi.name ?? assert.fail();
    for (const from of places) {
      for (const to of places.filter((place) => place !== from)) {
        for (const [family, address] of [
          [4, to.node.ipv4],
          [6, to.node.ipv6],
        ] as const) {
          const { received } = await ping({ namespace: `/run/netns/${from.netns}`, address, family, count: 1 });
          assert.equal(received, 1, `${vi}: ${from.node.name} to ${to.node.name} by IPv${family}`);
        }
        const stable = await from.agent.fetchOne(to.node.ipv4);
        assert.equal(stable.by, `${vi}-${to.machine.name}`);
      }
      const id = idOfKey(`key of ${from.node.name}`);
      const owner = ownerOf(nodes, id)?.name;
      assert.equal((await from.agent.fetchOne(keyAddressOf(from.node, id))).by, `${vi}-${owner}`);
    }
  }
  const [redOne, blueTwo] = [red[0] ?? assert.fail(), blue[1] ?? assert.fail()];
  // With a route into its own VI for the other one's prefix, a node gets no further than that VI.
  await ip(redOne.netns, [`route add ${blueTwo.node.vi.prefix} dev ${redOne.node.interface}`]);
  const across = await ping({
    namespace: `/run/netns/${redOne.netns}`,
    address: blueTwo.node.ipv6,
    family: 6,
    count: 1,
    wait: 1,
  });
  assert.equal(across.received, 0, 'a node of one VI reaches an address of the other');
  context.diagnostic(`2 VIs of ${MACHINES} nodes, addresses ${addresses(red).join(' ')} in both`);
});

test('two VIs with the same addresses in one namespace are refused', { skip, timeout: 60_000 }, async (context) => {
  const world = await worldFor(context);
  const [machine] = await world.addMachines(1);
  assert.ok(machine);
  await world.startOm();
  await world.createVi('red', POOL);
  await world.createVi('blue', POOL);
  await machine.mustJoin(await world.invite('red'));
  const refused = await machine.join(await world.invite('blue'));
  assert.equal(refused.code, 1, refused.stderr);
  assert.match(refused.stderr, /--netns/);
});
