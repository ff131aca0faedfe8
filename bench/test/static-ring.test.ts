import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRng } from '../../overlay/lib/rng.ts';
import { LatencyModel } from '../../test/sim/latency.ts';
import { StaticRing } from '../models/static-ring.ts';
import { MODES, type Mode, summaryOf } from '../stretch.ts';

const NODES = 300;
const model = new LatencyModel({ seed: 1, nodes: NODES });
const rttMs = (a: number, b: number): number => model.rttMs(a, b);

function summary(mode: Mode, ways: number): ReturnType<typeof summaryOf> {
  const ring = new StaticRing({ nodes: NODES, seed: 1, proximity: mode, successors: 4, rttMs });
  const rng = seededRng(2);
  return summaryOf(Array.from({ length: ways }, () => ring.randomWay(rng)).filter((way) => way !== undefined));
}

test('without proximity hops are those of Chord', () => {
  const { hops } = summary('none', 2000);
  const expected = Math.log2(NODES) / 2;
  assert.ok(Math.abs(hops - expected) < 0.25 * expected, `${hops} hops, about ${expected} expected`);
});

test('each kind of proximity shortens paths, and hops stay logarithmic', () => {
  const [none, pns, prs, both] = MODES.map((mode) => summary(mode, 2000));
  assert.ok(none && pns && prs && both);
  assert.ok(pns.pathMs < 0.7 * none.pathMs, `${pns.pathMs} ms against ${none.pathMs}`);
  assert.ok(prs.pathMs < 0.95 * none.pathMs, `${prs.pathMs} ms against ${none.pathMs}`);
  assert.ok(both.pathMs < pns.pathMs, `${both.pathMs} ms against ${pns.pathMs}`);
  assert.equal(none.directMs, both.directMs, 'the same pairs');
  for (const { hops } of [pns, prs, both]) assert.ok(hops < 1.3 * none.hops, `${hops} hops`);
});

test('a straight path has the stretch 1', () => {
  const { stretchMedian, stretchOfMeans } = summaryOf([
    { hops: 1, pathMs: 20, directMs: 20 },
    { hops: 2, pathMs: 60, directMs: 20 },
    { hops: 1, pathMs: 5, directMs: 5 },
  ]);
  assert.equal(stretchMedian, 1);
  assert.equal(stretchOfMeans, 85 / 45);
});
