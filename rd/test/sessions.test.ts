import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toId } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import { P2PD_RD_VERSION, type ToP2pd, type ToRd } from '../../overlay/messages/p2pd-rd.ts';
import type { AssociationRef, NodeRef, Output, SessionRef } from '../core/io.ts';
import { RdCore } from '../core/rd.ts';
import { Peer, testVi } from './network.ts';

const NODE = 1 as NodeRef;
const NOW = 0 as Millis;
const session = (number: number): SessionRef => number as SessionRef;

class Sitting {
  readonly peer = new Peer(0, testVi());
  readonly core = new RdCore({ key: this.peer.key, self: this.peer.endpoint, families: [4] });

  constructor() {
    this.core.handle({ kind: 'node.open', node: NODE, setup: this.peer.setup }, NOW);
    this.drain();
  }

  drain(): Output[] {
    const outputs: Output[] = [];
    for (let output = this.core.poll(); output !== undefined; output = this.core.poll()) outputs.push(output);
    return outputs;
  }

  say(from: number, message: ToRd): Output[] {
    this.core.handle({ kind: 'p2pd', node: NODE, session: session(from), message }, NOW);
    return this.drain();
  }

  hello(from: number, changes: Partial<ToRd & { t: 'hello' }> = {}): Output[] {
    const { id } = this.peer;
    const hello = {
      version: P2PD_RD_VERSION,
      vi: this.peer.setup.vi.id,
      node: id,
      instance: toId(BigInt(from)),
      generation: 0,
    };
    return this.say(from, { t: 'hello', ...hello, ...changes });
  }
}

const sentTo = (outputs: readonly Output[], to: number): ToP2pd[] =>
  outputs.flatMap((output) => (output.kind === 'p2pd.send' && output.session === to ? [output.message] : []));

describe('the session of a P2P daemon', () => {
  test('begins with everything it needs', () => {
    const sitting = new Sitting();
    const [welcome] = sentTo(sitting.hello(1), 1);
    assert.ok(welcome?.t === 'welcome');
    assert.equal(welcome.node.id, sitting.peer.id);
    assert.equal(welcome.port, 4747);
    assert.deepEqual([welcome.tunnels, welcome.routes, welcome.generation], [[], [], 0]);
    const [contact] = sentTo(sitting.say(1, { t: 'contact.get', request: 5 }), 1);
    assert.ok(contact?.t === 'contact' && contact.request === 5);
    assert.deepEqual(contact.contact, sitting.peer.setup.contact);
  });

  test('is refused to another version, and to a node that is not here', () => {
    for (const [changes, code] of [
      [{ version: P2PD_RD_VERSION + 1 }, 'BAD_VERSION'],
      [{ node: toId(5n) }, 'NOT_FOUND'],
      [{ vi: 'vi-0000000000000000' }, 'NOT_FOUND'],
    ] as const) {
      const outputs = new Sitting().hello(1, changes);
      const [refused] = sentTo(outputs, 1);
      assert.ok(refused?.t === 'refused' && refused.code === code);
      assert.ok(outputs.some((output) => output.kind === 'p2pd.close'));
    }
  });

  test('goes to the newest daemon', () => {
    const sitting = new Sitting();
    sitting.hello(1);
    const outputs = sitting.hello(2);
    assert.ok(outputs.some((output) => output.kind === 'p2pd.close' && output.session === 1));
    assert.equal(sentTo(outputs, 2)[0]?.t, 'welcome');
    assert.deepEqual(sitting.say(1, { t: 'contact.get', request: 1 }), [], 'the old one is heard no more');
    sitting.core.handle({ kind: 'p2pd.closed', node: NODE, session: session(1) }, NOW);
    assert.equal(sentTo(sitting.say(2, { t: 'contact.get', request: 1 }), 2).length, 1);
  });

  test('forgets what an earlier one had staged and not committed', () => {
    const sitting = new Sitting();
    sitting.hello(1);
    sitting.say(1, { t: 'route.add', after: toId(1n), until: toId(2n), to: toId(2n) });
    sitting.hello(2);
    const { id } = sitting.peer;
    sitting.say(2, { t: 'route.add', after: id, until: id, to: id });
    const outputs = sitting.say(2, { t: 'routes.commit', generation: 1, count: 1 });
    assert.equal(sentTo(outputs, 2)[0]?.t, 'routes.committed');
    const published = outputs.find((output) => output.kind === 'publish');
    assert.ok(published?.kind === 'publish');
    assert.deepEqual(published.image.ranges, [{ until: id, hop: { kind: 'local' } }]);
    assert.ok(published.image.prefixes.length === 2);
    const refused = sitting.say(2, { t: 'routes.commit', generation: 2, count: 9 });
    assert.equal(sentTo(refused, 2)[0]?.t, 'routes.refused');
    assert.ok(!refused.some((output) => output.kind === 'publish'));
  });

  test('ends with the node', () => {
    const sitting = new Sitting();
    sitting.hello(1);
    sitting.core.handle({ kind: 'node.close', node: NODE }, NOW);
    assert.ok(sitting.drain().some((output) => output.kind === 'p2pd.close'));
    assert.deepEqual(sitting.hello(2), []);
    assert.equal(sitting.core.deadline(), undefined);
  });
});

