/** Compiled policies against the plain meaning of their YAML: the golden cases are what the native tests replay. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { seededRng } from '../../../overlay/lib/rng.ts';
import { answer } from './oracle.ts';
import { encodeCases, randomCases } from './policy-cases.ts';
import { completed } from './random-policy.ts';

const GOLDEN = new URL('../../../native/gateway/test/golden/policy-cases.bin', import.meta.url);
const SEED = 5;
const POLICIES = 64;
const EVENTS = 28;

test('the golden cases are what compiler and meaning say; else P2PXBONE_WRITE_GOLDEN=1 node --test this file', () => {
  const rng = seededRng(SEED);
  const bytes = Buffer.concat(Array.from({ length: POLICIES }, () => encodeCases(randomCases(rng, EVENTS))));
  if (process.env['P2PXBONE_WRITE_GOLDEN'] === '1') writeFileSync(GOLDEN, bytes);
  assert.ok(bytes.equals(readFileSync(GOLDEN)));
});

test('the golden cases are of all sorts', () => {
  const rng = seededRng(SEED);
  const cases = Array.from({ length: POLICIES }, () => randomCases(rng, EVENTS));
  const answers = cases.flatMap(({ policy, events }) => events.map((event) => answer(policy, event)));
  const share = (holds: (answer: (typeof answers)[number]) => boolean): number =>
    answers.filter(holds).length / answers.length;
  for (const action of ['accept', 'drop', 'reject', 'redirect'] as const) {
    assert.ok(share((one) => one.action === action) > 0.015, action);
  }
  assert.ok(share(({ decided }) => !decided) > 0.1);
  assert.ok(share(({ decided, rule }) => decided && rule > 1) > 0.1);
  assert.ok(share(({ decided, rule }) => !decided && rule > 0) > 0.01);
  for (let bit = 1; bit <= 32; bit *= 2) assert.ok(share(({ needs }) => (needs & bit) !== 0) > 0.01, `needs ${bit}`);
});

test('what is decided stays so, whatever becomes known; when all is known, all is decided', () => {
  const rng = seededRng(9);
  for (let round = 0; round < 300; round++) {
    const { policy, events } = randomCases(rng, 8);
    for (const event of events) {
      const before = answer(policy, event);
      for (let again = 0; again < 4; again++) {
        const later = answer(policy, completed(event, rng));
        const isAboutFlow = event.file === undefined && event.chat === undefined;
        const isDenied = before.action === 'drop' || before.action === 'reject';
        // Another rule may deny it by then.
        if (before.decided && isDenied) assert.ok(later.action === 'drop' || later.action === 'reject');
        else if (before.decided)
          assert.deepEqual({ ...later, needs: 0 }, { ...before, needs: 0 }, inspect({ policy, event }, { depth: 9 }));
        else if (!isAboutFlow) assert.ok(later.decided);
      }
    }
  }
});
