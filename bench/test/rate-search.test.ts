import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { lossOf, searchRate, type Trial } from '../measure/rate-search.ts';

const OPTIONS = { trialSeconds: 0.5, confirmSeconds: 1 };

/** A sender that reaches `sender` and a way that delivers `capacity`, packets a second. */
function wayOf(capacity: number, sender = Infinity) {
  return (rate: number, seconds: number): Promise<Trial> => {
    const sent = Math.round(Math.min(rate, sender) * seconds);
    return Promise.resolve({ rate, sent, received: Math.min(sent, Math.round(capacity * seconds)), seconds });
  };
}

test('finds the capacity to 7 %, from wherever it starts', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.double({ noNaN: true, min: 1000, max: 2e6 }),
      fc.double({ noNaN: true, min: 0.02, max: 50 }),
      async (capacity, factor) => {
        const { packetsPerSecond, senderLimited, trials } = await searchRate(
          { ...OPTIONS, startRate: capacity * factor },
          wayOf(capacity),
        );
        assert.ok(packetsPerSecond > capacity * 0.93 && packetsPerSecond < capacity * 1.02);
        assert.equal(senderLimited, false);
        assert.ok(trials.length < 30);
        const last = trials.at(-1);
        assert.ok(last !== undefined && lossOf(last) <= 0.01 && last.seconds === OPTIONS.confirmSeconds);
      },
    ),
  );
});

test('says so where the sender is the limit', async () => {
  const found = await searchRate({ ...OPTIONS, startRate: 1000 }, wayOf(1e6, 50_000));
  assert.equal(found.senderLimited, true);
  assert.equal(found.packetsPerSecond, 50_000);
});

test('nothing delivered is a rate of 0', async () => {
  assert.equal((await searchRate({ ...OPTIONS, startRate: 1000 }, wayOf(0))).packetsPerSecond, 0);
});

test('one disturbed trial does not decide', async () => {
  const calm = wayOf(100_000);
  let trials = 0;
  const found = await searchRate({ ...OPTIONS, startRate: 50_000 }, async (rate, seconds) => {
    const trial = await calm(rate, seconds);
    return ++trials === 1 ? { ...trial, received: trial.sent * 0.95 } : trial;
  });
  assert.ok(found.packetsPerSecond > 93_000);
});

test('goes down from a rate that does not hold for longer', async () => {
  const found = await searchRate({ ...OPTIONS, startRate: 50_000 }, (rate, seconds) =>
    wayOf(seconds > OPTIONS.trialSeconds ? 60_000 : 100_000)(rate, seconds),
  );
  assert.ok(found.packetsPerSecond > 50_000 && found.packetsPerSecond < 61_000);
  assert.equal(found.senderLimited, false);
});
