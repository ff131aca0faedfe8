import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from './run.ts';
import { sweep } from './sweep.ts';

test('300 seeds of five minutes, 5 to 64 nodes', { timeout: 1_200_000 }, async () => {
  const outcomes: Outcome[] = [];
  const ended = (outcome: Outcome): void => void outcomes.push(outcome);
  await sweep({ from: 1, to: 300, plan: { minutes: 5 }, workers: 2, ended });
  assert.equal(outcomes.length, 300);
  const failed = outcomes.filter(({ failure }) => failure !== undefined);
  assert.deepEqual(
    failed.map(({ seed, failure }) => `npm run sim -- --seed ${seed}: ${failure?.what}`),
    [],
  );
});
