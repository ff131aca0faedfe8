import assert from 'node:assert/strict';
import { test } from 'node:test';
import { untilTrue } from '../../cli/demo/machine.ts';
import { ping } from '../../cli/probe.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { ringFor, skip } from './topology.ts';

const NODES = 6;
const RESTARTS = 10;

test('resource daemons killed and started one after another leave one ring', {
  skip,
  timeout: 180_000,
}, async (context) => {
  const { world, members } = await ringFor(context, NODES, { order: 'at once' });
  const client = members[0] ?? assert.fail();
  const times: number[] = [];
  for (let i = 0; i < RESTARTS; i++) {
    // Nobody waits for the ring to mend before the next one dies.
    const victim = members[1 + (i % (NODES - 1))] ?? assert.fail();
    const { pid } = await victim.machine.status();
    victim.machine.kill([pid]);
    const started = systemClock.now();
    await victim.machine.startRd();
    await untilTrue(`${victim.node.name} to answer again`, 20_000, 100, async () => {
      const namespace = `/run/netns/${client.machine.namespace}`;
      const { received } = await ping({ namespace, address: victim.node.ipv6, family: 6, count: 1, wait: 1 });
      return received === 1;
    });
    times.push(Math.round(systemClock.now() - started));
  }
  context.diagnostic(`back after ${times.join(', ')} ms`);
  const mending = systemClock.now();
  // A node that was taken for dead is believed again after half a minute at the latest.
  await world.untilIdeal({ timeoutMs: 60_000 });
  context.diagnostic(`ideal ${Math.round(systemClock.now() - mending)} ms after the last one was back`);
  assert.ok(Math.max(...times) < 5000, `${Math.max(...times)} ms`);
});
