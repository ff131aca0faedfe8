import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chosen } from '../benchmark.ts';
import { mediansOf, ratioOf, type Sample, seriesOf } from '../comparison.ts';

function sample(round: number, variant: string, gbits: number | undefined): Sample {
  const times = { machineSeconds: 6, daemonSeconds: 3 };
  const tcp1 = gbits === undefined ? {} : { tcp1: { gbitsPerSecond: gbits, retransmits: 0, gbitsTotal: 12, ...times } };
  return { round, variant, errors: {}, ...tcp1 };
}

const SAMPLES = [
  sample(2, 'ours', 2),
  sample(1, 'ours', 10),
  sample(1, 'vxlan', 20),
  sample(2, 'vxlan', 2.5),
  sample(3, 'vxlan', 20),
  sample(3, 'ours', undefined),
];

test('series are in the order of rounds, with gaps', () => {
  assert.deepEqual(seriesOf(SAMPLES, 'ours', 'tcp1Gbps'), [10, 2, undefined]);
  assert.throws(() => seriesOf(SAMPLES, 'ours', 'no such column'), RangeError);
});

test('medians by variant; what was not measured is null', () => {
  const medians = mediansOf(SAMPLES, ['ours', 'vxlan']);
  assert.equal(medians['ours']?.['tcp1Gbps'], 6);
  assert.equal(medians['vxlan']?.['tcp1Gbps'], 20);
  assert.equal(medians['ours']?.['cpuPerGbit'], 0.5);
  assert.equal(medians['ours']?.['daemonCpuPerGbit'], 0.25);
  assert.equal(medians['ours']?.['udp128Kpps'], null);
});

test('a ratio of variants; null where one is missing', () => {
  assert.ok(Math.abs((ratioOf(SAMPLES, 'tcp1Gbps', 'ours', 'vxlan') ?? 0) - 0.65) < 1e-9);
  assert.equal(ratioOf(SAMPLES, 'tcp1Gbps', 'ours', 'nobody'), null);
});

test('of the names asked for, those that are known; all where none is', () => {
  assert.deepEqual(chosen(['a', 'b', 'c'], ['c', 'tcp1', 'a']), ['a', 'c']);
  assert.deepEqual(chosen(['a', 'b'], ['tcp1']), ['a', 'b']);
});
