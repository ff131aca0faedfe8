import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../fuzz/fuzz.ts';
import { TARGETS } from '../fuzz/targets.ts';

for (const target of TARGETS) {
  test(`${target.name} keeps its promises on 20,000 mutated inputs`, () => {
    let batches = 80;
    const outcome = fuzz(target, 7, () => --batches > 0);
    assert.equal(outcome.failure, undefined, outcome.failure && Buffer.from(outcome.failure.input).toString('hex'));
    assert.ok(outcome.paths > 1);
  });
}

test('the loop reports a broken promise', () => {
  const outcome = fuzz(
    {
      name: 'broken',
      seeds: [Uint8Array.of(1, 2, 3)],
      run: (input) => {
        if (input.length < 3) throw new Error('too short');
        return 'fine';
      },
    },
    1,
    () => true,
  );
  assert.match(outcome.failure?.error ?? '', /too short/);
});
