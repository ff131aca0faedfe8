import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NodeRecord } from '../../overlay/fields.ts';
import { distance, type Id, inRange, toId } from '../../overlay/id.ts';
import { tilesCircle } from '../../rd/core/routes.ts';
import { adoptSuccessors, Chord, sortOut } from '../core/chord.ts';
import { ringRoutes } from '../core/routes.ts';

const record = (id: Id): NodeRecord => ({ id, incarnation: 1, contact: Uint8Array.of(0) });
const ids = (list: readonly NodeRecord[]): Id[] => list.map(({ id }) => id);
/** Ids near zero and near the end as well as anywhere. */
const anId = fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.bigInt(-20n, 20n)).map(toId);
const someIds = (minLength: number, maxLength = 20): fc.Arbitrary<Id[]> =>
  fc.uniqueArray(anId, { minLength, maxLength });
const clockwise = (from: Id, list: readonly Id[]): Id[] =>
  [...list].sort((a, b) => (distance(from, a) < distance(from, b) ? -1 : 1));

test('an adopted list has exactly r entries: the head, then the told list without its last', () => {
  fc.assert(
    fc.property(someIds(9, 20), fc.integer({ min: 2, max: 8 }), (all, r) => {
      const [head, ...list] = all.map(record);
      assert.ok(head !== undefined);
      const told = list.slice(0, r);
      const adopted = adoptSuccessors(head, told, r);
      assert.equal(adopted.length, r);
      assert.deepEqual(ids(adopted), ids([head, ...told.slice(0, -1)]));
    }),
  );
});

test('in a right ring adopting the successor list gives the right list', () => {
  fc.assert(
    fc.property(someIds(3), fc.integer({ min: 2, max: 8 }), (all, r) => {
      const sorted = clockwise(all[0] as Id, all);
      const self = sorted[0] as Id;
      const count = Math.min(r, sorted.length - 1);
      const listOf = (index: number): NodeRecord[] =>
        Array.from({ length: count }, (_, k) => record(sorted[(index + 1 + k) % sorted.length] as Id));
      const head = sorted[1] as Id;
      const chord = new Chord(self, r);
      chord.adopt(record(head), sortOut(self, head, listOf(1), () => true).list);
      assert.deepEqual(ids(chord.successors), ids(listOf(0)));
    }),
  );
});

test('whatever is told, the list stays sorted, without duplicates, without this node, at most r', () => {
  const told = fc.record({
    head: anId,
    list: fc.array(anId, { maxLength: 10 }),
    dead: fc.array(anId, { maxLength: 3 }),
  });
  fc.assert(
    fc.property(anId, fc.integer({ min: 2, max: 8 }), fc.array(told, { maxLength: 10 }), (self, r, tales) => {
      const chord = new Chord(self, r);
      for (const { head, list, dead } of tales) {
        if (head === self) continue;
        const alive = ({ id }: NodeRecord): boolean => !dead.includes(id);
        const sorted = sortOut(self, head, list.map(record), alive);
        chord.adopt(record(head), sorted.list);
        for (const id of dead) chord.remove(id);
        const away = chord.successors.map(({ id }) => distance(self, id));
        assert.deepEqual(
          away,
          [...new Set(away)].sort((a, b) => (a < b ? -1 : 1)),
        );
        assert.ok(!away.includes(0n) && away.length <= r);
      }
    }),
  );
});

test('a list that has led around the circle is recognised', () => {
  const self = toId(100n);
  const all = () => true;
  assert.equal(
    sortOut(
      self,
      toId(200n),
      [300n, 50n].map((n) => record(toId(n))),
      all,
    ).wrapped,
    false,
  );
  assert.equal(
    sortOut(
      self,
      toId(200n),
      [300n, 50n, 100n].map((n) => record(toId(n))),
      all,
    ).wrapped,
    true,
  );
  assert.equal(
    sortOut(
      self,
      toId(200n),
      [300n, 50n, 200n].map((n) => record(toId(n))),
      all,
    ).wrapped,
    true,
  );
});

