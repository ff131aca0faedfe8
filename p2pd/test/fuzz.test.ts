import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toId } from '../../overlay/id.ts';
import { below, seededRng } from '../../overlay/lib/rng.ts';
import { P2PD_P2PD, type P2pdMessage, p2pdCodec } from '../../overlay/messages/p2pd-p2pd.ts';
import { isIdeal, members } from '../../test/sim/checks.ts';
import type { SimNode } from '../../test/sim/sim-node.ts';
import { World } from '../../test/sim/world.ts';

const ROUNDS = 6000;
/** All are equally far, so that the ring is that without proximity. */
const PROXIMITY = { definition: { proximity: 'both' }, weather: { jitterMs: 0 } } as const;

/** One of each message between real neighbours, as seeds. */
function seedsFor(node: SimNode): P2pdMessage[] {
  const peers = [...(node.machine?.node?.ring.peers.all() ?? [])].flatMap((peer) =>
    peer.remote === undefined ? [] : [peer.record],
  );
  const [a, b, c] = peers;
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  const from = { id: a.id, incarnation: a.incarnation };
  const query = 4711;
  return [
    { t: 'find_successor', ...from, query, target: toId(12345n), origin: b, purpose: 'join', port: 4747, hops: 3 },
    { t: 'find_successor', ...from, query, target: node.id, origin: c, purpose: 'finger', port: 4747, hops: 0 },
    { t: 'find_successor', ...from, query, target: node.id, origin: c, purpose: 'lookup', port: 4747, hops: 0 },
    {
      t: 'found',
      ...from,
      query,
      target: node.id,
      owner: a,
      predecessor: b,
      successors: [b, c],
      formed: true,
      hops: 2,
    },
    { t: 'busy', ...from, query },
    { t: 'state.get', ...from, query },
    { t: 'state', ...from, query, predecessor: c, successors: [b, c], formed: true, members: [] },
    { t: 'state', ...from, query, predecessor: null, successors: [], formed: false, members: [a, b, c] },
    { t: 'notify', ...from, record: a, formed: true, members: [] },
    { t: 'notify', ...from, record: a, formed: false, members: [b, c] },
    { t: 'ping', ...from, query },
    { t: 'pong', ...from, query },
    { t: 'leaving', ...from, query, predecessor: b, successors: [c, b] },
    { t: 'leaving.heard', ...from, query },
  ];
}

test('there is a seed for every message', () => {
  const world = new World({ seed: 1 });
  for (let i = 0; i < 8; i++) world.add();
  world.run(5000);
  const names = new Set(seedsFor(members(world)[0] as SimNode).map(({ t }) => t));
  assert.deepEqual([...names].sort(), Object.keys(P2PD_P2PD).sort());
});

test('bytes changed at random: refused or understood, never a throw', () => {
  const world = new World({ seed: 2, ...PROXIMITY });
  for (let i = 0; i < 8; i++) world.add();
  world.until('the ring is ideal', () => isIdeal(world), 20_000);
  const rng = seededRng(99);
  let understood = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const node = pick(world, rng);
    const seeds = seedsFor(node);
    const bytes = mutated(p2pdCodec.encode(seeds[below(rng, seeds.length)] as P2pdMessage), rng);
    const message = p2pdCodec.decode(bytes);
    if (message.ok) {
      understood++;
      world.inject(node, endpointOf(node, message.value), message.value);
    }
    if (round % 10 === 0) world.run(5);
  }
  assert.ok(understood > ROUNDS / 20, `${understood} understood`);
  world.run(1000);
});

test('well-formed nonsense from a neighbour: no throw, and the ring recovers from it', () => {
  for (const seed of [3, 4]) {
    const world = new World({ seed, ...PROXIMITY });
    for (let i = 0; i < 12; i++) world.add();
    world.until('the ring is ideal', () => isIdeal(world), 20_000);
    const rng = seededRng(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const node = pick(world, rng);
      const seeds = seedsFor(node);
      const message = nonsense(seeds[below(rng, seeds.length)] as P2pdMessage, world, rng);
      world.inject(node, endpointOf(node, message), message);
      if (round % 10 === 0) world.run(10);
    }
    // A record with a forged incarnation is believed until its grave is forgotten.
    world.until('the ring is ideal again', () => isIdeal(world), 200_000, 500);
  }
});

