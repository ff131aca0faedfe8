/** Certificates that end before their time, at it, and that are renewed before it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Member } from '../../cli/demo/check.ts';
import { isAlive, untilTrue } from '../../cli/demo/machine.ts';
import { ip } from '../../cli/demo/namespaces.ts';
import { ping } from '../../cli/probe.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { HEARTBEAT_MS } from '../../overlay/om-api.ts';
import { joinAll, ringFor, skip, tunnelsOf, VI, worldFor } from './topology.ts';

/** From the removal of a node until its peers have ended their tunnels to it. */
const REFUSED_MS = HEARTBEAT_MS + 2000;
const SHORT_LIVED_OM = fileURLToPath(new URL('./short-lived-om.ts', import.meta.url));
const LIFETIME_S = 24;

async function hasTunnel(from: Member, to: Member): Promise<boolean> {
  return (await tunnelsOf(from)).some(({ peer, state }) => peer === to.node.id && state === 'up');
}

async function reaches(from: Member, to: Member): Promise<boolean> {
  const namespace = `/run/netns/${from.machine.namespace}`;
  try {
    return (await ping({ namespace, address: to.node.ipv4, family: 4, count: 1, wait: 1 })).received === 1;
  } catch (error) {
    // A node that is being started again has no route yet.
    if (error instanceof OverlayError) return false;
    throw error;
  }
}

test('a node that was removed and goes on is refused by its peers, also with the overlay manager down', {
  skip,
  timeout: 120_000,
}, async (context) => {
  const { world, members } = await ringFor(context, 4, { order: 'at once', definition: { successors: 2 } });
  const victim = members.at(-1) ?? assert.fail();
  const others = members.slice(0, -1);
  const [first = assert.fail()] = others;
  assert.ok(await reaches(first, victim));

  // It does not hear of its removal.
  await ip(victim.machine.namespace, [
    `route add blackhole ${world.om.ipv4}/32`,
    `route add blackhole ${world.om.ipv6}/128`,
  ]);
  const removed = systemClock.now();
  const said = await world.om.mustCommand(['node', 'delete', VI, victim.node.name, '--data', world.om.data]);
  assert.match(said, /certificate is revoked/);
  await untilTrue('no tunnel to lead to it', REFUSED_MS + 10_000, 50, async () => {
    const left = await Promise.all(others.map((other) => hasTunnel(other, victim)));
    return left.every((up) => !up);
  });
  const endedMs = Math.round(systemClock.now() - removed);
  context.diagnostic(`tunnels to the removed node ended after ${endedMs} ms`);
  assert.ok(endedMs <= REFUSED_MS, `${endedMs} ms`);
  await world.untilIdeal({ machines: others.map(({ machine }) => machine), timeoutMs: 30_000 });

  const { revocations } = await first.machine.node();
  assert.equal(revocations?.certificates, 1);
  assert.match(
    await first.machine.mustCommand(['status', '--run', first.machine.run]),
    /revocations +list \d+, 1 cert/,
  );

  // It comes back from what it has on the disk, and its peers, started again too, cannot ask anybody.
  world.om.kill([world.omPid ?? assert.fail()]);
  await victim.machine.killDaemons();
  await untilTrue('it to be down', 5000, 20, async () => {
    return Promise.resolve(!(await first.machine.node()).successors.includes(victim.node.id));
  });
  const { pid } = await first.machine.status();
  await first.machine.stopRd();
  assert.equal(isAlive(pid), false);
  await Promise.all([first.machine.startRd(), victim.machine.startRd()]);
  await untilTrue('it to be on the ring again', 30_000, 50, async () => reaches(first, others[1] ?? assert.fail()));
  const until = systemClock.now() + 5000;
  while (systemClock.now() < until) {
    for (const other of others) assert.equal(await hasTunnel(other, victim), false);
    assert.equal(await reaches(victim, first), false);
    await sleep(200);
  }
  const kept = (await first.machine.node()).revocations;
  assert.deepEqual(kept, { ...revocations, confirmedAt: null }, 'the list of before');

  await world.startOm();
  await untilTrue('the list to be confirmed', REFUSED_MS + 5000, 100, async () => {
    return (await first.machine.node()).revocations?.confirmedAt !== null;
  });
});

test('certificates are renewed under traffic, and no packet is lost', { skip, timeout: 180_000 }, async (context) => {
  const world = await worldFor(context);
  const machines = await world.addMachines(3);
  await world.startOm((data, host, port) => [SHORT_LIVED_OM, data, host, String(port), String(LIFETIME_S)]);
  await world.createVi(VI, { successors: 2 });
  const invitation = await world.invite(VI, ['--uses', '9']);
  const { members } = await joinAll(context, world, machines, invitation, 'at once');
  const [from, to] = [members[0] ?? assert.fail(), members[2] ?? assert.fail()];
  const count = 2 * LIFETIME_S * 20;
  const namespace = `/run/netns/${from.machine.namespace}`;
  const result = await ping({ namespace, address: to.node.ipv4, family: 4, count, interval: 0.05, wait: 2 });
  const renewed = (await to.machine.node()).certificateExpiresAt - to.node.certificateExpiresAt;
  context.diagnostic(`${count} pings over two lifetimes: ${count - result.received} lost`);
  assert.ok(renewed > LIFETIME_S * 1000, 'its first certificate has expired since');
  assert.equal(result.received, count);

  // Who cannot renew is out when its certificate ends.
  const expires = (await to.machine.node()).certificateExpiresAt;
  await ip(to.machine.namespace, [
    `route add blackhole ${world.om.ipv4}/32`,
    `route add blackhole ${world.om.ipv6}/128`,
  ]);
  await untilTrue('the tunnel to end', (LIFETIME_S + 15) * 1000, 100, async () => !(await hasTunnel(from, to)));
  const lateMs = Math.round(systemClock.wall() - expires);
  context.diagnostic(`without renewal, the tunnel ended ${lateMs} ms after the certificate`);
  assert.ok(lateMs > -1000, 'not before');
});
