import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isIdeal, members, routesAreRight } from '../../test/sim/checks.ts';
import { Cluster, type SimNode } from '../../test/sim/cluster.ts';

function ideal(count: number, seed: number): Cluster {
  const cluster = new Cluster({ seed });
  for (let i = 0; i < count; i++) cluster.add();
  cluster.until('the ring is ideal', () => isIdeal(cluster), 30_000);
  cluster.run(15_000);
  return cluster;
}

const publishes = (cluster: Cluster): number => cluster.nodes.reduce((sum, { rd }) => sum + rd.publishes, 0);
const tunnels = (cluster: Cluster): string =>
  JSON.stringify(
    cluster.nodes.map(({ rd }) => [...rd.ends.values()].map(({ link }) => link.number).sort((a, b) => a - b)),
  );

test('a P2P daemon that is restarted changes neither routes nor tunnels, its own or those of others', () => {
  for (const count of [1, 2, 3, 5, 6, 8, 24]) {
    for (const afterMs of [20, 400, 1000]) {
      const cluster = ideal(count, 10 + count);
      const before = { publishes: publishes(cluster), tunnels: tunnels(cluster) };
      for (const node of [members(cluster)[0], members(cluster).at(-1)]) {
        cluster.restartP2pd(node as SimNode, afterMs);
        cluster.run(10_000);
        const where = `${count} nodes, ${afterMs} ms`;
        assert.equal((node as SimNode).rd.refusals, 0);
        assert.equal(publishes(cluster), before.publishes, `${where}: route changes`);
        assert.equal(tunnels(cluster), before.tunnels, `${where}: tunnels`);
        assert.equal(isIdeal(cluster), true, where);
      }
    }
  }
});

test('all P2P daemons restarted at once change nothing', () => {
  const cluster = ideal(16, 30);
  const before = publishes(cluster);
  for (const node of cluster.nodes) cluster.restartP2pd(node, 300);
  cluster.run(15_000);
  assert.equal(publishes(cluster), before);
  assert.equal(isIdeal(cluster), true);
});

test('a P2P daemon that dies while joining joins again', () => {
  for (const at of [50, 150, 250, 400, 600]) {
    const cluster = ideal(8, 40);
    const node = cluster.add();
    cluster.run(at);
    cluster.restartP2pd(node, 100);
    cluster.until(`restarted at ${at} ms`, () => isIdeal(cluster), 15_000);
    assert.equal(routesAreRight(cluster, 10), true);
  }
});

test('a resource daemon that is restarted is back within five seconds, its P2P daemon still in the ring', () => {
  for (const count of [2, 3, 8, 24]) {
    for (const afterMs of [200, 1500, 3000]) {
      const cluster = ideal(count, 50 + count);
      const node = members(cluster)[1] as SimNode;
      cluster.restartRd(node, afterMs);
      cluster.run(afterMs);
      assert.equal(node.machine?.node?.ring.phase, count > 4 ? 'formed' : 'forming');
      const what = `${count} nodes, away for ${afterMs} ms`;
      cluster.until(`${what}: keys reach their owners`, () => routesAreRight(cluster, 10), 5000);
      cluster.until(`${what}: the ring is ideal`, () => isIdeal(cluster), 15_000);
    }
  }
});

test('a P2P daemon gives up when its resource daemon does not come back', () => {
  const cluster = ideal(3, 90);
  const node = cluster.nodes[0] as SimNode;
  cluster.restartRd(node, 100_000);
  cluster.run(59_000);
  assert.equal(node.exited, undefined);
  cluster.run(2000);
  assert.match(node.exited ?? '', /gone/);
});
