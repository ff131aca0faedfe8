/** What of a tunnel's plan reaches the data plane: above all, that nothing is plain that has to be secure. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DataPlane, NodeHandle, TunnelHandle, TunnelOptions } from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import { toId } from '../../overlay/id.ts';
import { createLog } from '../../overlay/lib/log.ts';
import { ok } from '../../overlay/lib/result.ts';
import type { AssociationRef, TunnelPlan } from '../core/io.ts';
import { NodePlane } from '../driver/node-plane.ts';
import { TunnelShapes } from '../driver/tunnel-shapes.ts';

type Change = Parameters<DataPlane['updateTunnel']>[1];
type Known = { association: number | null; peer: string; payloadBytesMax: number | undefined };

/** A data plane that knows tunnels and associations, and refuses an association that is gone. */
class FakePlane {
  readonly tunnels = new Map<number, Known>();
  readonly associations = new Set<number>([1, 2]);
  /** Every state in which a tunnel has been. */
  readonly history: string[] = [];
  refuses = false;
  #last = 0;

  addTunnel({ peer, association }: TunnelOptions): ReturnType<DataPlane['addTunnel']> {
    if (association !== undefined && !this.associations.has(association)) return fail('NOT_FOUND');
    const handle = ++this.#last;
    this.tunnels.set(handle, { association: association ?? null, peer: peer.address, payloadBytesMax: undefined });
    this.#note(handle);
    return ok(handle as TunnelHandle);
  }

  updateTunnel(handle: TunnelHandle, change: Change): ReturnType<DataPlane['updateTunnel']> {
    const tunnel = this.tunnels.get(handle) ?? assert.fail();
    if (this.refuses) return fail('INTERNAL');
    if (change.association !== undefined) {
      if (change.association !== null && !this.associations.has(change.association)) return fail('NOT_FOUND');
      tunnel.association = change.association;
    }
    if (change.peer !== undefined) tunnel.peer = change.peer.address;
    if (change.payloadBytesMax !== undefined) tunnel.payloadBytesMax = change.payloadBytesMax;
    this.#note(handle);
    return ok();
  }

  removeTunnel(handle: TunnelHandle): void {
    this.tunnels.delete(handle);
    this.history.push('gone');
  }

  #note(handle: number): void {
    const { association, peer } = this.tunnels.get(handle) ?? assert.fail();
    this.history.push(`${association ?? 'plain'} ${peer}`);
  }
}

const peer = toId(7n);

function setUp(): { plane: FakePlane; node: NodePlane; broken: unknown[] } {
  const plane = new FakePlane();
  const broken: unknown[] = [];
  const node = new NodePlane({
    plane: plane as unknown as DataPlane,
    handle: 1 as NodeHandle,
    shapes: new TunnelShapes(undefined),
    attachment: { interface: 'none', netns: null } as never,
    log: createLog('test', 'silent'),
    onBroken: (id) => broken.push(id),
    onSettled: () => undefined,
    onFailed: () => undefined,
  });
  return { plane, node, broken };
}

const plan = (association: number, secure: boolean, address = '192.0.2.1'): TunnelPlan => ({
  peer,
  association: association as AssociationRef,
  endpoint: { address, port: 4780 },
  link: null,
  secure,
  why: 'test',
});

describe('a tunnel in the data plane', () => {
  test('is secure from the first instant, and goes with its plan to another association and back to plain', () => {
    const { plane, node, broken } = setUp();
    node.set(plan(1, true), 1400);
    assert.deepEqual([...plane.tunnels.values()], [{ association: 1, peer: '192.0.2.1', payloadBytesMax: 1400 }]);
    node.set(plan(2, true, '192.0.2.9'), 1300);
    assert.deepEqual([...plane.tunnels.values()], [{ association: 2, peer: '192.0.2.9', payloadBytesMax: 1300 }]);
    assert.ok(plane.history.every((state) => !state.startsWith('plain')));
    node.set(plan(2, false, '192.0.2.9'), undefined);
    assert.deepEqual([...plane.tunnels.values()], [{ association: null, peer: '192.0.2.9', payloadBytesMax: 1300 }]);
    assert.deepEqual(broken, []);
  });

  test('is plain without an association, and secured before anything goes to a new address', () => {
    const { plane, node } = setUp();
    node.set(plan(1, false), undefined);
    node.set(plan(2, true, '192.0.2.9'), undefined);
    assert.deepEqual(plane.history, ['plain 192.0.2.1', '2 192.0.2.1', '2 192.0.2.9']);
  });

  test('is not made plain where its association has gone', () => {
    const { plane, node, broken } = setUp();
    plane.associations.clear();
    node.set(plan(1, true), undefined);
    assert.deepEqual([plane.tunnels.size, broken], [0, [peer]]);
  });

  test('stays bound to the association it had where the next one has gone already', () => {
    const { plane, node, broken } = setUp();
    node.set(plan(1, true), undefined);
    plane.associations.clear();
    node.set(plan(2, true), undefined);
    assert.deepEqual(
      [...plane.tunnels.values()].map(({ association }) => association),
      [1],
    );
    assert.deepEqual(broken, []);
    plane.associations.add(2);
    node.set(plan(2, true), undefined);
    assert.deepEqual(
      [...plane.tunnels.values()].map(({ association }) => association),
      [2],
    );
  });

  test('is removed where it cannot be made secure', () => {
    const { plane, node, broken } = setUp();
    node.set(plan(1, false), undefined);
    plane.refuses = true;
    node.set(plan(1, true), undefined);
    assert.deepEqual([plane.tunnels.size, broken], [0, [peer]]);
  });
});
