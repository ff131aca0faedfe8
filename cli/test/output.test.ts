import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatDuration, parseDuration, table, toJson, widthOf } from '../output.ts';

test('a table aligns its columns, numbers to the right', () => {
  const text = table(
    ['NAME', 'COUNT'],
    [
      ['a', '1'],
      ['longer', '200'],
    ],
  );
  assert.equal(text, 'NAME    COUNT\na           1\nlonger    200');
});

test('a table of no rows is its headings', () => {
  assert.equal(table(['NAME', 'COUNT'], []), 'NAME  COUNT');
});

test('escape sequences take no room', () => {
  assert.equal(widthOf('\u001b[1mab\u001b[22m'), 2);
});

test('JSON has ids as 16 hexadecimal digits and bytes as base64', () => {
  assert.deepEqual(JSON.parse(toJson({ id: 0xabn, bytes: Uint8Array.of(1, 2), n: null })), {
    id: '00000000000000ab',
    bytes: 'AQI=',
    n: null,
  });
});

test('durations are read and shown', () => {
  assert.deepEqual(['90s', '15m', '1h', '7d'].map(parseDuration), [90, 900, 3600, 604_800]);
  for (const bad of ['', '1', 'h', '1w', '-1s', '1.5h', '1h ']) assert.equal(parseDuration(bad), undefined, bad);
  assert.deepEqual([12, 59_000, 61_000, 3_700_000, 90_000_000].map(formatDuration), [
    '12ms',
    '59s',
    '1m1s',
    '1h1m',
    '1d1h',
  ]);
});

test('byte counts keep one decimal from 1 kB on', () => {
  assert.deepEqual([0, 999, 1000, 1_500_000].map(formatBytes), ['0 B', '999 B', '1.0 kB', '1.5 MB']);
});
