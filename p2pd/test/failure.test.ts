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
import type { SimNode } from '../../test/sim/sim-node.ts';
import { World, type WorldOptions } from '../../test/sim/world.ts';

function ideal(count: number, options: WorldOptions): World {
  const world = new World(options);
  for (let i = 0; i < count; i++) world.add();
  world.until('the ring is ideal', () => isIdeal(world), 30_000);
  world.run(5000);
  return world;
}

function keysAnswered(world: World, count: number): true | string {
  for (const node of members(world)) {
    for (let i = 0; i < count; i++) {
      const id = randomId(world.rng);
      if (!isAnswered(world, node, id)) return `${id.toString(16)} from ${node.id.toString(16)} is not answered`;
    }
  }
  return true;
}

/** Kills them, and says how long it took until every key was answered by its right owner again. */
function repairMs(world: World, victims: readonly SimNode[]): number {
  for (const victim of victims) world.kill(victim);
  const ms = world.until('keys reach their owners', () => routesAreRight(world, 10), 10_000);
  world.until('the ring is ideal', () => isIdeal(world), 10_000);
  assert.equal(ownersAreUnique(world, 50), true, `seed ${world.seed}`);
  return ms;
}

test('one node dies: its keys are answered by its successor', () => {
  for (const count of [2, 3, 5, 6, 8, 24]) {
    for (const seed of [1, 2]) {
      const world = ideal(count, { seed });
      const ms = repairMs(world, [members(world)[count >> 1] as SimNode]);
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
      const world = ideal(count, { seed });
      const sorted = members(world);
      const ms = repairMs(
        world,
        Array.from({ length: dead }, (_, i) => sorted.at(i - 1) as SimNode),
      );
      assert.ok(ms < 3500, `seed ${seed}: ${dead} of ${count} nodes: ${ms} ms`);
    }
  }
});

test('no key unanswered five seconds after a death', () => {
  for (const seed of [21, 22]) {
    const world = ideal(24, { seed });
    const sorted = members(world);
    for (const victim of sorted.filter((_, i) => i % 5 === 2)) world.kill(victim);
    world.run(5000);
    for (let i = 0; i < 20; i++) {
      assert.equal(keysAnswered(world, 10), true, `seed ${seed}`);
      world.run(100);
    }
  }
});

test('nodes die and join all the time', () => {
  for (const seed of [31, 32]) {
    const world = ideal(20, { seed });
    for (let i = 0; i < 20; i++) {
      const sorted = members(world);
      world.kill(ownerOf(sorted, randomId(world.rng)));
      world.add();
      world.run(2500);
    }
    world.until('the ring is ideal', () => isIdeal(world), 20_000);
    world.until('keys reach their owners', () => routesAreRight(world, 10), 5000);
  }
});

test('a node whose power failed returns as a new incarnation, soon and late', () => {
  for (const pause of [300, 1500, 2500, 6000]) {
    for (const count of [3, 8, 24]) {
      const world = ideal(count, { seed: 40 + count });
      const node = members(world)[1] as SimNode;
      world.kill(node);
      world.run(pause);
      world.revive(node);
      world.until(`back after ${pause} ms`, () => isIdeal(world), 20_000);
      world.until('keys reach their owners', () => routesAreRight(world, 10), 5000);
    }
  }
});

test('all nodes lose power and return', () => {
  for (const seed of [51, 52]) {
    const world = ideal(10, { seed });
    const all = members(world);
    for (const node of all) world.kill(node);
    world.run(5000);
    for (const node of all) world.revive(node);
    world.until('the ring is ideal', () => isIdeal(world), 60_000);
  }
});

test('a live node suspected because its answers are lost is found again', () => {
  for (const seed of [61, 62, 63]) {
    const world = ideal(12, { seed });
    const sorted = members(world);
    const [asker, suspect] = [sorted[3] as SimNode, sorted[4] as SimNode];
    world.planes.muted.add(`${suspect.index}>${asker.index}`);
    const lost = (): boolean =>
      asker.machine?.node?.ring.chord.successors.some(({ id }) => id === suspect.id) === false;
    world.until('the successor is given up', lost, 10_000);
    world.planes.muted.clear();
    world.until('the ring is ideal', () => isIdeal(world), 60_000);
    world.until('keys reach their owners', () => routesAreRight(world, 10), 5000);
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
    const world = ideal(count, { seed: 70 + count + apart });
    world.islands([members(world).filter((_, i) => (i * apart) % count < apart)]);
    world.run(20_000);
    world.islands([]);
    world.until(`${apart} of ${count} return`, () => isIdeal(world), 120_000, 500);
    world.until('keys reach their owners', () => routesAreRight(world, 10), 5000);
  }
});

test('two rings of one network, founded apart, become one', () => {
  for (const [one, other] of [
    [6, 7],
    [2, 3],
    [8, 2],
  ] as const) {
    const world = new World({ seed: 90 + one });
    const first = Array.from({ length: one }, () => world.create());
    const second = Array.from({ length: other }, () => world.create());
    world.managerIsEverywhere = true;
    world.islands([second]);
    for (const node of first) world.start(node);
    world.until('the first is a ring', () => first.every((node) => node.member), 20_000);
    world.manager.hides = (asker, offered) =>
      second.some(({ index }) => index === asker) && first.some(({ index }) => index === offered);
    for (const node of second) world.start(node);
    world.until('the second is a ring', () => second.every((node) => node.member), 30_000);
    world.run(60_000);
    world.manager.hides = () => false;
    world.islands([]);
    world.until(`${one} and ${other}`, () => isIdeal(world), 600_000, 1000);
    world.until('keys reach their owners', () => routesAreRight(world, 10), 5000);
  }
});
