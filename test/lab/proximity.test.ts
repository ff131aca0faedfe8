/** Real nodes that are as far from each other as a model of the Internet says: what they measure, and whom they choose. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { layDistances } from '../../bench/lab/distances.ts';
import { toolPath } from '../../bench/lab/tool.ts';
import { untilTrue } from '../../cli/demo/machine.ts';
import { distance, type Id } from '../../overlay/id.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { NEARER_MS, NEARER_SHARE } from '../../p2pd/core/limits.ts';
import { LatencyModel } from '../sim/latency.ts';
import { membersOf, requestKeysFromAll, skip, tunnelsOf, VI, worldFor } from './topology.ts';

const COUNT = 10;
const missing = existsSync(toolPath('delay_switch')) ? skip : 'needs bench/tools: sh scripts/setup.sh test';
/** What programs and a busy machine add to a round-trip time. */
const EXTRA_MS = 15;

test('real nodes measure each other and choose near fingers', { skip: missing, timeout: 300_000 }, async (context) => {
  const world = await worldFor(context);
  const machines = await world.addMachines(COUNT);
  const model = new LatencyModel({ seed: 2, nodes: COUNT });
  await layDistances(world, machines, (a, b) => model.rttMs(a, b));
  await world.startOm();
  await world.createVi(VI, { proximity: 'both', successors: 2 });
  const invitation = await world.invite(VI, ['--uses', String(COUNT)]);
  for (const machine of machines) await machine.mustJoin(invitation);
  await world.untilIdeal({ timeoutMs: 90_000 });

  const indexOf = (nodes: readonly NodeStatus[], id: Id): number => nodes.findIndex((node) => node.id === id);
  let choices = 0;
  let far: string[] = [];
  const isNear = async (): Promise<boolean> => {
    const nodes = await world.nodes();
    choices = 0;
    far = [];
    for (const [from, node] of nodes.entries()) {
      for (const { bit, node: finger } of node.fingers) {
        const inStretch = (id: Id): boolean => distance(node.id, id) >> BigInt(bit) === 1n;
        // The ring's own pointers are neighbours anyway.
        const pointers = new Set([node.predecessor, ...node.successors]);
        const times = nodes
          .filter(({ id }) => inStretch(id) && !pointers.has(id))
          .map(({ id }) => model.rttMs(from, indexOf(nodes, id)));
        if (!inStretch(finger) || times.length < 2) continue;
        choices++;
        const [chosenMs, bestMs] = [model.rttMs(from, indexOf(nodes, finger)), Math.min(...times)];
        if (chosenMs * NEARER_SHARE > bestMs + NEARER_MS + EXTRA_MS) {
          far.push(`${node.name} has finger ${bit} at ${chosenMs} ms, not ${bestMs}`);
        }
      }
    }
    return far.length === 0;
  };
  await untilTrue('near fingers', 120_000, 1000, isNear).catch((error: Error) => {
    throw new Error(`${error.message} ${far.join('; ')}`, { cause: error });
  });
  context.diagnostic(`${choices} fingers with a choice are near ones`);
  assert.ok(choices >= COUNT, `${choices} fingers with a choice`);

  const nodes = await world.untilIdeal({ timeoutMs: 60_000 });
  const members = await membersOf(world, machines);
  const [first] = members;
  assert.ok(first);
  for (const { peer, rttMs } of await tunnelsOf(first)) {
    const straightMs = model.rttMs(0, indexOf(nodes, peer));
    assert.ok(rttMs === null || rttMs >= 0.9 * straightMs, `${rttMs} ms where the way alone takes ${straightMs}`);
  }
  const keys = await requestKeysFromAll(members, 10);
  assert.deepEqual(keys.faults, []);
});
