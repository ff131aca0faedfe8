/** The referee sees what it is there for: each of these rings is broken by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toId } from '../../overlay/id.ts';
import { isIdeal, members } from './checks.ts';
import { Faults } from './faults.ts';
import { Forwarding } from './forwarding.ts';
import { invariantsHold } from './invariants.ts';
import { Ownership } from './ownership.ts';
import { forgottenLeases, loosePairs, lostPairs } from './pairing.ts';
import { randomPlan } from './random-plan.ts';
import { Referee } from './referee.ts';
import type { SimNode } from './sim-node.ts';
import { World } from './world.ts';

function ideal(count: number): { world: World; referee: Referee; sorted: SimNode[] } {
  const world = new World({ seed: 5 });
  const referee = new Referee(world, new Faults(world, { ...randomPlan(1, { minutes: 3 }), steps: [] }), true);
  for (let i = 0; i < count; i++) world.add();
  world.until('the ring is ideal', () => isIdeal(world), 60_000);
  referee.run(20_000);
  return { world, referee, sorted: members(world) };
}

/** The node's data plane has this range for its own from now on, whatever its daemons want. */
function seize(node: SimNode, afterOf: SimNode | undefined): void {
  const until = node.id;
  const other = { kind: 'tunnel', peer: until } as const;
  const ranges =
    afterOf === undefined
      ? [{ until, hop: other }]
      : [
          { until, hop: { kind: 'local' } as const },
          { until: afterOf.id, hop: other },
        ].sort((a, b) => (a.until < b.until ? -1 : 1));
  const image = { exact: node.forwarding?.image.exact ?? new Map(), prefixes: ['fd00::/64'], ranges };
  node.forwarding = new Forwarding(image, () => undefined);
}

test('a ring that is well is found well', () => {
  const { world, referee } = ideal(12);
  assert.equal(invariantsHold(world), true);
  assert.deepEqual(loosePairs(world), []);
  assert.equal(lostPairs(world), undefined);
  assert.equal(forgottenLeases(world), undefined);
  assert.equal(referee.findings.broken, 0);
});

test('keys that nobody delivers, and keys that two deliver', () => {
  for (const [isSeized, what] of [
    [false, /nobody delivers/],
    [true, /2 nodes deliver/],
  ] as const) {
    const { world, referee, sorted } = ideal(12);
    seize(sorted[4] as SimNode, isSeized ? sorted[2] : undefined);
    world.watch.rerouted?.(sorted[4] as SimNode);
    referee.run(10_000);
    assert.throws(() => referee.run(60_000), what);
  }
});

test('a tunnel whose other end is gone, or has another pair', () => {
  for (const [harm, what] of [
    [(tunnels: SimNode['tunnels'], [peer]: [bigint]) => tunnels.delete(peer as never), /no other end/],
    [
      (tunnels: SimNode['tunnels'], [peer]: [bigint]) => {
        const { plan, machine } = tunnels.get(peer as never) as { plan: never; machine: number };
        const link = { local: { ipv4: '0.0.0.0', ipv6: '::9' }, remote: { ipv4: '0.0.0.0', ipv6: '::8' } };
        tunnels.set(peer as never, { plan: { ...(plan as object), link } as never, machine });
      },
      /two pairs/,
    ],
  ] as const) {
    const { world, sorted } = ideal(6);
    const [a, b] = sorted as [SimNode, SimNode];
    harm(a.tunnels, [b.id]);
    assert.ok(loosePairs(world).some((wrong) => what.test(wrong)));
  }
});

test('a lease that the address server counts and the node has forgotten', () => {
  const { world, sorted } = ideal(6);
  world.manager.answer((sorted[0] as SimNode).index, { kind: 'lease', request: 'ff', count: 1 });
  assert.match(forgottenLeases(world) ?? '', /forgotten/);
});

/** The node's successor list is this one from now on, whatever its daemon thinks. */
function pretend(node: SimNode, successors: readonly SimNode[]): void {
  const chord = node.machine?.node?.ring.chord as object;
  const version = node.machine?.node?.ring.version ?? 0;
  const records = successors.map(({ record }) => record);
  Object.defineProperty(chord, 'successors', { get: () => records, configurable: true });
  // A change is looked at when it is told.
  Object.defineProperty(chord, 'version', { get: () => version + 1_000_000 + successors.length, configurable: true });
}

test('a member without a living successor, and too few that nobody skips', () => {
  const { world, sorted } = ideal(12);
  pretend(sorted[3] as SimNode, []);
  assert.match(String(invariantsHold(world)), /no live successor/);
  const other = ideal(12);
  const [first, before] = [other.sorted[0] as SimNode, other.sorted[11] as SimNode];
  pretend(first, [before]);
  assert.match(String(invariantsHold(other.world)), /principals/);
  assert.throws(() => other.referee.run(5000), /invariant of the proof/);
});

test('successors out of order, and lists that stay too short', () => {
  const { world, referee, sorted } = ideal(12);
  const [node, one, two] = [sorted[2], sorted[3], sorted[4]] as [SimNode, SimNode, SimNode];
  pretend(node, [two, one]);
  assert.throws(() => world.watch.touched?.(node), /out of order/);
  pretend(node, [one]);
  assert.throws(() => referee.run(60_000), /too short/);
});

test('a pair that is leased to two, and one that names two tunnels', () => {
  const { world, sorted } = ideal(6);
  const { manager } = world;
  manager.ownerOf = () => 99;
  assert.match(lostPairs(world) ?? '', /leased to/);
  const again = ideal(6).world;
  const [a] = members(again) as [SimNode];
  const views = a.tunnelViews.map((view) => ({ ...view, pair: 5 }));
  Object.defineProperty(a, 'tunnelViews', { get: () => views });
  assert.match(lostPairs(again) ?? '', /names two tunnels/);
  assert.equal(sorted.length, 6);
});

test('a table beyond its limit', () => {
  const { referee, sorted } = ideal(6);
  const node = sorted[1]?.machine?.node as { tables: () => Record<string, number> };
  node.tables = () => ({ questions: 100_000 });
  assert.throws(() => referee.run(5000), /100000 questions/);
});

test('stretches of the circle, also across its end', () => {
  const ownership = new Ownership();
  const node = (after: bigint, until: bigint): SimNode =>
    ({ forwards: true, forwarding: { own: { after: toId(after), until: toId(until) } } }) as unknown as SimNode;
  const look = (nodes: SimNode[], now: number): string[] => {
    ownership.renew(nodes, now);
    return ownership.wrong.map(({ after, until, owners, since }) => `${after}-${until} ${owners} ${since}`);
  };
  assert.deepEqual(look([node(900n, 100n), node(100n, 900n)], 1), []);
  assert.deepEqual(look([node(900n, 100n), node(200n, 900n)], 2), ['100-200 0 2']);
  assert.deepEqual(look([node(900n, 100n), node(300n, 900n)], 3), ['100-300 0 2']);
  assert.deepEqual(look([node(800n, 100n), node(100n, 900n)], 4), ['800-900 2 4']);
  assert.deepEqual(look([node(5n, 5n), node(100n, 900n)], 5).includes('100-900 2 4'), true);
  assert.deepEqual(look([node(5n, 5n)], 6), []);
});
