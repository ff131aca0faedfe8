import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fetched } from '../../cli/demo/agent-client.ts';
import { keyAddressOf } from '../../cli/demo/check.ts';
import { ownerOf } from '../../cli/ring-picture.ts';
import { idOfKey } from '../../overlay/id.ts';
import { ringFor, skip, VI } from './topology.ts';

const REQUEST_EVERY_MS = 50;

test('a client sees no failure while the node responsible leaves', { skip, timeout: 90_000 }, async (context) => {
  const { world, members } = await ringFor(context, 8, { order: 'at once' });
  const client = members[0] ?? assert.fail();
  const nodes = members.map(({ node }) => node);
  const key = Array.from({ length: 100 }, (_, i) => `key-${i}`).find((text) => {
    return ownerOf(nodes, idOfKey(text))?.id !== client.node.id;
  });
  const id = idOfKey(key ?? assert.fail());
  const leaver = members.find(({ node }) => node.id === ownerOf(nodes, id)?.id) ?? assert.fail();
  const heirs = nodes.filter((node) => node.id !== leaver.node.id);
  const heir = ownerOf(heirs, id)?.name;
  await Promise.all(members.map(({ machine }) => machine.agent()));
  const agent = await client.machine.agent();
  const address = keyAddressOf(client.node, id);

  const requests: Promise<Fetched>[] = [];
  const loop = { going: true };
  const requesting = (async () => {
    while (loop.going) {
      requests.push(agent.fetchOne(address, 5000));
      await sleep(REQUEST_EVERY_MS);
    }
  })();
  await sleep(1000);
  const left = await leaver.machine.command(['leave', VI, '--run', leaver.machine.run]);
  assert.equal(left.code, 0, left.stderr);
  await sleep(3000);
  loop.going = false;
  await requesting;
  const answers = await Promise.all(requests);
  const failures = answers.filter(({ by }) => by === null);
  assert.deepEqual(failures, []);
  assert.equal(answers[0]?.by, leaver.node.name);
  assert.equal(answers.at(-1)?.by, heir);
  const slowest = Math.max(...answers.map(({ ms }) => ms));
  context.diagnostic(`${answers.length} requests, none failed, the slowest took ${Math.round(slowest)} ms`);
  const others = members.filter((member) => member !== leaver).map(({ machine }) => machine);
  await world.untilIdeal({ machines: others, timeoutMs: 30_000 });
});
