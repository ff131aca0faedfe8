import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Plan, parsePlan, type Step } from './plan.ts';
import { randomPlan } from './random-plan.ts';
import { shrunk } from './shrink.ts';

test('a plan survives being written to a file, whatever its seed', () => {
  const kinds = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const plan = randomPlan(seed, { minutes: 5 });
    const read = parsePlan(JSON.parse(JSON.stringify(plan)));
    assert.ok(read.ok, `seed ${seed}: ${read.ok ? '' : read.message}`);
    assert.deepEqual(read.value, plan);
    for (const step of plan.steps) kinds.add(step.do);
  }
  const all = 'crash cut drift hide islands join leave manager mute p2pd pause rd slow weather';
  assert.equal([...kinds].sort().join(' '), all, 'every kind of fault comes up');
});

test('the same seed gives the same plan, another seed another', () => {
  assert.deepEqual(randomPlan(7, { minutes: 5 }), randomPlan(7, { minutes: 5 }));
  assert.notDeepEqual(randomPlan(7, { minutes: 5 }), randomPlan(8, { minutes: 5 }));
});

test('a shorter calm at the end leaves the faults as they are', () => {
  const [long, short] = [randomPlan(7, { minutes: 5 }), randomPlan(7, { minutes: 3, calmS: 15 })];
  assert.deepEqual(short, { ...long, minutes: 3 });
});

test('what is no plan is refused with the field that is wrong', () => {
  const plan = randomPlan(1, { minutes: 5 });
  for (const wrong of [null, {}, { ...plan, seed: -1 }, { ...plan, steps: [{ at: 1, do: 'explode' }] }]) {
    const read = parsePlan(wrong);
    assert.ok(!read.ok && read.message.startsWith('Not a plan: '));
  }
});

test('a plan that fails is made as small as the failure allows', () => {
  const steps: Step[] = Array.from({ length: 97 }, (_, node) => ({ at: node, do: 'join', node }));
  const plan: Plan = { ...randomPlan(1, { minutes: 5 }), steps };
  let runs = 0;
  const needs = new Set([13, 57, 58]);
  const fails = (candidate: Plan): boolean => {
    runs++;
    return candidate.steps.filter((step) => step.do === 'join' && needs.has(step.node)).length === needs.size;
  };
  const small = shrunk(plan, fails, 1000);
  assert.deepEqual(
    small.steps.map((step) => (step.do === 'join' ? step.node : undefined)),
    [13, 57, 58],
  );
  assert.ok(runs < 200, `${runs} runs`);
  const early = shrunk(plan, fails, 5);
  assert.ok(fails(early) && early.steps.length <= steps.length, 'a bounded search still gives one that fails');
});
