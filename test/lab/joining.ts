/** What must hold of a ring that has come up, however its nodes joined. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { pingAllPairs } from '../../cli/demo/check.ts';
import { dropsOf, type RingOptions, requestKeysFromAll, ringFor, untilTunnelsNeeded } from './topology.ts';

const TUNNELS_SETTLE_MS = 45_000;

export async function joinAndCheck(
  context: TestContext,
  nodes: number,
  order: RingOptions['order'],
  keysPerNode: number,
): Promise<void> {
  const ring = await ringFor(context, nodes, { order });

  const { pings, faults } = await pingAllPairs(ring.members);
  if (faults.length > 0) context.diagnostic(`drops of all daemons: ${JSON.stringify(await dropsOf(ring.members))}`);
  assert.deepEqual(faults.slice(0, 10), []);
  context.diagnostic(`${pings} pings between all pairs by IPv4 and IPv6 answered`);

  const keys = await requestKeysFromAll(ring.members, keysPerNode);
  assert.deepEqual(keys.faults.slice(0, 10), []);
  const slowest = Math.round(keys.slowestMs);
  context.diagnostic(`${keys.requests} random keys answered by the right node, the slowest in ${slowest} ms`);

  context.diagnostic(`drops of all daemons until then: ${JSON.stringify(await dropsOf(ring.members))}`);

  const tunnels = await untilTunnelsNeeded(ring, TUNNELS_SETTLE_MS);
  const r = ring.members[0]?.node.vi.definition.successors ?? 0;
  const perNode = (tunnels * 2) / nodes;
  const expected = 2 * (r + Math.log2(nodes));
  context.diagnostic(`${tunnels} tunnels, ${perNode.toFixed(1)} a node; 2·(r + log2 N) is ${expected.toFixed(1)}`);
  assert.ok(perNode <= expected, `${perNode} tunnels a node`);
}