describe('two nodes of one VI on one base node', () => {
  test('have a tunnel without a network', () => {
    const vi = testVi('numbered', 512, 'always');
    const [a, b] = [new Peer(0, vi), new Peer(1, vi)];
    const core = new RdCore({ key: a.key, self: a.endpoint, families: [4] });
    const contactOf = (peer: Peer): Uint8Array => {
      // One daemon, one key: both contacts name it.
      const bytes = a.setup.contact.slice();
      bytes.set(peer.setup.contact.subarray(0, 10));
      return bytes;
    };
    const outputs: Output[] = [];
    const input = (value: Parameters<RdCore['handle']>[0]): void => {
      core.handle(value, NOW);
      for (let output = core.poll(); output !== undefined; output = core.poll()) outputs.push(output);
    };
    [a, b].forEach((peer, index) => {
      const node = (index + 1) as NodeRef;
      input({
        kind: 'node.open',
        node,
        setup: { ...peer.setup, contact: contactOf(peer), pairs: [index], leaseMsLeft: 9e6 },
      });
    });
    const hello = { version: P2PD_RD_VERSION, vi: vi.id, node: a.id, instance: a.id, generation: 0 };
    input({ kind: 'p2pd', node: NODE, session: session(1), message: { t: 'hello', ...hello } });
    const message = { t: 'tunnel.add', key: b.id, contact: contactOf(b), role: 'neighbour' } as const;
    input({ kind: 'p2pd', node: NODE, session: session(1), message });
    const sets = outputs.filter((output) => output.kind === 'tunnel.set');
    assert.deepEqual(
      sets.map((output) => [output.node, output.plan.peer, output.plan.endpoint.port]),
      [
        [2, a.id, 4780],
        [1, b.id, 4780],
      ],
    );
    // No association leads to oneself, and nothing leaves the machine, so that also `always` is content.
    assert.deepEqual(
      [NODE, 2 as NodeRef].map((node) => core.tunnels(node)[0]?.security),
      Array.from({ length: 2 }, () => ({ secure: false, why: 'within this machine' })),
    );
    assert.equal(sentTo(outputs, 1).at(-1)?.t, 'tunnel.up');
    assert.ok(!outputs.some((output) => output.kind === 'control.send' || output.kind === 'associate'));
    input({ kind: 'node.close', node: 2 as NodeRef });
    const down = sentTo(outputs, 1).at(-1);
    assert.ok(down?.t === 'tunnel.down' && down.reason === 'peer-dead');
  });
});

describe('nodes of two VIs on one base node', () => {
  test('that look for the same daemon do not share a refusal', () => {
    const other = { ...testVi(), id: 'vi-00000000000000bb' };
    const core = new RdCore({ key: 'f'.repeat(32), self: new Peer(9, other).endpoint, families: [4] });
    const sought = new Peer(1, other);
    const outputs: Output[] = [];
    const input = (value: Parameters<RdCore['handle']>[0]): void => {
      core.handle(value, NOW);
      for (let output = core.poll(); output !== undefined; output = core.poll()) outputs.push(output);
    };
    [testVi(), other].forEach((vi, index) => {
      const [node, own] = [(index + 1) as NodeRef, new Peer(7, vi)];
      const peer = new Peer(1, vi);
      input({ kind: 'node.open', node, setup: own.setup });
      const hello = { version: P2PD_RD_VERSION, vi: vi.id, node: own.id, instance: own.id, generation: 0 };
      input({ kind: 'p2pd', node, session: session(index + 1), message: { t: 'hello', ...hello } });
      const message = { t: 'tunnel.add', key: peer.id, contact: peer.setup.contact, role: 'neighbour' } as const;
      input({ kind: 'p2pd', node, session: session(index + 1), message });
    });
    const association = 5 as AssociationRef;
    input({ kind: 'association.started', endpoint: sought.endpoint, association });
    input({ kind: 'association.down', association, reason: 'refused' });
    assert.deepEqual(sentTo(outputs, 1).at(-1), {
      t: 'failed',
      key: new Peer(1, testVi()).id,
      code: 'CERTIFICATE_REFUSED',
    });
    assert.equal(sentTo(outputs, 2).at(-1)?.t, 'welcome', 'the other VI goes on');
    const names = outputs.flatMap((output) => (output.kind === 'associate' ? [output.serverName] : []));
    assert.deepEqual(names, [testVi().id, other.id]);
  });
});