test('only a nearer node replaces the predecessor', () => {
  const chord = new Chord(toId(100n), 4);
  assert.equal(chord.isCloser(toId(100n)), false);
  assert.equal(chord.isCloser(toId(120n)), true);
  chord.setPredecessor(record(toId(50n)));
  assert.equal(chord.isCloser(toId(40n)), false);
  assert.equal(chord.isCloser(toId(60n)), true);
  chord.replacePredecessor(record(toId(60n)), [toId(50n)]);
  assert.deepEqual(chord.formers, [toId(50n)]);
  chord.remove(toId(60n));
  assert.equal(chord.predecessor, undefined);
  assert.deepEqual(chord.formers, []);
});

test('routes tile the circle and send each id where Chord would', () => {
  const shape = fc.record({
    all: someIds(2, 16),
    r: fc.integer({ min: 2, max: 8 }),
    up: fc.array(fc.boolean(), { minLength: 16, maxLength: 16 }),
    fingers: fc.array(fc.boolean(), { minLength: 16, maxLength: 16 }),
    probes: fc.array(anId, { maxLength: 20 }),
  });
  fc.assert(
    fc.property(shape, ({ all, r, up, fingers, probes }) => {
      const [self, ...ring] = clockwise(all[0] as Id, all) as [Id, ...Id[]];
      const successors = ring.slice(0, r).map((id, i) => ({ id, up: up[i] === true }));
      const others = ring.filter((_, i) => i >= r && fingers[i] === true);
      const own = { after: ring.at(-1) as Id, until: self };
      const routes = ringRoutes({ self, own, successors, others, back: [] });
      const next = [...successors.filter((successor) => successor.up).map(({ id }) => id), ...others];
      if (next.length === 0) return assert.deepEqual(routes, []);
      assert.ok(tilesCircle(routes.toSorted((a, b) => (a.until < b.until ? -1 : 1))));
      for (const id of [...probes, ...all]) {
        const route = routes.find((candidate) => inRange(candidate, id));
        assert.equal(route?.to, slowHop(self, own.after, successors, others, id));
      }
    }),
  );
});

/** The same by trying everything: the obvious twin. */
function slowHop(
  self: Id,
  predecessor: Id,
  successors: readonly { id: Id; up: boolean }[],
  others: readonly Id[],
  id: Id,
): Id {
  if (inRange({ after: predecessor, until: self }, id)) return self;
  const reached = successors.filter((successor) => successor.up).map((successor) => successor.id);
  for (const [i, { id: end, up }] of successors.entries()) {
    if (!inRange({ after: successors[i - 1]?.id ?? self, until: end }, id)) continue;
    const before = successors.slice(0, i).findLast((successor) => successor.up)?.id;
    const behind = successors.slice(i).find((successor) => successor.up)?.id;
    const hop = up ? end : (before ?? behind);
    if (hop !== undefined) return hop;
  }
  const preceding = [...reached, ...others].filter((hop) => distance(self, hop) < distance(self, id));
  return clockwise(self, preceding).at(-1) ?? (clockwise(self, others)[0] as Id);
}

test('what belongs to a successor without a tunnel goes to the one before it, not past it', () => {
  const [self, a, b, c] = [100n, 200n, 300n, 400n].map(toId) as [Id, Id, Id, Id];
  const successors = [a, b, c].map((id) => ({ id, up: id !== b }));
  const routes = ringRoutes({ self, own: { after: c, until: self }, successors, others: [], back: [] });
  assert.deepEqual(routes, [
    { after: self, until: b, to: a },
    { after: b, until: c, to: c },
    { after: c, until: self, to: self },
  ]);
});

test('a node alone has one route for all', () => {
  const self = toId(7n);
  const routes = ringRoutes({ self, own: { after: self, until: self }, successors: [], others: [], back: [] });
  assert.deepEqual(routes, [{ after: self, until: self, to: self }]);
});

test('what former predecessors still send here goes back to those who came between', () => {
  const [self, a, b, c, far] = [100n, 40n, 60n, 80n, 500n].map(toId) as [Id, Id, Id, Id, Id];
  const routes = ringRoutes({
    self,
    own: { after: c, until: self },
    successors: [{ id: far, up: true }],
    others: [],
    back: [
      { after: a, until: b },
      { after: b, until: c },
    ],
  });
  assert.deepEqual(routes, [
    { after: self, until: a, to: far },
    { after: a, until: b, to: b },
    { after: b, until: c, to: c },
    { after: c, until: self, to: self },
  ]);
});
