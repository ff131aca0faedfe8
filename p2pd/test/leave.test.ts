import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatId, type Id } from '../../overlay/id.ts';
import { isAnswered, isIdeal, members, ownersAreUnique, randomId, routesAreRight } from '../../test/sim/checks.ts';
import { Cluster, type SimNode } from '../../test/sim/cluster.ts';

function ideal(count: number, seed: number, loss = 0): Cluster {
  const cluster = new Cluster({ seed });
  for (let i = 0; i < count; i++) cluster.add();
  cluster.until('the ring is ideal', () => isIdeal(cluster), 30_000);
  cluster.run(5000);
  cluster.loss = loss;
  return cluster;
}

/** Requests keys from every member that stays, each 50 ms, and more often than a client would between. */
function probe(cluster: Cluster, leavers: readonly SimNode[], ms: number): string[] {
  const stayers = members(cluster).filter((node) => !leavers.includes(node));
  const keys: Id[] = [...leavers.map(({ id }) => id), ...Array.from({ length: 8 }, () => randomId(cluster.rng))];
  const failures: string[] = [];
  for (let at = 0; at < ms; at += 5) {
    cluster.run(5);
    for (const node of stayers) {
      for (const key of keys) {
        if (!isAnswered(cluster, node, key)) failures.push(`${at} ms: ${formatId(key)} from ${formatId(node.id)}`);
      }
    }
  }
  return failures;
}

test('a node leaves and no request fails', () => {
  for (const count of [2, 3, 5, 6, 8, 24]) {
    for (const seed of [1, 2]) {
      const cluster = ideal(count, seed);
      const leaver = members(cluster)[count >> 1] as SimNode;
      cluster.leave(leaver);
      assert.deepEqual(probe(cluster, [leaver], 6000), [], `seed ${seed}, ${count} nodes`);
      assert.equal(leaver.exited, 'left the ring');
      cluster.until('the ring is ideal', () => isIdeal(cluster), 10_000);
      assert.equal(routesAreRight(cluster, 10), true);
      assert.equal(ownersAreUnique(cluster, 50), true);
    }
  }
});

test('a node leaves while datagrams are lost', () => {
  for (const seed of [11, 12, 13]) {
    const cluster = ideal(12, seed, 0.05);
    const leaver = members(cluster)[5] as SimNode;
    cluster.leave(leaver);
    assert.deepEqual(probe(cluster, [leaver], 6000), [], `seed ${seed}`);
    cluster.until('the ring is ideal', () => isIdeal(cluster), 15_000);
  }
});

test('two neighbours leave at the same time, and one shortly after the other', () => {
  for (const pause of [0, 30, 500, 2050]) {
    for (const count of [3, 6, 7, 16]) {
      const cluster = ideal(count, 20 + count);
      const sorted = members(cluster);
      const leavers = [sorted[1] as SimNode, sorted[2] as SimNode];
      cluster.leave(leavers[0] as SimNode);
      cluster.schedule.after(pause, () => cluster.leave(leavers[1] as SimNode));
      assert.deepEqual(probe(cluster, leavers, 8000), [], `${count} nodes, ${pause} ms`);
      cluster.until('the ring is ideal', () => isIdeal(cluster), 15_000);
    }
  }
});

test('every node but one leaves, one after the other', () => {
  const cluster = ideal(8, 30);
  for (const leaver of members(cluster).slice(0, 7)) {
    cluster.leave(leaver);
    cluster.until('it has left', () => leaver.exited !== undefined, 6000);
    cluster.until('the ring is ideal', () => isIdeal(cluster), 10_000);
    assert.equal(routesAreRight(cluster, 10), true);
  }
  const last = members(cluster)[0] as SimNode;
  cluster.leave(last);
  cluster.run(1);
  assert.equal(last.exited, 'left the ring');
});

test('who leaves before it has joined is gone at once', () => {
  const cluster = ideal(5, 40);
  const node = cluster.add();
  cluster.run(50);
  cluster.leave(node);
  cluster.run(1);
  assert.equal(node.exited, 'left the ring');
  cluster.run(5000);
  assert.equal(isIdeal(cluster), true);
});

test('a leaver whose successor dies meanwhile hands over to the next', () => {
  for (const seed of [51, 52]) {
    const cluster = ideal(8, seed);
    const sorted = members(cluster);
    cluster.kill(sorted[3] as SimNode);
    cluster.leave(sorted[2] as SimNode);
    cluster.until('it has left', () => sorted[2]?.exited !== undefined, 8000);
    cluster.until('the ring is ideal', () => isIdeal(cluster), 15_000);
    assert.equal(routesAreRight(cluster, 10), true);
  }
});

test('one or two neighbours leave rings of many sizes, close after one another, with and without loss', () => {
  for (let seed = 100; seed < 120; seed++) {
    for (const count of [4, 5, 6, 7, 9, 12]) {
      const cluster = ideal(count, 100 * seed + count, seed % 3 === 0 ? 0.05 : 0);
      const sorted = members(cluster);
      const leavers = sorted.slice(1, 2 + (seed % 2));
      const pause = [0, 7, 20, 100, 1000, 2030][seed % 6] as number;
      leavers.forEach((leaver, i) => cluster.schedule.after(i * pause, () => cluster.leave(leaver)));
      const failures = [...probe(cluster, leavers, 400), ...probe(cluster, leavers, pause + 200)];
      cluster.run(1600);
      failures.push(...probe(cluster, leavers, 600));
      assert.deepEqual(failures, [], `seed ${cluster.seed}: ${count} nodes, ${leavers.length} leave`);
      cluster.until('the ring is ideal', () => isIdeal(cluster), 15_000);
    }
  }
});
