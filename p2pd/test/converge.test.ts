import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toId } from '../../overlay/id.ts';
import { isAnswered, isIdeal, members, ownersAreUnique, randomId, routesAreRight } from '../../test/sim/checks.ts';
import { invariantsHold } from '../../test/sim/invariants.ts';
import { World, type WorldOptions } from '../../test/sim/world.ts';

/** All at once; returns the world when the ring is ideal, and after how many milliseconds that was. */
function grown(count: number, options: WorldOptions): { world: World; ms: number } {
  const world = new World(options);
  for (let i = 0; i < count; i++) world.add();
  const ms = world.until(`${count} nodes at once become an ideal ring`, () => isIdeal(world, false), 10_000);
  world.until('fingers', () => isIdeal(world), 20_000);
  return { world, ms };
}

function assertQuiet(world: World): void {
  const where = `seed ${world.seed}`;
  assert.equal(isIdeal(world), true, where);
  assert.equal(routesAreRight(world, 20), true, where);
  assert.equal(ownersAreUnique(world, 100), true, where);
  assert.equal(invariantsHold(world), true, where);
}

for (const count of [1, 2, 3, 4, 5, 6, 7, 8, 13, 24, 40]) {
  test(`${count} nodes at once become an ideal ring`, () => {
    for (const seed of [1, 2, 3]) {
      const { world, ms } = grown(count, { seed });
      assert.ok(ms < 5000, `seed ${seed}: ${ms} ms`);
      world.run(10_000);
      assertQuiet(world);
    }
  });
}

test('40 nodes one after another: the ring is ideal after each, and in between the invariants hold', () => {
  for (const seed of [11, 12]) {
    const world = new World({ seed });
    for (let count = 1; count <= 40; count++) {
      world.add();
      world.until(
        `${count} nodes`,
        () => {
          assert.equal(invariantsHold(world), true, `seed ${seed}`);
          return isIdeal(world, false);
        },
        5000,
        20,
      );
    }
    world.until('fingers', () => isIdeal(world), 20_000);
    world.run(10_000);
    assertQuiet(world);
  }
});

test('a key stays answered while nodes join', () => {
  for (const seed of [21, 22, 23]) {
    const { world } = grown(6, { seed });
    const probes = members(world);
    for (let i = 0; i < 12; i++) world.add();
    let unanswered = 0;
    for (let i = 0; i < 800; i++) {
      world.run(10);
      for (const node of probes) if (!isAnswered(world, node, randomId(world.rng))) unanswered++;
    }
    assert.equal(unanswered, 0, `seed ${seed}`);
    assert.equal(isIdeal(world), true, `seed ${seed}`);
  }
});

test('tunnels lead to ring neighbours and fingers only', () => {
  for (const seed of [31, 32]) {
    const { world } = grown(40, { seed });
    world.run(20_000);
    const total = world.nodes.reduce((sum, { tunnels }) => sum + tunnels.size, 0);
    const average = total / 40;
    assert.ok(average <= 2 * (4 + Math.log2(40)), `seed ${seed}: ${average} tunnels each`);
    const held = world.nodes.map(({ tunnelViews }) => tunnelViews.filter(({ held }) => held).length);
    assert.ok(Math.max(...held) <= 4 + 1 + Math.ceil(Math.log2(40)), `seed ${seed}: ${Math.max(...held)} held`);
  }
});

test('ids next to each other and across the end of the circle', () => {
  for (const seed of [41, 42, 43]) {
    const world = new World({ seed });
    for (let i = -8n; i < 8n; i++) world.add(toId(i));
    world.add(toId(1n << 63n));
    world.until('the ring is ideal', () => isIdeal(world), 20_000);
    world.run(10_000);
    assertQuiet(world);
  }
});

test('lists of every length, and records of the largest size fit into datagrams', () => {
  for (const successors of [2, 3, 5, 8]) {
    const { world } = grown(14, { seed: 50 + successors, definition: { successors }, wire: true, contactBytes: 96 });
    world.run(5000);
    assertQuiet(world);
  }
});

test('every twentieth datagram is lost, delays vary tenfold', () => {
  for (const seed of [61, 62, 63]) {
    const world = new World({ seed, weather: { loss: 0.05, jitterMs: 45 } });
    for (let i = 0; i < 24; i++) world.add();
    world.until('the ring is ideal', () => isIdeal(world), 30_000);
    world.run(30_000);
    world.until('the ring is ideal again', () => isIdeal(world), 10_000);
    assert.equal(routesAreRight(world, 20), true, `seed ${seed}`);
  }
});

test('lookups find the owner that the arithmetic says', () => {
  const { world } = grown(24, { seed: 71, wire: true });
  world.run(5000);
  const sorted = members(world);
  let request = 0;
  for (const node of sorted) {
    for (const owner of sorted) world.lookup(node, ++request, owner.id);
  }
  world.run(3000);
  request = 0;
  for (const node of sorted) {
    for (const owner of sorted) assert.equal(node.lookups.get(++request)?.owner, owner.id);
  }
});

test('what a quiet node does is little', () => {
  const { world } = grown(24, { seed: 81 });
  world.run(20_000);
  const before = world.datagrams;
  const commits = world.nodes.reduce((sum, node) => sum + node.commits, 0);
  world.run(60_000);
  assert.ok((world.datagrams - before) / 24 / 60 < 10, 'datagrams per second and node');
  assert.equal(
    world.nodes.reduce((sum, node) => sum + node.commits, 0),
    commits,
    'no route changes',
  );
});
