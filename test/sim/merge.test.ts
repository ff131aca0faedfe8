import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeMs } from './merge.ts';

for (const [nodes, apartMs] of [
  [5, 60_000],
  [8, 10_000],
  [8, 300_000],
  [16, 60_000],
  [32, 10_000],
  [32, 60_000],
] as const) {
  test(`${nodes} nodes that were two rings for ${apartMs / 1000} s become one again without help`, () => {
    const times = [1, 2, 3].map((seed) => mergeMs(nodes, apartMs, seed));
    assert.ok(Math.max(...times) < 45_000, `${times.join(', ')} ms`);
  });
}
