import assert from 'node:assert/strict';
import { test } from 'node:test';
import { below, seededRng } from '../../overlay/lib/rng.ts';
import { type Event, EventQueue } from './queue.ts';

test('events come in the order of their instants, and of their making where these are equal', () => {
  const rng = seededRng(1);
  const queue = new EventQueue();
  const waiting: { at: number; order: number }[] = [];
  const event: Event = { at: 0, kind: 0, node: 0, extra: 0, body: undefined };
  let order = 0;
  let now = 0;
  for (let round = 0; round < 20_000; round++) {
    if (below(rng, 5) < 3 || queue.size === 0) {
      const at = now + below(rng, 50);
      waiting.push({ at, order });
      queue.push(at, order % 200, order, 7 - order, { order });
      order++;
      continue;
    }
    waiting.sort((a, b) => a.at - b.at || a.order - b.order);
    const first = waiting.shift();
    assert.equal(queue.next, first?.at);
    queue.pop(event);
    now = event.at;
    assert.deepEqual(
      { ...event },
      {
        at: first?.at,
        kind: (first?.order ?? 0) % 200,
        node: first?.order,
        extra: 7 - (first?.order ?? 0),
        body: { order: first?.order },
      },
    );
  }
  assert.equal(queue.size, waiting.length);
});
