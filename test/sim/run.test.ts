import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parsePlan } from './plan.ts';
import { randomPlan } from './random-plan.ts';
import { runPlan } from './run.ts';

const REGRESSIONS = new URL('./regressions/', import.meta.url);

test('a seed replays exactly', () => {
  for (const seed of [3, 12]) {
    const [first, second] = [0, 1].map(() => runPlan(randomPlan(seed, { minutes: 4, nodes: 12 })));
    assert.deepEqual(first, second);
    assert.ok((first?.events ?? 0) > 5000);
  }
});

test('another seed is another run, also of the same plan', () => {
  const plan = randomPlan(3, { minutes: 4, nodes: 12 });
  assert.notEqual(runPlan(plan).hash, runPlan({ ...plan, seed: 4 }).hash);
});

for (const name of readdirSync(REGRESSIONS)) {
  test(`what was found once does not come back: ${name}`, () => {
    const plan = parsePlan(JSON.parse(readFileSync(new URL(name, REGRESSIONS), 'utf8')));
    assert.ok(plan.ok);
    assert.equal(runPlan(plan.value).failure, undefined);
  });
}