test('a stranger is not heard, whatever it says', () => {
  const world = new World({ seed: 5 });
  for (let i = 0; i < 8; i++) world.add();
  world.until('the ring is ideal', () => isIdeal(world), 20_000);
  world.run(10_000);
  const node = members(world)[0] as SimNode;
  const datagrams = world.datagrams;
  const drops = (): number => [...(node.machine?.drops.values() ?? [])].reduce((sum, count) => sum + count, 0);
  const before = drops();
  for (const message of seedsFor(node)) {
    world.inject(node, { address: 'fd00:9::9', port: 4747 }, message);
    world.inject(node, endpointOf(node, message), { ...message, incarnation: message.incarnation + 1 });
    world.inject(node, endpointOf(node, message), { ...message, id: toId(message.id + 1n) });
  }
  assert.equal(drops() - before, 3 * seedsFor(node).length);
  assert.equal(world.datagrams, datagrams, 'nothing is answered to strangers');
});

function pick(world: World, rng: ReturnType<typeof seededRng>): SimNode {
  const some = world.nodes.filter(({ tunnels }) => tunnels.size >= 3);
  return some[below(rng, some.length)] as SimNode;
}

/** Where the neighbour of that id speaks from; somewhere if it is none. */
function endpointOf(node: SimNode, { id }: P2pdMessage): { address: string; port: number } {
  const remote = node.machine?.node?.ring.peers.get(id)?.remote;
  return remote ?? { address: 'fd00:9::9', port: 4747 };
}

function mutated(bytes: Uint8Array, rng: ReturnType<typeof seededRng>): Uint8Array {
  let changed = bytes.slice();
  for (let i = below(rng, 4); i >= 0; i--) {
    const at = below(rng, changed.length);
    switch (below(rng, 5)) {
      case 0:
        changed[at] = rng.uint32() & 0xff;
        break;
      case 1:
        changed[at] = (changed[at] as number) ^ (1 << below(rng, 8));
        break;
      case 2:
        changed = changed.slice(0, Math.max(1, at));
        break;
      case 3:
        changed = Uint8Array.of(...changed.slice(0, at), rng.uint32() & 0xff, ...changed.slice(at));
        break;
      default:
        changed.copyWithin(at, below(rng, changed.length), below(rng, changed.length));
    }
  }
  return changed;
}

/** The message with some of its fields replaced by others that the schema allows. */
function nonsense(message: P2pdMessage, world: World, rng: ReturnType<typeof seededRng>): P2pdMessage {
  const anyRecord = (): object => {
    const { record } = world.nodes[below(rng, world.nodes.length)] as SimNode;
    const id = below(rng, 10) === 0 ? toId(BigInt(rng.uint32()) << 32n) : record.id;
    const incarnation = below(rng, 50) === 0 ? record.incarnation + below(rng, 3) : record.incarnation;
    return { ...record, id, incarnation };
  };
  const fields: Record<string, () => unknown> = {
    query: () => rng.uint32(),
    target: () => toId(BigInt(rng.uint32()) << 32n),
    origin: anyRecord,
    owner: anyRecord,
    predecessor: () => (below(rng, 4) === 0 ? null : anyRecord()),
    successors: () => Array.from({ length: below(rng, 9) }, anyRecord),
    members: () => Array.from({ length: below(rng, 9) }, anyRecord),
    formed: () => below(rng, 2) === 0,
    hops: () => below(rng, 129),
  };
  const changed = { ...message } as Record<string, unknown>;
  for (const [name, make] of Object.entries(fields)) {
    if (name in changed && below(rng, 2) === 0) changed[name] = make();
  }
  return changed as P2pdMessage;
}
