/** Whom a node knows by name: itself, its neighbours by their certificates, the others by the overlay manager's list. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../../overlay/errors.ts';
import { type Id, parseId } from '../../overlay/id.ts';
import { createLog } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { NodeSummary } from '../../overlay/om-api.ts';
import type { TunnelView } from '../core/io.ts';
import { Acquaintances } from '../driver/acquaintances.ts';
import type { Membership } from '../driver/files.ts';

const idOf = (number: number): Id => parseId(number.toString(16).padStart(16, '0')) as Id;

function listed(number: number, groups: string[]): NodeSummary {
  const id = number.toString(16).padStart(16, '0');
  const addresses = { ipv4: `10.77.0.${number}`, ipv6: `fd00::${number}` };
  return { name: `n${number}`, id, ...addresses, groups, joinedAt: 0, heardAt: null, member: true };
}

function tunnelTo(number: number, groups: string[]): TunnelView {
  const link = {
    local: { ipv4: '10.78.0.1', ipv6: 'fd01::1' },
    remote: { ipv4: '10.78.0.2', ipv6: 'fd01::2' },
  };
  const addresses = { ipv4: `10.77.0.${number}`, ipv6: `fd00::${number}` };
  return { peer: idOf(number), name: `n${number}`, groups, addresses, link } as Partial<TunnelView> as TunnelView;
}

class World {
  list: Result<NodeSummary[]> = fail('OM_UNREACHABLE');
  tunnels: TunnelView[] = [];
  saved: NodeSummary[] | undefined;
  changes = 0;
  asked = 0;

  acquaintances(): Acquaintances {
    const definition = { ipv4Pool: '10.77.0.0/16', linkPool: '10.78.0.0/16' };
    const vi = { prefix: 'fd00::/64', linkPrefix: 'fd01::/64', definition };
    const own = { vi, name: 'n1', groups: ['staff'], ipv4: '10.77.0.1', ipv6: 'fd00::1' };
    return new Acquaintances({
      id: idOf(1),
      membership: () => own as unknown as Membership,
      data: {
        directory: () => this.saved,
        saveDirectory: (_membership, nodes) => {
          this.saved = nodes;
          return ok();
        },
      },
      tunnels: () => this.tunnels,
      list: async () => {
        this.asked++;
        return this.list;
      },
      onChanged: () => {
        this.changes++;
      },
      log: createLog('test', 'silent'),
    });
  }
}

test('the list tells of those who are far, certificates of neighbours, whatever the list says of them', async () => {
  const world = new World();
  const known = world.acquaintances();
  assert.equal(known.known().isListed, false);
  assert.deepEqual(known.known().nodes, [{ name: 'n1', groups: ['staff'], addresses: ['10.77.0.1', 'fd00::1'] }]);
  await known.prepare();
  assert.equal(known.known().isListed, false, 'nobody answers');
  world.list = ok([listed(1, ['staff']), listed(2, ['guests']), listed(3, ['guests'])]);
  await known.prepare();
  assert.equal(known.known().isListed, true);
  world.tunnels = [tunnelTo(3, ['staff']), tunnelTo(4, [])];
  const { nodes, prefixes } = known.known();
  const links = ['10.78.0.2', 'fd01::2'];
  assert.deepEqual(nodes, [
    // Its own ends of its links are its own addresses.
    {
      name: 'n1',
      groups: ['staff'],
      addresses: ['10.77.0.1', 'fd00::1', '10.78.0.1', 'fd01::1', '10.78.0.1', 'fd01::1'],
    },
    { name: 'n2', groups: ['guests'], addresses: ['10.77.0.2', 'fd00::2'] },
    { name: 'n3', groups: ['staff'], addresses: ['10.77.0.3', 'fd00::3', ...links] },
    { name: 'n4', groups: [], addresses: ['10.77.0.4', 'fd00::4', ...links] },
  ]);
  assert.deepEqual(prefixes, ['fd00::/64', 'fd01::/64', '10.77.0.0/16', '10.78.0.0/16']);
  known.close();
});

test('the list is kept for a time when nobody answers, and asked for when it is another one', async () => {
  const world = new World();
  world.list = ok([listed(2, ['guests'])]);
  const before = world.acquaintances();
  assert.ok(before.isBehind(7));
  await before.refresh();
  assert.ok(!before.isBehind(7));
  assert.ok(before.isBehind(8));
  before.close();

  const after = world.acquaintances();
  assert.equal(after.known().isListed, true, 'from the disk');
  await after.prepare();
  assert.equal(world.asked, 1, 'nobody is waited for');
  assert.ok(after.isBehind(7), 'the numbers of an earlier life mean nothing');
  world.list = fail('OM_UNREACHABLE');
  assert.ok(!(await after.refresh()).ok);
  assert.ok(after.isBehind(7), 'it is tried again');
  assert.deepEqual(after.known().nodes[0]?.name, 'n2');
  after.close();
});

test('of many changes the first is told at once, the others together', async () => {
  const world = new World();
  const known = world.acquaintances();
  for (let i = 0; i < 10; i++) known.touched();
  assert.equal(world.changes, 1);
  await sleep(300);
  assert.equal(world.changes, 2);
  known.touched();
  assert.equal(world.changes, 3);
  known.close();
});
