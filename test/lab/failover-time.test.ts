import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyAddressOf } from '../../cli/demo/check.ts';
import { untilAnsweredBy } from '../../cli/demo/failover.ts';
import { ownerOf, ringOrder } from '../../cli/ring-picture.ts';
import { idOfKey } from '../../overlay/id.ts';
import { ringFor, skip } from './topology.ts';

test('a key of a node whose power fails is answered by its successor within 5 s', {
  skip,
  timeout: 90_000,
}, async (context) => {
  const { world, members } = await ringFor(context, 6, { order: 'at once' });
  const id = idOfKey('failover');
  const nodes = members.map(({ node }) => node);
  const ordered = ringOrder(nodes);
  const at = ordered.findIndex((node) => node.id === ownerOf(nodes, id)?.id);
  const [owner, successor, client] = [0, 1, 2].map((k) => {
    const node = ordered[(at + k) % ordered.length];
    return members.find((member) => member.node === node) ?? assert.fail();
  });
  assert.ok(owner && successor && client);
  const agents = await Promise.all(members.map(({ machine }) => machine.agent()));
  assert.equal(agents.length, 6);
  const address = keyAddressOf(client.node, id);
  const agent = await client.machine.agent();
  assert.equal((await agent.fetchOne(address)).by, owner.node.name);
  await owner.machine.killDaemons();
  await world.unplug(owner.machine);
  const ms = Math.round(await untilAnsweredBy(agent, address, successor.node.name, 15_000));
  context.diagnostic(`the successor answered ${ms} ms after the failure`);
  assert.ok(ms < 5000, `${ms} ms`);
});
