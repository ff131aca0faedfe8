import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pingAllPairs } from '../../cli/demo/check.ts';
import { requestKeysFromAll, ringFor, skip, untilTunnelsNeeded } from './topology.ts';

const NODES = 24;
const KEYS_PER_NODE = 1000;

test('24 nodes join all at once and make an ideal ring', { skip, timeout: 240_000 }, async (context) => {
  const ring = await ringFor(context, NODES, { order: 'at once' });

  const { pings, faults } = await pingAllPairs(ring.members);
  assert.deepEqual(faults.slice(0, 10), []);
  context.diagnostic(`${pings} pings between all pairs by IPv4 and IPv6 answered`);

  const keys = await requestKeysFromAll(ring.members, KEYS_PER_NODE);
  assert.deepEqual(keys.faults.slice(0, 10), []);
  context.diagnostic(
    `${keys.requests} random keys answered by the right node, the slowest in ${Math.round(keys.slowestMs)} ms`,
  );

  const tunnels = await untilTunnelsNeeded(ring, 45_000);
  const r = ring.members[0]?.node.vi.definition.successors ?? 0;
  const perNode = (tunnels * 2) / NODES;
  const expected = 2 * (r + Math.log2(NODES));
  context.diagnostic(`${tunnels} tunnels, ${perNode.toFixed(1)} a node; 2·(r + log2 N) is ${expected.toFixed(1)}`);
  assert.ok(perNode <= expected, `${perNode} tunnels a node`);
});
