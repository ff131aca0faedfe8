import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pingAllPairs } from '../../cli/demo/check.ts';
import { run, within } from '../../cli/demo/namespaces.ts';
import { cidrContains, parseAddress, parseCidr } from '../../overlay/addresses.ts';
import { requestKeysFromAll, ringFor, skip, tunnelsOf } from './topology.ts';

test('links are numbered with pairs from the address server, or carry the stable addresses', {
  skip,
  timeout: 90_000,
}, async (context) => {
  for (const links of ['numbered', 'unnumbered'] as const) {
    const ring = await ringFor(context, 3, { order: 'at once', definition: { links } });
    for (const member of ring.members) {
      const { stdout } = await run(
        within(member.machine.namespace, ['ip', '-4', '-br', 'addr', 'show', member.node.interface]),
      );
      for (const tunnel of await tunnelsOf(member)) {
        const { peerIpv4, local, remote } = tunnel;
        if (links === 'numbered') {
          const address = parseAddress(local) ?? assert.fail(local);
          assert.ok(cidrContains(parseCidr(member.node.vi.definition.linkPool) ?? assert.fail(), address), local);
          assert.ok(stdout.includes(`${local} peer ${remote}/32`), `${local} in ${stdout}`);
        } else {
          assert.deepEqual([local, remote], [member.node.ipv4, peerIpv4]);
        }
      }
    }
    assert.deepEqual((await pingAllPairs(ring.members)).faults, []);
    assert.deepEqual((await requestKeysFromAll(ring.members, 20)).faults, []);
  }
});
