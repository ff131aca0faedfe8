import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isIdeal, members, routesAreRight } from '../../test/sim/checks.ts';
import type { SimNode } from '../../test/sim/sim-node.ts';
import { World } from '../../test/sim/world.ts';

function ideal(count: number, seed: number): World {
  const world = new World({ seed });
  for (let i = 0; i < count; i++) world.add();
  world.until('the ring is ideal', () => isIdeal(world), 30_000);
  world.run(15_000);
  return world;
}

const publishes = (world: World): number => world.nodes.reduce((sum, node) => sum + node.publishes, 0);
const tunnels = (world: World): string =>
  JSON.stringify(
    world.nodes.map(({ tunnelViews }) => tunnelViews.map(({ peer, pair, since }) => `${peer} ${pair} ${since}`).sort()),
  );

test('a P2P daemon that is restarted changes neither routes nor tunnels, its own or those of others', () => {
  for (const count of [1, 2, 3, 5, 6, 8, 24]) {
    for (const afterMs of [20, 400, 1000]) {
      const world = ideal(count, 10 + count);
      const before = { publishes: publishes(world), tunnels: tunnels(world) };
      for (const node of [members(world)[0], members(world).at(-1)]) {
        world.restartP2pd(node as SimNode, afterMs);
        world.run(10_000);
        const where = `${count} nodes, ${afterMs} ms`;
        assert.equal((node as SimNode).refusals, 0);
        assert.equal(publishes(world), before.publishes, `${where}: route changes`);
        assert.equal(tunnels(world), before.tunnels, `${where}: tunnels`);
        assert.equal(isIdeal(world), true, where);
      }
    }
  }
});

test('all P2P daemons restarted at once change nothing', () => {
  const world = ideal(16, 30);
  const before = publishes(world);
  for (const node of world.nodes) world.restartP2pd(node, 300);
  world.run(15_000);
  assert.equal(publishes(world), before);
  assert.equal(isIdeal(world), true);
});

test('a P2P daemon that dies while joining joins again', () => {
  for (const at of [50, 150, 250, 400, 600]) {
    const world = ideal(8, 40);
    const node = world.add();
    world.run(at);
    world.restartP2pd(node, 100);
    world.until(`restarted at ${at} ms`, () => isIdeal(world), 15_000);
    assert.equal(routesAreRight(world, 10), true);
  }
});

test('a resource daemon that is restarted is back within five seconds, its P2P daemon still in the ring', () => {
  for (const count of [2, 3, 8, 24]) {
    for (const afterMs of [200, 1500, 3000]) {
      const world = ideal(count, 50 + count);
      const node = members(world)[1] as SimNode;
      world.restartRd(node, afterMs);
      world.run(afterMs);
      assert.equal(node.machine?.node?.ring.phase, count > 4 ? 'formed' : 'forming');
      const what = `${count} nodes, away for ${afterMs} ms`;
      world.until(`${what}: keys reach their owners`, () => routesAreRight(world, 10), 5000);
      world.until(`${what}: the ring is ideal`, () => isIdeal(world), 15_000);
    }
  }
});

test('a P2P daemon gives up when its resource daemon does not come back', () => {
  const world = ideal(3, 90);
  const node = world.nodes[0] as SimNode;
  world.restartRd(node, 100_000);
  world.run(59_000);
  assert.equal(node.exited, undefined);
  world.run(2000);
  assert.match(node.exited ?? '', /gone/);
});
