import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { keyAddressOf, type Member } from '../../cli/demo/check.ts';
import { isAlive, untilTrue } from '../../cli/demo/machine.ts';
import { longestPath, routeTables } from '../../cli/demo/paths.ts';
import { type PingResult, ping } from '../../cli/probe.ts';
import { idOfKey } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { membersOf, type Ring, ringFor, skip, VI } from './topology.ts';

const PING_EVERY_S = 0.01;
/** Candidates for a long way. */
const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'];

/** Pings at 100 Hz from a member to an address while `work` goes on; the sequence numbers that got no reply. */
async function lostDuring(
  from: Member,
  address: string,
  seconds: number,
  work: () => Promise<void>,
): Promise<{ sent: number; lost: number }> {
  const pinging: Promise<PingResult> = ping({
    namespace: `/run/netns/${from.machine.namespace}`,
    address,
    family: address.includes(':') ? 6 : 4,
    count: seconds / PING_EVERY_S,
    interval: PING_EVERY_S,
    wait: 2,
  });
  await sleep(500);
  const [result] = await Promise.all([pinging, work()]);
  assert.equal(result.transmitted, seconds / PING_EVERY_S);
  return { sent: result.transmitted, lost: result.transmitted - result.received };
}

/** The nodes on the longest way to a key that the routes hold, and the key's address. */
async function longWay(ring: Ring): Promise<{ way: Member[]; address: string }> {
  const { key, path } = longestPath(await routeTables(ring.members.map(({ machine }) => machine)), KEYS);
  const way = path.map((id) => ring.members.find(({ node }) => node.id === id) ?? assert.fail());
  return { way, address: keyAddressOf((way[0] ?? assert.fail()).node, idOfKey(key)) };
}

test('a P2P daemon restarts under traffic and no packet is lost', { skip, timeout: 90_000 }, async (context) => {
  const ring = await ringFor(context, 6, { order: 'at once', definition: { successors: 2 } });
  const { way, address } = await longWay(ring);
  const from = way[0] ?? assert.fail();
  const before = new Map(ring.members.map(({ node }) => [node.id, node]));
  const { sent, lost } = await lostDuring(from, address, 8, async () => {
    for (const { machine } of way) {
      const { p2pdPid } = await machine.node();
      machine.kill([p2pdPid ?? assert.fail()]);
      await untilTrue(`the P2P daemon of ${machine.name} to be back`, 10_000, 50, async () => {
        const node = await machine.node();
        return (
          node.p2pdPid !== null && node.p2pdPid !== p2pdPid && (node.phase === 'formed' || node.phase === 'forming')
        );
      });
    }
  });
  context.diagnostic(`${way.length} P2P daemons killed on the way of ${sent} pings: ${lost} lost`);
  assert.equal(lost, 0);
  await ring.world.untilIdeal({ timeoutMs: 30_000 });
  for (const { node } of await membersOf(ring.world)) assert.equal(node.id, before.get(node.id)?.id);
});

test('a killed resource daemon is back within 5 s of its start', { skip, timeout: 90_000 }, async (context) => {
  const ring = await ringFor(context, 6, { order: 'at once' });
  const [client, victim] = [ring.members[0] ?? assert.fail(), ring.members[3] ?? assert.fail()];
  await victim.machine.agent();
  const { pid } = await victim.machine.status();
  victim.machine.kill([pid]);
  await untilTrue('the resource daemon to be gone', 5000, 20, () => Promise.resolve(!isAlive(pid)));
  const started = systemClock.now();
  await victim.machine.startRd();
  const upMs = Math.round(systemClock.now() - started);
  await untilTrue('the node to answer again', 20_000, 50, async () => {
    const { received } = await ping({
      namespace: `/run/netns/${client.machine.namespace}`,
      address: victim.node.ipv6,
      family: 6,
      count: 1,
      wait: 1,
    });
    return received === 1;
  });
  const backMs = Math.round(systemClock.now() - started);
  context.diagnostic(`the control socket answered after ${upMs} ms, the node was reached after ${backMs} ms`);
  assert.ok(backMs < 5000, `${backMs} ms`);
  await ring.world.untilIdeal({ timeoutMs: 30_000 });
});

test('without the overlay manager traffic goes on, and a join says why it fails', {
  skip,
  timeout: 90_000,
}, async (context) => {
  const ring = await ringFor(context, 4, { order: 'at once' });
  const { world } = ring;
  const [from, to] = [ring.members[0] ?? assert.fail(), ring.members[2] ?? assert.fail()];
  const [newcomer] = await world.addMachines(1);
  assert.ok(newcomer);
  const invitation = await world.invite(VI);
  const { sent, lost } = await lostDuring(from, to.node.ipv4, 5, async () => {
    world.om.kill([world.omPid ?? assert.fail()]);
    const refused = await newcomer.join(invitation);
    assert.equal(refused.code, 4, refused.stderr);
    const sentence = refused.stderr.trim().split('\n').at(-1) ?? '';
    assert.match(sentence, /^p2pxbone: The overlay manager at .* does not answer/);
    context.diagnostic(`the join said: ${sentence}`);
  });
  context.diagnostic(`overlay manager killed under ${sent} pings: ${lost} lost`);
  assert.equal(lost, 0);

  const restart = await lostDuring(from, to.node.ipv4, 5, async () => {
    await world.startOm();
    await newcomer.mustJoin(invitation);
  });
  context.diagnostic(`overlay manager started and a node joined under ${restart.sent} pings: ${restart.lost} lost`);
  assert.equal(restart.lost, 0);
  await world.untilIdeal({ timeoutMs: 30_000 });
});
