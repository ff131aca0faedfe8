import assert from 'node:assert/strict';
import { test } from 'node:test';
import { below, seededRng } from '../../overlay/lib/rng.ts';
import { LatencyModel } from './latency.ts';

const NODES = 1000;

test('the same seed gives the same times, both ways, and another seed others', () => {
  const [one, same, other] = [1, 1, 2].map((seed) => new LatencyModel({ seed, nodes: 50 }));
  assert.ok(one && same && other);
  let different = 0;
  for (let a = 0; a < 50; a++) {
    for (let b = 0; b < 50; b++) {
      assert.equal(one.rttMs(a, b), same.rttMs(a, b));
      assert.equal(one.rttMs(a, b), one.rttMs(b, a));
      if (one.rttMs(a, b) !== other.rttMs(a, b)) different++;
    }
    assert.equal(one.rttMs(a, a), 0);
  }
  assert.ok(different > 2000);
  assert.throws(() => one.rttMs(0, 50), RangeError);
});

test('the statistics are those that are documented', () => {
  const medians: number[] = [];
  for (let seed = 1; seed <= 6; seed++) {
    const model = new LatencyModel({ seed, nodes: NODES });
    const rng = seededRng(seed);
    const times: number[] = [];
    let triples = 0;
    let broken = 0;
    for (let i = 0; i < 20_000; i++) {
      const [a, b, c] = [below(rng, NODES), below(rng, NODES), below(rng, NODES)];
      if (a === b || b === c || a === c) continue;
      times.push(model.rttMs(a, b));
      triples++;
      if (model.rttMs(a, c) + model.rttMs(c, b) < model.rttMs(a, b)) broken++;
    }
    times.sort((x, y) => x - y);
    const at = (share: number): number => times[Math.floor(share * times.length)] as number;
    medians.push(at(0.5));
    assert.ok(at(0.99) > 2.5 * at(0.5), `seed ${seed}: the tail begins at ${at(0.99)} ms`);
    assert.ok(broken / triples > 0.05 && broken / triples < 0.2, `seed ${seed}: ${broken / triples} of triples`);
  }
  const mean = medians.reduce((sum, ms) => sum + ms, 0) / medians.length;
  assert.ok(mean > 70 && mean < 85, `medians ${medians.join()}`);
});
