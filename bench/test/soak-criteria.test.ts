import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EndObserved, judge, type Observed } from '../soak-criteria.ts';

const end = (name: string, change: Partial<EndObserved> = {}): EndObserved => ({
  name,
  packetsOut: 1000,
  packetsIn: 1000,
  drops: {},
  baseLosses: {},
  residentMb: [100, 103, 101],
  ...change,
});

function verdicts(ends: Observed['ends'], change: Partial<Observed> = {}): (boolean | null)[] {
  const observed = { ends, rebuilds: 0, roams: 9, probeStallSeconds: 0.4, throughputStallSeconds: 0.3, ...change };
  return judge(observed).map(({ holds }) => holds);
}

test('a run in which all holds', () => {
  assert.deepEqual(verdicts([end('a'), end('b')]), [true, true, true, true, true, true]);
});

test('memory that grows, a stall, a run that is too short', () => {
  assert.equal(verdicts([end('a', { residentMb: [100, 104, 109] }), end('b')])[0], false);
  assert.equal(verdicts([end('a', { residentMb: [100] }), end('b')])[0], null);
  assert.equal(verdicts([end('a'), end('b')], { probeStallSeconds: 2.1 })[2], false);
  assert.equal(verdicts([end('a'), end('b')], { throughputStallSeconds: 2.1 })[3], false);
});

test('a missing packet needs a reason that lies between the two counters', () => {
  const short = end('b', { packetsIn: 990 });
  assert.equal(verdicts([end('a'), short])[4], false);
  assert.equal(verdicts([end('a'), { ...short, drops: { ringFull: 10 } }])[4], false);
  assert.equal(verdicts([end('a'), { ...short, drops: { dtlsRecordBad: 10 } }])[4], true);
  assert.equal(verdicts([end('a', { drops: { sendBlocked: 9 } }), short])[4], false);
  assert.equal(verdicts([end('a'), { ...short, baseLosses: { 'Udp.InErrors': 1 } }])[4], true);
});

test('packets out of nothing, and counters that began anew', () => {
  assert.equal(verdicts([end('a'), end('b', { packetsIn: 1001 })])[4], false);
  assert.equal(verdicts([end('a'), end('b')], { rebuilds: 1 })[4], null);
});
