import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pingAllPairs } from '../../cli/demo/check.ts';
import { requestKeysFromAll, ringFor, skip, tunnelsOf } from './topology.ts';

test('a ring over a base network that has IPv6 only', { skip, timeout: 90_000 }, async (context) => {
  const ring = await ringFor(context, 5, { order: 'at once', underlay: 'ipv6' });
  const { pings, faults } = await pingAllPairs(ring.members);
  assert.deepEqual(faults, []);
  const keys = await requestKeysFromAll(ring.members, 50);
  assert.deepEqual(keys.faults, []);
  const tunnels = (await Promise.all(ring.members.map(tunnelsOf))).flat();
  assert.ok(tunnels.every(({ endpoint }) => endpoint === null || endpoint.address.startsWith('fd99:')));
  context.diagnostic(`${pings} pings and ${keys.requests} keys answered over ${tunnels.length / 2} tunnels on IPv6`);
});
