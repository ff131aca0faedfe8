import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../overlay/errors.ts';
import { type Id, toId } from '../../overlay/id.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { LinkShape } from '../../overlay/link-shape.ts';
import type { Engine } from '../driver/engine.ts';
import type { HostedNode } from '../driver/hosted-node.ts';
import { clearQos, setQos } from '../driver/qos.ts';
import { TunnelShapes } from '../driver/tunnel-shapes.ts';
import { testVi } from './network.ts';

const PEERS = [1n, 2n].map((id) => ({ peer: toId(id), name: `n${id}`, ipv4: `10.77.0.${id}`, remote: '10.112.0.1' }));

function setUp(): {
  node: HostedNode;
  engine: Engine;
  shapes: TunnelShapes;
  refused: Set<Id>;
  shaped: Map<Id, unknown>;
} {
  const shapes = new TunnelShapes(undefined);
  const refused = new Set<Id>();
  const shaped = new Map<Id, unknown>();
  const reshape = (peer: Id): Result<void> => {
    if (refused.has(peer)) return fail('SYSTEM', 'No thread can be started.');
    shaped.set(peer, shapes.of(peer));
    return ok();
  };
  const membership = { vi: testVi(), netns: null };
  const node = { id: toId(9n), isReady: true, shapes, membership, reshape } as unknown as HostedNode;
  const engine = { tunnels: () => PEERS } as unknown as Engine;
  return { node, engine, shapes, refused, shaped };
}

const setOf = (peer: string, out: LinkShape, ways = {}) => ({ t: 'qos.set' as const, peer, out, ...ways });

describe('quality of service by command', () => {
  test('is in effect when it is said to be', () => {
    const { node, engine, shaped } = setUp();
    const set = setQos(node, engine, setOf('n1', { delayMs: 5 }));
    assert.ok(set.ok);
    assert.deepEqual(shaped.get(toId(1n)), { out: { delayMs: 5 }, in: null });
    assert.deepEqual(set.value.nodes[0]?.peers[0]?.out, { shape: { delayMs: 5 }, from: 'command' });
  });

  test('fails where the data plane refuses it, and what was set before stays', () => {
    const { node, engine, shapes, refused } = setUp();
    assert.ok(setQos(node, engine, setOf('n1', { delayMs: 5 })).ok);
    refused.add(toId(1n)).add(toId(2n));
    for (const peer of ['n1', 'n2']) {
      const set = setQos(node, engine, setOf(peer, { delayMs: 7 }));
      assert.ok(!set.ok && set.code === 'SYSTEM');
      assert.match(set.message, new RegExp(`The tunnel to '${peer}' stays as it was: No thread`));
    }
    assert.deepEqual(shapes.of(toId(1n)).out, { delayMs: 5 });
    assert.deepEqual([shapes.of(toId(2n)).out, shapes.peers.length], [null, 1]);
  });

  test('is cleared of all peers whose tunnel lets it be', () => {
    const { node, engine, shapes, refused } = setUp();
    for (const peer of ['n1', 'n2']) assert.ok(setQos(node, engine, setOf(peer, { delayMs: 5 })).ok);
    refused.add(toId(1n));
    const cleared = clearQos(node, engine, undefined);
    assert.ok(!cleared.ok && cleared.message.includes("'n1'"));
    assert.deepEqual(
      shapes.peers.map(({ name }) => name),
      ['n1'],
    );
    refused.clear();
    assert.ok(clearQos(node, engine, 'n1').ok);
    assert.deepEqual(shapes.peers, []);
  });

  test('is refused where its numbers contradict each other, whoever asks', () => {
    const { node, engine, shapes } = setUp();
    for (const [out, text] of [
      [{ jitterMs: 2 }, /^out\.jitter: give a delay/],
      [{ delayMs: 1, jitterMs: 2 }, /^out\.jitter: give a delay/],
      [{ reorder: 0.1, rateBitsPerSecond: 1e6 }, /^out\.reorder: give a delay too/],
      [{ burstBytes: 15_000, delayMs: 1 }, /^out\.burst: give a rate too/],
      [{ queueBytes: 15_000, loss: 0.1 }, /^out\.queue: give a rate too/],
    ] as const) {
      const set = setQos(node, engine, setOf('n1', out));
      assert.ok(!set.ok && set.code === 'BAD_ARGUMENT');
      assert.match(set.message, text);
    }
    assert.deepEqual(shapes.peers, []);
  });
});
