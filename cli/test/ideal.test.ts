import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idOfKey, toId } from '../../overlay/id.ts';
import { type RingState, ringFaults } from '../demo/ideal.ts';
import { longestPath, pathOf } from '../demo/paths.ts';

const step = 1n << 61n;
const id = (k: number): ReturnType<typeof toId> => toId(BigInt(k) * step);

/** Eight nodes an eighth of the circle apart: fingers 61, 62 and 63 point one, two and four nodes ahead. */
function idealRing(): RingState[] {
  return Array.from({ length: 8 }, (_, k) => ({
    name: `n${k}`,
    id: id(k),
    phase: 'formed',
    predecessor: id(k - 1),
    successors: [id(k + 1), id(k + 2)],
    fingers: [{ bit: 63, node: id(k + 4) }],
  }));
}

test('an ideal ring has no faults', () => {
  assert.deepEqual(ringFaults(idealRing(), 2), []);
});

test('a node alone is ideal with nothing', () => {
  const alone: RingState = { name: 'a', id: id(0), phase: 'forming', predecessor: null, successors: [], fingers: [] };
  assert.deepEqual(ringFaults([alone], 4), []);
});

const breaks: [string, Partial<RingState>, RegExp][] = [
  ['a wrong successor', { successors: [id(2), id(3)] }, /n0 has successors/],
  ['a short list', { successors: [id(1)] }, /n0 has successors/],
  ['a wrong predecessor', { predecessor: id(6) }, /n0 has predecessor/],
  ['a missing predecessor', { predecessor: null }, /n0 has predecessor none/],
  ['a wrong finger', { fingers: [{ bit: 63, node: id(5) }] }, /n0 has finger 63/],
  ['a missing finger', { fingers: [] }, /n0 lacks a finger/],
  ['a node that still joins', { phase: 'joining' }, /n0 is joining/],
];
for (const [what, change, expected] of breaks) {
  test(`${what} is a fault`, () => {
    const ring = idealRing().map((node, k) => (k === 0 ? { ...node, ...change } : node));
    const faults = ringFaults(ring, 2);
    assert.ok(
      faults.some((fault) => expected.test(fault)),
      faults.join('\n'),
    );
  });
}

test('where nearness counts, any member of the stretch may be the finger, and no other', () => {
  const withFinger = (k: number, proximity: 'none' | 'pns'): string[] => {
    const vi = { definition: { proximity } };
    const ring = idealRing().map((node, at) =>
      at === 0 ? { ...node, vi, fingers: [{ bit: 63, node: id(k) }] } : node,
    );
    return ringFaults(ring, 2);
  };
  for (const k of [4, 5, 6, 7]) assert.deepEqual(withFinger(k, 'pns'), [], `${k}`);
  assert.match(withFinger(3, 'pns').join(), /n0 has finger 63/);
  assert.match(withFinger(5, 'none').join(), /n0 has finger 63/);
});

test('a way through range routes ends at the node responsible', () => {
  const tables = [0, 1, 2].map((k) => ({
    id: id(k),
    routes: [
      { after: id(k - 1), until: id(k), to: id(k) },
      { after: id(k), until: id(k - 1), to: id((k + 1) % 3) },
    ],
  }));
  // Node 0 is also responsible for what lies after node 2.
  tables[0] = {
    id: id(0),
    routes: [
      { after: id(2), until: id(0), to: id(0) },
      { after: id(0), until: id(2), to: id(1) },
    ],
  };
  assert.deepEqual(pathOf(tables, id(0), id(2)), [id(0), id(1), id(2)]);
  const far = longestPath(tables, ['any', 'key', 'will', 'do', 'since', 'nearly', 'all', 'wrap']);
  assert.equal(far.path.length, Math.max(...tables.map((table) => pathOf(tables, table.id, idOfKey(far.key)).length)));
  assert.deepEqual(far.path, pathOf(tables, far.path[0] ?? assert.fail(), idOfKey(far.key)));
});
