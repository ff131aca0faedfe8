import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idOfNode } from '../../overlay/id.ts';
import { constantLatency } from '../../test/sim/base-network.ts';
import { PublishedChord } from '../models/published-chord.ts';
import { delaysIn } from '../models/set-up-delay.ts';

const NODES = 30;

function ringAfter(ms: number, setUpMs?: number): PublishedChord {
  const ids = Array.from({ length: NODES }, (_, i) => idOfNode(Uint8Array.of(10, 77, 0, i), 'test'));
  const options = { seed: 1, ids, latency: constantLatency(5), periodMs: 1000 };
  const chord = new PublishedChord(setUpMs === undefined ? options : { ...options, setUpMs });
  for (let i = 0; i < NODES; i++) {
    chord.runUntil(i * 10);
    chord.join(i);
  }
  chord.runUntil(ms);
  return chord;
}

function paths(chord: PublishedChord): number {
  let found = 0;
  for (let a = 0; a < NODES; a++) for (let b = 0; b < NODES; b++) if (chord.hasPath(a, b)) found++;
  return found;
}

test('published Chord comes to a ring in which every node reaches every other one', () => {
  assert.ok(paths(ringAfter(1000)) < NODES * NODES, 'not at once');
  assert.equal(paths(ringAfter(120_000)), NODES * NODES);
  assert.equal(paths(ringAfter(120_000, 400)), NODES * NODES);
});

test('tunnels that take long to set up make it slower', () => {
  const sum = (setUpMs?: number): number =>
    [1000, 2000, 4000, 8000].reduce((total, ms) => total + paths(ringAfter(ms, setUpMs)), 0);
  assert.ok(sum(900) < sum());
});

test('delays are from a question to the first answer that concerns the same peer', () => {
  const log = [
    { time: 100, from: 'tunnel.add', key: 'a' },
    { time: 110, from: 'tunnel.add', key: 'b' },
    { time: 111, to: 'tunnel.up', key: 'c' },
    { time: 130, to: 'tunnel.up', key: 'a' },
    { time: 131, to: 'tunnel.up', key: 'a' },
    { time: 160, to: 'tunnel.up', key: 'b' },
    // It is there already.
    { time: 170, from: 'tunnel.add', key: 'b' },
    { time: 171, to: 'tunnel.up', key: 'b' },
    { time: 180, to: 'tunnel.down', key: 'b' },
    { time: 181, from: 'tunnel.add', key: 'b' },
    { time: 184, to: 'tunnel.up', key: 'b' },
  ];
  const text = ['not a line of the log', ...log.map((line) => JSON.stringify(line))].join('\n');
  assert.deepEqual(delaysIn(text, 'tunnel.add', 'tunnel.up', 'tunnel.down'), [30, 50, 3]);
});
