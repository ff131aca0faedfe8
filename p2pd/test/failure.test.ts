import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isAnswered,
  isIdeal,
  members,
  ownerOf,
  ownersAreUnique,
  randomId,
  routesAreRight,
} from '../../test/sim/checks.ts';
import { Cluster, type ClusterOptions, type SimNode } from '../../test/sim/cluster.ts';
import { live } from '../../test/sim/soak.ts';

function ideal(count: number, options: ClusterOptions): Cluster {
  const cluster = new Cluster(options);
  for (let i = 0; i < count; i++) cluster.add();
  cluster.until('the ring is ideal', () => isIdeal(cluster), 30_000);
  cluster.run(5000);
  return cluster;
}

function keysAnswered(cluster: Cluster, count: number): true | string {
  for (const node of members(cluster)) {
    for (let i = 0; i < count; i++) {
      const id = randomId(cluster.rng);
      if (!isAnswered(cluster, node, id)) return `${id.toString(16)} from ${node.id.toString(16)} is not answered`;
    }
  }
  return true;
}

/** Kills them, and says how long it took until every key was answered by its right owner again. */
function repairMs(cluster: Cluster, victims: readonly SimNode[]): number {
  for (const victim of victims) cluster.kill(victim);
  const ms = cluster.until('keys reach their owners', () => routesAreRight(cluster, 10), 10_000);
  cluster.until('the ring is ideal', () => isIdeal(cluster), 10_000);
  assert.equal(ownersAreUnique(cluster, 50), true, `seed ${cluster.seed}`);
  return ms;
}

test('one node dies: its keys are answered by its successor', () => {
  for (const count of [2, 3, 5, 6, 8, 24]) {
    for (const seed of [1, 2]) {
      const cluster = ideal(count, { seed });
      const ms = repairMs(cluster, [members(cluster)[count >> 1] as SimNode]);
      assert.ok(ms < 3500, `seed ${seed}: ${count} nodes: ${ms} ms`);
    }
  }
});

test('two and three adjacent nodes die at once', () => {
  for (const [count, dead] of [
    [3, 2],
    [6, 2],
    [8, 2],
    [8, 3],
    [24, 2],
    [24, 3],
  ] as const) {
    for (const seed of [11, 12]) {
      const cluster = ideal(count, { seed });
      const sorted = members(cluster);
      const ms = repairMs(
        cluster,
        Array.from({ length: dead }, (_, i) => sorted.at(i - 1) as SimNode),
      );
      assert.ok(ms < 3500, `seed ${seed}: ${dead} of ${count} nodes: ${ms} ms`);
    }
  }
});

test('no key unanswered five seconds after a death', () => {
  for (const seed of [21, 22]) {
    const cluster = ideal(24, { seed });
    const sorted = members(cluster);
    for (const victim of sorted.filter((_, i) => i % 5 === 2)) cluster.kill(victim);
    cluster.run(5000);
    for (let i = 0; i < 20; i++) {
      assert.equal(keysAnswered(cluster, 10), true, `seed ${seed}`);
      cluster.run(100);
    }
  }
});

test('nodes die and join all the time', () => {
  for (const seed of [31, 32]) {
    const cluster = ideal(20, { seed });
    for (let i = 0; i < 20; i++) {
      const sorted = members(cluster);
      cluster.kill(ownerOf(sorted, randomId(cluster.rng)));
      cluster.add();
      cluster.run(2500);
    }
    cluster.until('the ring is ideal', () => isIdeal(cluster), 20_000);
    cluster.until('keys reach their owners', () => routesAreRight(cluster, 10), 5000);
  }
});

test('a node whose power failed returns as a new incarnation, soon and late', () => {
  for (const pause of [300, 1500, 2500, 6000]) {
    for (const count of [3, 8, 24]) {
      const cluster = ideal(count, { seed: 40 + count });
      const node = members(cluster)[1] as SimNode;
      cluster.kill(node);
      cluster.run(pause);
      cluster.revive(node);
      cluster.until(`back after ${pause} ms`, () => isIdeal(cluster), 20_000);
      cluster.until('keys reach their owners', () => routesAreRight(cluster, 10), 5000);
    }
  }
});

test('all nodes lose power and return', () => {
  for (const seed of [51, 52]) {
    const cluster = ideal(10, { seed });
    const all = members(cluster);
    for (const node of all) cluster.kill(node);
    cluster.run(5000);
    for (const node of all) cluster.revive(node);
    cluster.until('the ring is ideal', () => isIdeal(cluster), 60_000);
  }
});

test('a live node suspected because its answers are lost is found again', () => {
  for (const seed of [61, 62, 63]) {
    const cluster = ideal(12, { seed });
    const sorted = members(cluster);
    const [asker, suspect] = [sorted[3] as SimNode, sorted[4] as SimNode];
    cluster.muted.add(`${suspect.id}>${asker.id}`);
    const lost = (): boolean =>
      asker.machine?.node?.ring.chord.successors.some(({ id }) => id === suspect.id) === false;
    cluster.until('the successor is given up', lost, 10_000);
    cluster.muted.clear();
    cluster.until('the ring is ideal', () => isIdeal(cluster), 60_000);
    cluster.until('keys reach their owners', () => routesAreRight(cluster, 10), 5000);
  }
});

test('a network that broke in two becomes one ring again', () => {
  for (const [count, apart] of [
    [12, 5],
    [12, 6],
    [8, 1],
    [8, 3],
    [4, 2],
    [24, 11],
  ] as const) {
    const cluster = ideal(count, { seed: 70 + count + apart });
    cluster.islands([members(cluster).filter((_, i) => (i * apart) % count < apart)]);
    cluster.run(20_000);
    cluster.islands([]);
    cluster.until(`${apart} of ${count} return`, () => isIdeal(cluster), 120_000, 500);
    cluster.until('keys reach their owners', () => routesAreRight(cluster, 10), 5000);
  }
});

test('two rings of one network, founded apart, become one', () => {
  for (const [one, other] of [
    [6, 7],
    [2, 3],
    [8, 2],
  ] as const) {
    const cluster = new Cluster({ seed: 90 + one });
    const first = Array.from({ length: one }, () => cluster.create());
    const second = Array.from({ length: other }, () => cluster.create());
    cluster.islands([second]);
    for (const node of first) cluster.start(node);
    cluster.until('the first is a ring', () => first.every((node) => node.member), 20_000);
    cluster.hideFromBootstrap = (asker, offered) =>
      second.some(({ rd }) => rd === asker) && first.some(({ rd }) => rd === offered);
    for (const node of second) cluster.start(node);
    cluster.until('the second is a ring', () => second.every((node) => node.member), 30_000);
    cluster.run(60_000);
    cluster.hideFromBootstrap = () => false;
    cluster.islands([]);
    cluster.until(`${one} and ${other}`, () => isIdeal(cluster), 600_000, 1000);
    cluster.until('keys reach their owners', () => routesAreRight(cluster, 10), 5000);
  }
});

test('random lives end well', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const { looks, broken } = live(seed, 20);
    // With living nodes suspected nothing is proven; what is seen is that it is rare.
    assert.ok(broken < looks / 5, `seed ${seed}: invariants did not hold at ${broken} of ${looks} moments`);
  }
});
