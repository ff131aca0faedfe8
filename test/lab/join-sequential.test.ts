import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pingAllPairs } from '../../cli/demo/check.ts';
import { requestKeysFromAll, ringFor, skip, untilTunnelsNeeded } from './topology.ts';

const NODES = 8;
const KEYS_PER_NODE = 1000;

test('8 nodes join one after another and make an ideal ring', { skip, timeout: 120_000 }, async (context) => {
  const ring = await ringFor(context, NODES, { order: 'sequential' });

  const { pings, faults } = await pingAllPairs(ring.members);
  assert.deepEqual(faults, []);
  context.diagnostic(`${pings} pings between all pairs by IPv4 and IPv6 answered`);

  const keys = await requestKeysFromAll(ring.members, KEYS_PER_NODE);
  assert.deepEqual(keys.faults.slice(0, 10), []);
  context.diagnostic(
    `${keys.requests} random keys answered by the right node, the slowest in ${Math.round(keys.slowestMs)} ms`,
  );

  const tunnels = await untilTunnelsNeeded(ring, 30_000);
  context.diagnostic(`${tunnels} tunnels, all between neighbours`);
  assert.ok(tunnels >= NODES);
});
