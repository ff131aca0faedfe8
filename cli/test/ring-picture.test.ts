import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inRange, rangeSize, toId } from '../../overlay/id.ts';
import { drawRing, ownerOf, presentOf, rangesOf, rolesOf, shareOf } from '../ring-picture.ts';

const nodes = [1n, 1n << 62n, 3n << 62n].map((value, i) => ({ id: toId(value), name: `n${i + 1}` }));
const [first, second, third] = [1n, 1n << 62n, 3n << 62n];

test('the picture shows every node once', () => {
  const view = { nodes, self: null, predecessor: null, successors: [], fingers: [] };
  const picture = drawRing(view);
  for (const { name } of nodes) assert.equal(picture.split(name).length, 2, `${name} in\n${picture}`);
  assert.ok(picture.split('\n').every((line) => line === line.trimEnd()));
});

test('a picture of as many nodes as it takes names them all', () => {
  const many = Array.from({ length: 32 }, (_, i) => ({ id: toId(BigInt(i) << 58n), name: `node-${i}x` }));
  const picture = drawRing({ nodes: many, self: null, predecessor: null, successors: [], fingers: [] });
  for (const { name } of many) assert.ok(picture.includes(name), `${name} in\n${picture}`);
});

test('a node has all its roles', () => {
  const view = {
    nodes,
    self: toId(first),
    predecessor: toId(third),
    successors: [toId(second), toId(third)],
    fingers: [toId(third)],
  };
  assert.deepEqual(rolesOf(view, toId(first)), ['this node']);
  assert.deepEqual(rolesOf(view, toId(third)), ['predecessor', 'successor 2', 'finger']);
});

test('ranges cover the circle once and the owner of an id is the node in whose range it lies', () => {
  const someIds = fc.uniqueArray(fc.bigInt(0n, (1n << 64n) - 1n), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(someIds, fc.bigInt(0n, (1n << 64n) - 1n), (ids, key) => {
      const members = ids.map((id) => ({ id: toId(id) }));
      const ranges = rangesOf(members);
      assert.equal(
        ranges.reduce((sum, { after, until }) => sum + rangeSize({ after, until }), 0n),
        1n << 64n,
      );
      const holders = ranges.filter((range) => inRange(range, toId(key)));
      assert.deepEqual(
        holders.map(({ node }) => node.id),
        [ownerOf(members, toId(key))?.id],
      );
    }),
  );
});

test('a node between two neighbours of the pointers is not on the ring', () => {
  const ring = [10n, 20n, 25n, 30n, 40n, 50n].map((id) => ({ id: toId(id) }));
  const pointers = { id: toId(20n), predecessor: toId(10n), successors: [toId(30n), toId(40n)] };
  assert.deepEqual(
    presentOf(ring, pointers).absent.map(({ id }) => id),
    [25n],
  );
  // With a successor list that goes round, the predecessor is in it too.
  const two = { id: toId(20n), predecessor: toId(40n), successors: [toId(40n)] };
  assert.deepEqual(
    presentOf(ring, two).present.map(({ id }) => id),
    [20n, 40n],
  );
  const alone = { id: toId(20n), predecessor: null, successors: [] };
  assert.equal(presentOf(ring, alone).absent.length, 0);
});

test('the share of a single node is the whole circle', () => {
  assert.equal(shareOf(toId(5n), toId(5n)), '100.0');
  assert.equal(shareOf(toId(0n), toId(1n << 63n)), '50.0');
});
