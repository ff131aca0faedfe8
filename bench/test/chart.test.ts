import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawChart, type Panel } from '../chart.ts';

const PANELS: readonly Panel[] = [
  {
    kind: 'bars',
    title: 'Gbit/s & more',
    bars: [
      { name: 'one', value: 12.5 },
      { name: 'missing', value: null },
    ],
  },
  { kind: 'lines', title: 'kpps', xTitle: 'bytes', x: ['64', '1400'], lines: [{ name: 'a line', values: [1, null] }] },
];

test('panels of bars and of lines, with every name and value', () => {
  const svg = drawChart('The title', PANELS);
  assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  for (const text of ['The title', 'Gbit/s &amp; more', 'one', '12.5', 'missing', 'kpps', 'bytes', '1400', 'a line']) {
    assert.ok(svg.includes(`>${text}<`), `${text} is not in the chart`);
  }
});

test('the same data give the same bytes', () => {
  assert.equal(drawChart('The title', PANELS), drawChart('The title', PANELS));
});
