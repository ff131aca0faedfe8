import assert from 'node:assert/strict';
import { test } from 'node:test';
import { untilTrue } from '../../cli/demo/machine.ts';
import { cidrContains, parseAddress, parseCidr } from '../../overlay/addresses.ts';
import type { AddressTransport } from '../../overlay/vi.ts';
import { membersOf, type Ring, requestKeysFromAll, ringFor, skip, tunnelsOf, VI } from './topology.ts';

const NODES = 5;
const TRANSPORTS: readonly AddressTransport[] = ['udp', 'tcp', 'tls'];

/** Every tunnel that is up has a pair of the link pool, the same at both ends, and no two tunnels have one. */
async function assertNumbered(ring: Ring): Promise<number> {
  const ends = new Map<string, string[]>();
  for (const member of await membersOf(
    ring.world,
    ring.members.map(({ machine }) => machine),
  )) {
    const pool = parseCidr(member.node.vi.definition.linkPool) ?? assert.fail();
    for (const { state, local, remote, peerName } of await tunnelsOf(member)) {
      // One that is only just asked for, as for an answer, has none yet.
      if (state === 'setting-up') continue;
      assert.ok(cidrContains(pool, parseAddress(local) ?? assert.fail(local)), `${local} is no link address`);
      const pair = [local, remote].sort().join(' ');
      ends.set(pair, [...(ends.get(pair) ?? []), [member.node.name, peerName].sort().join('-')]);
    }
  }
  for (const [pair, names] of ends) assert.equal(new Set(names).size, 1, `${pair} is the pair of ${names.join(', ')}`);
  return ends.size;
}

async function leasedBy(ring: Ring): Promise<number> {
  const text = await ring.world.om.mustCommand(['vi', 'show', VI, '--json', '--data', ring.world.om.data]);
  return (JSON.parse(text) as { linkPairsLeased: number }).linkPairsLeased;
}

for (const transport of TRANSPORTS) {
  test(`nodes lease their link pairs by ${transport}, and go on while the address server is down`, {
    skip,
    timeout: 180_000,
  }, async (context) => {
    const definition = { successors: 2, addressServer: { transport } };
    const ring = await ringFor(context, NODES, { order: 'at once', definition });
    const { world } = ring;
    assert.ok((await assertNumbered(ring)) >= NODES);
    const leased = await leasedBy(ring);
    assert.ok(leased >= NODES * 16, `${leased} pairs are leased`);

    world.om.kill([world.omPid ?? assert.fail()]);
    // Others become neighbours, and have their pairs from what was leased ahead of need.
    const [victim] = ring.members.splice(2, 1);
    await victim?.machine.killDaemons();
    const machines = ring.members.map(({ machine }) => machine);
    await world.untilIdeal({ machines, timeoutMs: 30_000 });
    await victim?.machine.startRd();
    ring.members.push(victim ?? assert.fail());
    await world.untilIdeal({ timeoutMs: 30_000 });
    const tunnels = await assertNumbered(ring);
    assert.deepEqual((await requestKeysFromAll(ring.members, 20)).faults, []);

    await world.startOm();
    await untilTrue('all nodes to be served again', 60_000, 250, async () => {
      const nodes = await world.nodes();
      return nodes.every(({ problem }) => problem === null);
    });
    assert.equal(await leasedBy(ring), leased, 'a restart costs no address');
    await assertNumbered(ring);
    context.diagnostic(`${tunnels} tunnels made anew without the address server; ${leased} pairs leased`);
  });
}
