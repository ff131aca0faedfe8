import assert from 'node:assert/strict';
import { test } from 'node:test';
import { between, distance, type Id, inRange } from '../../overlay/id.ts';
import { below, fraction, type Rng, seededRng } from '../../overlay/lib/rng.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import { randomId } from '../../test/sim/checks.ts';
import { PROGRESS_SHARE } from '../core/limits.ts';
import { nearRoutes } from '../core/near-routes.ts';
import { ringRoutes } from '../core/routes.ts';
import { tiles } from './model-rd.ts';

type Drawn = { readonly self: Id; readonly plain: RdRoute[]; readonly near: RdRoute[] };

const SUCCESSORS = 4;

function sortedIds(rng: Rng, count: number): Id[] {
  const ids = Array.from({ length: count }, () => randomId(rng));
  return [...new Set(ids)].sort((a, b) => (a < b ? -1 : 1));
}

/** Routes of one node of a ring with random neighbours, some of whose tunnels are down and some not measured. */
function routesOf(rng: Rng, ids: readonly Id[], index: number, faults: number): Drawn {
  const at = (offset: number): Id => ids[(index + offset + ids.length) % ids.length] as Id;
  const self = at(0);
  const isUp = (): boolean => fraction(rng) >= faults;
  const successors = Array.from({ length: Math.min(SUCCESSORS, ids.length - 1) }, (_, i) => ({
    id: at(i + 1),
    up: isUp(),
  }));
  const chosen = Array.from({ length: 12 }, () => at(1 + below(rng, ids.length - 1)));
  const others = [...new Set([...chosen, ...successors.filter(({ up }) => up).map(({ id }) => id)])];
  const formers = below(rng, 3) === 0 && ids.length > 6 ? [{ after: at(-2), until: at(-1) }] : [];
  const back = faults > 0 ? formers : [];
  const plain = ringRoutes({ self, own: { after: at(-1), until: self }, successors, others, back });
  const hops = others.filter(isUp).map((id) => ({ id, rttMs: 1 + 300 * fraction(rng) ** 3 }));
  const near = nearRoutes(plain, { self, hops, spacing: 2 ** 64 / ids.length });
  return { self, plain, near };
}

function hopOf(routes: readonly RdRoute[], id: Id): Id {
  return (routes.find((route) => inRange(route, id)) as RdRoute).to;
}

test('near routes tile the circle, and go to neighbours that lie between this node and every id', () => {
  let changed = 0;
  for (let seed = 1; seed <= 150; seed++) {
    const rng = seededRng(seed);
    const ids = sortedIds(rng, 2 + below(rng, 60));
    const { self, plain, near } = routesOf(rng, ids, below(rng, ids.length), 0.2);
    if (plain.length === 0) continue;
    assert.equal(tiles(near), true, `seed ${seed}`);
    for (let i = 0; i < 200; i++) {
      const id = randomId(rng);
      const [plainHop, hop] = [hopOf(plain, id), hopOf(near, id)];
      if (hop === plainHop) continue;
      changed++;
      // Plain Chord had a choice here: it did not deliver to the node responsible.
      assert.ok(plainHop !== self && between(self, plainHop, id), `seed ${seed}: no choice`);
      assert.ok(between(self, hop, id), `seed ${seed}: past the id`);
      const progress = Number(distance(self, hop)) / Number(distance(self, plainHop));
      assert.ok(progress >= PROGRESS_SHARE * 0.999, `seed ${seed}: little progress`);
    }
  }
  assert.ok(changed > 1000, `${changed} ids have another neighbour`);
});

test('by near routes every id is reached without a loop, each hop being nearer to it on the circle', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const rng = seededRng(1000 + seed);
    const ids = sortedIds(rng, 2 + below(rng, 80));
    const tables = new Map(ids.map((id, index) => [id, routesOf(rng, ids, index, 0).near]));
    for (let i = 0; i < 100; i++) {
      const target = randomId(rng);
      const owner = ids.find((id) => id >= target) ?? ids[0];
      let node = ids[below(rng, ids.length)] as Id;
      let away = distance(node, target);
      for (let hops = 0; ; hops++) {
        assert.ok(hops <= ids.length, `seed ${seed}: a loop`);
        const next = hopOf(tables.get(node) as RdRoute[], target);
        if (next === node) break;
        if (next !== owner) assert.ok(distance(next, target) < away, `seed ${seed}: away from the target`);
        node = next;
        away = distance(node, target);
      }
      assert.equal(node, owner, `seed ${seed}`);
    }
  }
});

test('without measured times, or with equal ones, the routes are those of plain Chord', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const rng = seededRng(2000 + seed);
    const ids = sortedIds(rng, 30);
    const { self, plain } = routesOf(rng, ids, below(rng, ids.length), 0);
    assert.deepEqual(nearRoutes(plain, { self, hops: [], spacing: 1 }), plain);
    const hops = plain.map(({ to }) => ({ id: to, rttMs: 40 })).filter(({ id }) => id !== self);
    const near = nearRoutes(plain, { self, hops, spacing: 2 ** 64 / ids.length });
    for (let i = 0; i < 100; i++) {
      const id = randomId(rng);
      assert.equal(hopOf(near, id), hopOf(plain, id), `seed ${seed}`);
    }
  }
});
