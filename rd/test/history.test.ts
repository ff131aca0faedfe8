import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toId } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import { HISTORY_EVENTS_MAX, History } from '../driver/history.ts';

test('the latest events are kept, with their age, and no more of them than that', () => {
  let now = 0;
  const history = new History({ now: () => now as Millis, wall: () => 0 });
  for (let i = 0; i < HISTORY_EVENTS_MAX + 10; i++) {
    now = i;
    history.note('peer', toId(BigInt(i)));
  }
  const { events } = history;
  assert.equal(events.length, HISTORY_EVENTS_MAX);
  assert.deepEqual(events[0], { agoMs: HISTORY_EVENTS_MAX - 1, what: 'peer', peer: toId(10n), neighbours: [] });
  assert.equal(events.at(-1)?.agoMs, 0);
});

test('a ring that has not changed, and a state that has not, are noted once', () => {
  const history = new History({ now: () => 5 as Millis, wall: () => 0 });
  for (const successor of [1n, 1n, 2n, 2n]) history.note('ring', null, [toId(successor)]);
  for (const isUp of [true, false, false, true, true]) history.noteState(['manager.up', 'manager.down'], isUp);
  assert.deepEqual(
    history.events.map(({ what }) => what),
    ['ring', 'ring', 'manager.down', 'manager.up'],
  );
});
