import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toId } from '../../overlay/id.ts';
import {
  invariantsHold,
  isAnswered,
  isIdeal,
  members,
  ownersAreUnique,
  randomId,
  routesAreRight,
} from '../../test/sim/checks.ts';
import { Cluster, type ClusterOptions } from '../../test/sim/cluster.ts';

/** All at once; returns the cluster when the ring is ideal, and after how many milliseconds that was. */
function grown(count: number, options: ClusterOptions): { cluster: Cluster; ms: number } {
  const cluster = new Cluster(options);
  for (let i = 0; i < count; i++) cluster.add();
  const ms = cluster.until(`${count} nodes at once become an ideal ring`, () => isIdeal(cluster, false), 10_000);
  cluster.until('fingers', () => isIdeal(cluster), 20_000);
  return { cluster, ms };
}

function assertQuiet(cluster: Cluster): void {
  const where = `seed ${cluster.seed}`;
  assert.equal(isIdeal(cluster), true, where);
  assert.equal(routesAreRight(cluster, 20), true, where);
  assert.equal(ownersAreUnique(cluster, 100), true, where);
  assert.equal(invariantsHold(cluster), true, where);
}

for (const count of [1, 2, 3, 4, 5, 6, 7, 8, 13, 24, 40]) {
  test(`${count} nodes at once become an ideal ring`, () => {
    for (const seed of [1, 2, 3]) {
      const { cluster, ms } = grown(count, { seed });
      assert.ok(ms < 5000, `seed ${seed}: ${ms} ms`);
      cluster.run(10_000);
      assertQuiet(cluster);
    }
  });
}

test('40 nodes one after another: the ring is ideal after each, and in between the invariants hold', () => {
  for (const seed of [11, 12]) {
    const cluster = new Cluster({ seed });
    for (let count = 1; count <= 40; count++) {
      cluster.add();
      cluster.until(
        `${count} nodes`,
        () => {
          assert.equal(invariantsHold(cluster), true, `seed ${seed}`);
          return isIdeal(cluster, false);
        },
        5000,
        20,
      );
    }
    cluster.until('fingers', () => isIdeal(cluster), 20_000);
    cluster.run(10_000);
    assertQuiet(cluster);
  }
});

test('a key stays answered while nodes join', () => {
  for (const seed of [21, 22, 23]) {
    const { cluster } = grown(6, { seed });
    const probes = members(cluster);
    for (let i = 0; i < 12; i++) cluster.add();
    let unanswered = 0;
    for (let i = 0; i < 800; i++) {
      cluster.run(10);
      for (const node of probes) if (!isAnswered(cluster, node, randomId(cluster.rng))) unanswered++;
    }
    assert.equal(unanswered, 0, `seed ${seed}`);
    assert.equal(isIdeal(cluster), true, `seed ${seed}`);
  }
});

test('tunnels lead to ring neighbours and fingers only', () => {
  for (const seed of [31, 32]) {
    const { cluster } = grown(40, { seed });
    cluster.run(20_000);
    const total = cluster.nodes.reduce((sum, { rd }) => sum + rd.tunnels, 0);
    const average = total / 40;
    assert.ok(average <= 2 * (4 + Math.log2(40)), `seed ${seed}: ${average} tunnels each`);
    const held = cluster.nodes.map(({ rd }) => [...rd.ends.values()].filter(({ hold }) => hold !== 'none').length);
    assert.ok(Math.max(...held) <= 4 + 1 + Math.ceil(Math.log2(40)), `seed ${seed}: ${Math.max(...held)} held`);
  }
});

test('ids next to each other and across the end of the circle', () => {
  for (const seed of [41, 42, 43]) {
    const cluster = new Cluster({ seed });
    for (let i = -8n; i < 8n; i++) cluster.add(toId(i));
    cluster.add(toId(1n << 63n));
    cluster.until('the ring is ideal', () => isIdeal(cluster), 20_000);
    cluster.run(10_000);
    assertQuiet(cluster);
  }
});

test('lists of every length, and records of the largest size fit into datagrams', () => {
  for (const successors of [2, 3, 5, 8]) {
    const { cluster } = grown(14, { seed: 50 + successors, definition: { successors }, wire: true, contactBytes: 96 });
    cluster.run(5000);
    assertQuiet(cluster);
  }
});

test('every twentieth datagram is lost, delays vary tenfold', () => {
  for (const seed of [61, 62, 63]) {
    const cluster = new Cluster({ seed, loss: 0.05, delayMs: [5, 50] });
    for (let i = 0; i < 24; i++) cluster.add();
    cluster.until('the ring is ideal', () => isIdeal(cluster), 30_000);
    cluster.run(30_000);
    cluster.until('the ring is ideal again', () => isIdeal(cluster), 10_000);
    assert.equal(routesAreRight(cluster, 20), true, `seed ${seed}`);
  }
});

test('lookups find the owner that the arithmetic says', () => {
  const { cluster } = grown(24, { seed: 71, wire: true });
  cluster.run(5000);
  const sorted = members(cluster);
  let request = 0;
  for (const node of sorted) {
    for (const owner of sorted) cluster.lookup(node, ++request, owner.id);
  }
  cluster.run(3000);
  request = 0;
  for (const node of sorted) {
    for (const owner of sorted) assert.equal(node.rd.lookups.get(++request)?.owner, owner.id);
  }
});

test('what a quiet node does is little', () => {
  const { cluster } = grown(24, { seed: 81 });
  cluster.run(20_000);
  const before = cluster.datagrams;
  const commits = cluster.nodes.reduce((sum, { rd }) => sum + rd.commits, 0);
  cluster.run(60_000);
  assert.ok((cluster.datagrams - before) / 24 / 60 < 10, 'datagrams per second and node');
  assert.equal(
    cluster.nodes.reduce((sum, { rd }) => sum + rd.commits, 0),
    commits,
    'no route changes',
  );
});
