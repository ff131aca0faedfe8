import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Id } from '../../overlay/id.ts';
import type { Proximity } from '../../overlay/vi.ts';
import { follow, isIdeal, members, ownerOf, randomId } from '../../test/sim/checks.ts';
import { invariantsHold } from '../../test/sim/invariants.ts';
import { LatencyModel } from '../../test/sim/latency.ts';
import type { SimNode } from '../../test/sim/sim-node.ts';
import { World } from '../../test/sim/world.ts';
import { CANDIDATES_MAX } from '../core/limits.ts';
import { bitOf } from '../core/near-fingers.ts';

const COUNT = 32;
const SETTLE_MS = 120_000;

type Modelled = { readonly world: World; readonly model: LatencyModel };

/** Nodes that become a ring on a base network with the model's delays. */
function ringOf(seed: number, proximity: Proximity): Modelled {
  const model = new LatencyModel({ seed, nodes: COUNT });
  const world = new World({
    seed,
    definition: { proximity, successors: 2 },
    latency: (from, to) => model.rttMs(from, to) / 2,
    weather: { jitterMs: 0 },
  });
  for (let i = 0; i < COUNT; i++) world.add();
  world.until('a ring', () => isIdeal(world, false), 60_000);
  return { world, model };
}

function settledOf(seed: number, proximity: Proximity): Modelled {
  const modelled = ringOf(seed, proximity);
  modelled.world.run(SETTLE_MS);
  return modelled;
}

function fingersOf(node: SimNode): [number, Id][] {
  return (node.machine?.node?.fingers.entries ?? []).map(([bit, { id }]) => [bit, id]);
}

/** Mean round-trip time to fingers in their own stretches. */
function meanFingerMs(world: World, model: LatencyModel): number {
  const times: number[] = [];
  for (const node of members(world)) {
    for (const [bit, id] of fingersOf(node)) {
      const finger = world.nodes.find((other) => other.id === id);
      if (finger !== undefined && bitOf(node.id, id) === bit) times.push(model.rttMs(node.index, finger.index));
    }
  }
  return times.reduce((sum, ms) => sum + ms, 0) / times.length;
}

/** Mean time by the routes in effect from every node to some others, milliseconds. */
function meanPathMs(world: World, model: LatencyModel): number {
  let sum = 0;
  let count = 0;
  for (const from of world.nodes) {
    for (let step = 1; step < COUNT; step += 3) {
      const to = world.nodes[(from.index + step) % COUNT] as SimNode;
      let node = from;
      for (let hops = 0; node !== to; hops++) {
        assert.ok(hops < 32, 'a loop');
        const route = node.routes.find(({ after, until }) =>
          after < until ? after < to.id && to.id <= until : after < to.id || to.id <= until,
        );
        const next = world.nodes.find(({ id }) => id === route?.to) as SimNode;
        sum += model.rttMs(node.index, next.index);
        node = next;
      }
      count++;
    }
  }
  return sum / count;
}

test('fingers become near ones of their stretches, paths shorter, and the ring stays as it is', () => {
  const means = new Map<Proximity, { finger: number; path: number }>();
  for (const proximity of ['none', 'pns', 'prs', 'both'] as const) {
    const { world, model } = settledOf(7, proximity);
    const isExact = proximity === 'none' || proximity === 'prs';
    assert.equal(isIdeal(world, isExact), true);
    assert.equal(invariantsHold(world), true);
    const sorted = members(world);
    for (const node of sorted) {
      for (let i = 0; i < 10; i++) {
        const id = randomId(world.rng);
        assert.equal(follow(world, node, id).owner, ownerOf(sorted, id));
      }
    }
    means.set(proximity, { finger: meanFingerMs(world, model), path: meanPathMs(world, model) });
  }
  const of = (proximity: Proximity): { finger: number; path: number } =>
    means.get(proximity) as { finger: number; path: number };
  const text = JSON.stringify([...means]);
  assert.equal(of('prs').finger, of('none').finger, text);
  assert.ok(of('pns').finger < 0.8 * of('none').finger, text);
  assert.ok(of('pns').path < of('none').path, text);
  assert.ok(of('prs').path < of('none').path, text);
  assert.ok(of('both').path < of('none').path, text);
});

test('candidates and measurements are bounded', () => {
  const { world } = ringOf(3, 'both');
  for (let second = 0; second < 120; second++) {
    world.run(1000);
    for (const { machine } of members(world)) {
      for (let bit = 0; bit < 64; bit++) {
        const count = [...(machine?.node?.proximity.candidatesOf(bit) ?? [])].length;
        assert.ok(count <= CANDIDATES_MAX, `${count} candidates`);
      }
    }
  }
  // Two a second at most, since they began.
  const { measurements } = world;
  assert.ok(measurements <= (COUNT * 2 * world.now) / 1000, `${measurements} measurements`);
  world.run(60_000);
  const more = world.measurements - measurements;
  assert.ok(more > 0 && more <= COUNT * 60, `${more} measurements in a minute when all is known`);
});

test('a near finger that dies gives way, and the routes with it', () => {
  const { world } = settledOf(9, 'both');
  for (const victim of [3, 17, 28]) {
    world.kill(world.nodes[victim] as SimNode);
    world.until('the ring mends', () => isIdeal(world, false), 20_000);
    world.run(15_000);
    const sorted = members(world);
    const dead = world.nodes[victim]?.id;
    for (const node of sorted) {
      assert.ok(!fingersOf(node).some(([, id]) => id === dead), 'a finger to a dead node');
      for (let i = 0; i < 20; i++) {
        const id = randomId(world.rng);
        assert.equal(follow(world, node, id).owner, ownerOf(sorted, id));
      }
    }
  }
});

test('where nothing can be measured, all is as without proximity', () => {
  const world = new World({ seed: 4, definition: { proximity: 'both' } });
  world.answersProbes = false;
  for (let i = 0; i < 20; i++) world.add();
  world.until('a ring', () => isIdeal(world), 20_000);
  world.run(60_000);
  assert.equal(isIdeal(world), true);
  assert.ok(world.measurements > 0);
});

test('where it is off nothing is measured and nobody is looked for', () => {
  const run = (proximity: Proximity | undefined): World => {
    const world = new World({ seed: 5, definition: proximity === undefined ? {} : { proximity } });
    for (let i = 0; i < 20; i++) world.add();
    world.run(30_000);
    assert.equal(isIdeal(world), true);
    return world;
  };
  const [unsaid, off] = [run(undefined), run('none')];
  assert.equal(unsaid.datagrams, off.datagrams);
  assert.equal(unsaid.measurements + off.measurements, 0);
});
