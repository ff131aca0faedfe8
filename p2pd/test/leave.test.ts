import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatId, type Id } from '../../overlay/id.ts';
import { isAnswered, isIdeal, members, ownersAreUnique, randomId, routesAreRight } from '../../test/sim/checks.ts';
import type { SimNode } from '../../test/sim/sim-node.ts';
import { World } from '../../test/sim/world.ts';

function ideal(count: number, seed: number, loss = 0): World {
  const world = new World({ seed });
  for (let i = 0; i < count; i++) world.add();
  world.until('the ring is ideal', () => isIdeal(world), 30_000);
  world.run(5000);
  world.network.weather.loss = loss;
  return world;
}

/** Requests keys from every member that stays, each 50 ms, and more often than a client would between. */
function probe(world: World, leavers: readonly SimNode[], ms: number): string[] {
  const stayers = members(world).filter((node) => !leavers.includes(node));
  const keys: Id[] = [...leavers.map(({ id }) => id), ...Array.from({ length: 8 }, () => randomId(world.rng))];
  const failures: string[] = [];
  for (let at = 0; at < ms; at += 5) {
    world.run(5);
    for (const node of stayers) {
      for (const key of keys) {
        if (!isAnswered(world, node, key)) failures.push(`${at} ms: ${formatId(key)} from ${formatId(node.id)}`);
      }
    }
  }
  return failures;
}

test('a node leaves and no request fails', () => {
  for (const count of [2, 3, 5, 6, 8, 24]) {
    for (const seed of [1, 2]) {
      const world = ideal(count, seed);
      const leaver = members(world)[count >> 1] as SimNode;
      world.leave(leaver);
      assert.deepEqual(probe(world, [leaver], 6000), [], `seed ${seed}, ${count} nodes`);
      assert.equal(leaver.exited, 'left the ring');
      world.until('the ring is ideal', () => isIdeal(world), 10_000);
      assert.equal(routesAreRight(world, 10), true);
      assert.equal(ownersAreUnique(world, 50), true);
    }
  }
});

test('a node leaves while datagrams are lost', () => {
  for (const seed of [11, 12, 13]) {
    const world = ideal(12, seed, 0.05);
    const leaver = members(world)[5] as SimNode;
    world.leave(leaver);
    assert.deepEqual(probe(world, [leaver], 6000), [], `seed ${seed}`);
    world.until('the ring is ideal', () => isIdeal(world), 15_000);
  }
});

test('two neighbours leave at the same time, and one shortly after the other', () => {
  for (const pause of [0, 30, 500, 2050]) {
    for (const count of [3, 6, 7, 16]) {
      const world = ideal(count, 20 + count);
      const sorted = members(world);
      const leavers = [sorted[1] as SimNode, sorted[2] as SimNode];
      world.leave(leavers[0] as SimNode);
      world.later(pause, () => world.leave(leavers[1] as SimNode));
      assert.deepEqual(probe(world, leavers, 8000), [], `${count} nodes, ${pause} ms`);
      world.until('the ring is ideal', () => isIdeal(world), 15_000);
    }
  }
});

test('every node but one leaves, one after the other', () => {
  const world = ideal(8, 30);
  for (const leaver of members(world).slice(0, 7)) {
    world.leave(leaver);
    world.until('it has left', () => leaver.exited !== undefined, 6000);
    world.until('the ring is ideal', () => isIdeal(world), 10_000);
    assert.equal(routesAreRight(world, 10), true);
  }
  const last = members(world)[0] as SimNode;
  world.leave(last);
  world.run(1);
  assert.equal(last.exited, 'left the ring');
});

test('who leaves before it has joined is gone at once', () => {
  const world = ideal(5, 40);
  const node = world.add();
  world.run(50);
  world.leave(node);
  world.run(1);
  assert.equal(node.exited, 'left the ring');
  world.run(5000);
  assert.equal(isIdeal(world), true);
});

test('a leaver whose successor dies meanwhile hands over to the next', () => {
  for (const seed of [51, 52]) {
    const world = ideal(8, seed);
    const sorted = members(world);
    world.kill(sorted[3] as SimNode);
    world.leave(sorted[2] as SimNode);
    world.until('it has left', () => sorted[2]?.exited !== undefined, 8000);
    world.until('the ring is ideal', () => isIdeal(world), 15_000);
    assert.equal(routesAreRight(world, 10), true);
  }
});

test('one or two neighbours leave rings of many sizes, close after one another, with and without loss', () => {
  for (let seed = 100; seed < 120; seed++) {
    for (const count of [4, 5, 6, 7, 9, 12]) {
      const world = ideal(count, 100 * seed + count, seed % 3 === 0 ? 0.05 : 0);
      const sorted = members(world);
      const leavers = sorted.slice(1, 2 + (seed % 2));
      const pause = [0, 7, 20, 100, 1000, 2030][seed % 6] as number;
      leavers.forEach((leaver, i) => world.later(i * pause, () => world.leave(leaver)));
      const failures = [...probe(world, leavers, 400), ...probe(world, leavers, pause + 200)];
      world.run(1600);
      failures.push(...probe(world, leavers, 600));
      assert.deepEqual(failures, [], `seed ${world.seed}: ${count} nodes, ${leavers.length} leave`);
      world.until('the ring is ideal', () => isIdeal(world), 15_000);
    }
  }
});
