import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { below } from '../../overlay/lib/rng.ts';
import { P2PD_RD_VERSION } from '../../overlay/messages/p2pd-rd.ts';
import { encodeContact } from '../core/contact.ts';
import type { NodeRef } from '../core/io.ts';
import { Network, type Peer, QUIET, testVi } from './network.ts';

type Told = Peer['told'][number];
const lastAbout = (peer: Peer, key: bigint): Told | undefined =>
  peer.told.findLast(
    (message) =>
      (message.t === 'tunnel.up' && message.tunnel.key === key) ||
      ((message.t === 'failed' || message.t === 'tunnel.down') && message.key === key),
  );

/** What must hold between any two nodes once messages have come to rest. */
function checkAgreement(network: Network): void {
  for (const a of network.peers) {
    for (const b of network.peers) {
      if (a === b) continue;
      const there = network.views(a).find((view) => view.peer === b.id);
      const here = network.views(b).find((view) => view.peer === a.id);
      assert.equal(there === undefined, here === undefined, `${a.setup.name} and ${b.setup.name}: one end only`);
      if (there === undefined || here === undefined) {
        assert.equal(a.plans.has(b.id), false);
        assert.notEqual(lastAbout(a, b.id)?.t, 'tunnel.up');
        continue;
      }
      assert.equal(there.state, 'up');
      assert.equal(there.pair, here.pair, 'the ends disagree on the pair');
      assert.equal(there.held, here.heldByPeer, 'the ends disagree on who holds it');
      assert.ok(there.held || there.heldByPeer, 'nobody holds it');
      assert.equal(there.local, here.remote);
      assert.equal(a.plans.get(b.id)?.link?.local.ipv4, there.local);
      assert.ok(there.association !== undefined && network.otherEnd(there.association) === here.association);
      assert.equal(lastAbout(a, b.id)?.t, 'tunnel.up');
    }
  }
  checkPairs(network);
}

/** Every pair in a tunnel is leased by exactly one end and names exactly one tunnel; what daemons have, the server gave. */
function checkPairs(network: Network): void {
  const tunnelOf = new Map<number, string>();
  for (const peer of network.peers) {
    for (const view of network.views(peer)) {
      if (view.pair === null) continue;
      const name = peer.id < view.peer ? `${peer.id}-${view.peer}` : `${view.peer}-${peer.id}`;
      assert.equal(tunnelOf.get(view.pair) ?? name, name, `pair ${view.pair} names two tunnels`);
      tunnelOf.set(view.pair, name);
    }
  }
  const all = network.peers.flatMap((peer) => network.pairs(peer));
  assert.equal(new Set(all).size, all.length, 'a pair is on two leases');
  for (const peer of network.peers) {
    for (const pair of network.pairs(peer)) assert.equal(network.server.owner.get(pair), peer.key);
  }
  for (const pair of tunnelOf.keys()) assert.ok(all.includes(pair), `pair ${pair} is on no lease`);
}

describe('a tunnel between two nodes', () => {
  test('comes up at both ends with the two addresses of one pair', () => {
    const network = new Network(1, 2);
    const [a, b] = network.peers as [Peer, Peer];
    network.run(100);
    network.add(a, b);
    network.run(1000);
    checkAgreement(network);
    const up = lastAbout(a, b.id);
    assert.ok(up?.t === 'tunnel.up' && up.tunnel.held);
    const unasked = lastAbout(b, a.id);
    assert.ok(unasked?.t === 'tunnel.up' && !unasked.tunnel.held);
    assert.deepEqual(up.tunnel.local, unasked.tunnel.remote);
  });

  test('asked for from both ends at once is one tunnel, with the pair of the lower id', () => {
    const network = new Network(2, 2);
    const [a, b] = network.peers as [Peer, Peer];
    network.run(100);
    network.add(a, b);
    network.add(b, a);
    network.run(1000);
    checkAgreement(network);
    const [lower, higher] = a.id < b.id ? [a, b] : [b, a];
    const pair = network.views(lower)[0]?.pair as number;
    assert.equal(network.server.owner.get(pair), lower.key);
    network.release(lower, higher);
    network.run(1000);
    checkAgreement(network);
    assert.equal(network.views(lower).length, 1, 'the other end still holds it');
    network.release(higher, lower);
    network.run(1000);
    assert.equal(network.views(lower).length + network.views(higher).length, 0);
  });

  test('held as an answer only, goes by itself', () => {
    const network = new Network(3, 2);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b, 'answer');
    network.run(9000);
    assert.equal(network.views(b).length, 1);
    network.run(3000);
    assert.equal(network.views(a).length + network.views(b).length, 0);
    const down = lastAbout(b, a.id);
    assert.ok(down?.t === 'tunnel.down' && down.reason === 'released');
  });

  test('to a silent endpoint fails in good time, and leaks no pair', () => {
    const network = new Network(4, 3);
    const [a, b, silent] = network.peers as [Peer, Peer, Peer];
    network.peers.splice(network.peers.indexOf(silent), 1);
    network.add(a, silent);
    network.run(13_000);
    const told = lastAbout(a, silent.id);
    assert.ok(told?.t === 'failed' && told.code === 'PEER_UNREACHABLE');
    network.add(a, b);
    network.run(1000);
    checkAgreement(network);
  });

  test('to another node than the contact names is refused', () => {
    const network = new Network(5, 3);
    const [a, b, c] = network.peers as [Peer, Peer, Peer];
    network.say(a, { t: 'tunnel.add', key: b.id, contact: c.setup.contact, role: 'neighbour' });
    const told = lastAbout(a, b.id);
    assert.ok(told?.t === 'failed' && told.code === 'PEER_MISMATCH');
  });

  test('waits for an address pair, and says so when there is none', () => {
    const network = new Network(6, 2);
    network.server.answers = false;
    const [a, b] = network.peers as [Peer, Peer];
    network.restart(a);
    network.add(a, b);
    network.run(8000);
    const told = lastAbout(a, b.id);
    assert.ok(told?.t === 'failed' && told.code === 'NO_ADDRESS_PAIR');
    network.server.answers = true;
    network.run(40_000);
    network.add(a, b);
    network.run(1000);
    checkAgreement(network);
    assert.equal(network.views(a).length, 1);
  });

  test('stops at the limit of the VI', () => {
    const network = new Network(7, 12, testVi('numbered', 10));
    const [first, ...others] = network.peers as [Peer, ...Peer[]];
    for (const other of others) network.add(first, other);
    network.run(2000);
    assert.equal(network.views(first).length, 10);
    assert.equal(first.told.filter((message) => message.t === 'failed' && message.code === 'LIMIT_REACHED').length, 1);
    const late = others.find((other) => network.views(other).length === 0) as Peer;
    network.add(late, first);
    network.run(2000);
    const told = lastAbout(late, first.id);
    assert.ok(told?.t === 'failed' && told.code === 'LIMIT_REACHED');
    checkAgreement(network);
  });

  test('keeps places for what its own node asks, however many others ask', () => {
    const network = new Network(8, 24, testVi('numbered', 16));
    const [first, second, ...others] = network.peers as [Peer, Peer, ...Peer[]];
    for (const other of others) network.add(other, first);
    network.run(2000);
    assert.equal(network.views(first).length, 14);
    const refused = others.filter((other) => network.views(other).length === 0);
    assert.equal(refused.length, others.length - 14);
    for (const other of refused) {
      const told = lastAbout(other, first.id);
      assert.ok(told?.t === 'failed' && told.code === 'LIMIT_REACHED');
    }
    network.add(first, second);
    network.add(first, refused[0] as Peer);
    network.run(2000);
    assert.equal(network.views(first).length, 16);
    checkAgreement(network);
  });

  test('never has the pair of another tunnel of the node, though two ends lease the same', () => {
    const network = new Network(9, 4);
    const [a, b, c, d] = network.peers as [Peer, Peer, Peer, Peer];
    network.run(100);
    network.server.next = 1000;
    network.add(b, d);
    network.run(2000);
    for (const peer of [a, c]) {
      network.restart(peer);
      peer.saved = [];
      network.server.next = 0;
      network.server.owner.clear();
      network.add(peer, b);
      network.run(2000);
    }
    const pairs = network.views(b).map((view) => view.pair);
    assert.equal(pairs.length, 3);
    assert.equal(new Set(pairs).size, 3);
    const addresses = [...(b.image?.exact.keys() ?? [])];
    assert.equal(new Set(addresses).size, addresses.length);
  });

  test('is not handed to another key while the one that has it lives', () => {
    const network = new Network(10, 3);
    const [a, b, thief] = network.peers as [Peer, Peer, Peer];
    network.add(a, b);
    network.run(1000);
    const before = network.views(b).find((view) => view.peer === a.id);
    // The thief has a certificate for a's id, as one who held that place before may have.
    Object.assign(thief, { id: a.id });
    Object.assign(thief.setup, { id: a.id, ipv4: a.setup.ipv4, ipv6: a.setup.ipv6, incarnation: 99 });
    Object.assign(thief.setup, { contact: encodeContact({ node: a.id, key: thief.key, endpoints: [thief.endpoint] }) });
    network.restart(thief);
    network.add(thief, b);
    network.run(3000);
    const told = lastAbout(thief, b.id);
    assert.ok(told?.t === 'failed' && told.code === 'CONFLICT', JSON.stringify(told?.t));
    assert.deepEqual(network.views(b).find((view) => view.peer === a.id)?.endpoint, before?.endpoint);
  });

  test('needs no pair where links are unnumbered', () => {
    const network = new Network(8, 2, testVi('unnumbered'));
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.run(1000);
    const up = lastAbout(a, b.id);
    assert.ok(up?.t === 'tunnel.up');
    assert.equal(up.tunnel.local.address, a.setup.ipv6);
    assert.equal(up.tunnel.remote.address, b.setup.ipv6);
    assert.ok(a.image?.exact.get(b.setup.ipv4)?.kind === 'tunnel');
    assert.equal(network.server.owner.size, 0);
  });

  test('is told dead when the peer is silent', () => {
    const network = new Network(9, 2);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.run(1000);
    network.cut(a, b);
    network.run(1000);
    for (const [peer, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const down = lastAbout(peer, other.id);
      assert.ok(down?.t === 'tunnel.down' && down.reason === 'peer-dead');
      assert.equal(peer.plans.size, 0);
    }
  });

  test('stands again when the peer comes back as a new incarnation', () => {
    const network = new Network(10, 2);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.run(1000);
    network.restart(b);
    network.run(3000);
    checkAgreement(network);
    const up = lastAbout(a, b.id);
    assert.ok(up?.t === 'tunnel.up' && up.tunnel.peer.incarnation === 2);
    assert.ok(!a.told.some((message) => message.t === 'tunnel.down'), 'the tunnel never went down');
    assert.equal(network.views(b)[0]?.heldByPeer, true);
  });

  for (const holder of ['the end that moves', 'the other end', 'both']) {
    test(`has its peer told of another base address, held by ${holder}`, () => {
      const network = new Network(12, 2);
      const [a, b] = network.peers as [Peer, Peer];
      if (holder !== 'the other end') network.add(b, a);
      if (holder !== 'the end that moves') network.add(a, b);
      network.run(1000);
      const before = network.views(a).map(({ held, heldByPeer }) => [held, heldByPeer]);
      network.relocate(b, { address: '198.51.100.7', port: 4780 });
      network.update(b);
      network.run(1000);
      const up = lastAbout(a, b.id);
      assert.ok(up?.t === 'tunnel.up');
      assert.deepEqual(up.tunnel.peer.contact, b.setup.contact);
      network.run(20_000);
      assert.deepEqual(
        network.views(a).map(({ held, heldByPeer }) => [held, heldByPeer]),
        before,
        'the holds are what they were',
      );
      checkAgreement(network);
      // What was told is what counts when the association is lost and the P2P daemon does not ask again.
      network.restart(b);
      network.run(3000);
      for (const { told } of [a, b]) assert.ok(!told.some((message) => message.t === 'tunnel.down'));
    });
  }

  test('without an association is sought where the P2P daemon says the peer is now', () => {
    const network = new Network(13, 2);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.run(1000);
    network.relocate(b, { address: '198.51.100.7', port: 4780 });
    network.restart(b);
    network.run(2000);
    assert.equal(network.views(a)[0]?.association, undefined);
    network.add(a, b);
    network.run(2000);
    checkAgreement(network);
    assert.equal(network.views(a)[0]?.endpoint?.address, '198.51.100.7');
    assert.ok(!a.told.some((message) => message.t === 'tunnel.down'), 'the tunnel never went down');
  });

  test('is let go when a peer that held it comes back and does not ask for it', () => {
    const network = new Network(11, 2);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.run(1000);
    network.restart(a);
    network.run(10_000);
    assert.equal(network.views(a).length + network.views(b).length, 0);
    const down = lastAbout(b, a.id);
    assert.ok(down?.t === 'tunnel.down' && down.reason === 'peer-dead');
  });
});

describe('a tunnel that its peer has lost', () => {
  test('is let go by the answer to its release, though the peer had said that it holds it', () => {
    const network = new Network(12, 2);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.add(b, a);
    network.run(1000);
    assert.equal(network.views(a)[0]?.heldByPeer, true);
    network.lateMs = (message) => (message.t === 'con_refused' ? 1e9 : 0);
    network.input(b, { kind: 'tunnel.broken', node: 1 as NodeRef, peer: a.id });
    network.run(1000);
    assert.deepEqual([network.views(a).length, network.views(b).length], [1, 0], 'one end has not heard of it');
    network.release(a, b);
    network.run(1000);
    assert.equal(network.views(a).length, 0);
    const down = lastAbout(a, b.id);
    assert.ok(down?.t === 'tunnel.down' && down.reason === 'released');
  });
});

describe('a P2P daemon that comes back', () => {
  test('finds everything in place, and loses what it does not ask for again at its first commit', () => {
    const network = new Network(20, 3);
    const [a, b, c] = network.peers as [Peer, Peer, Peer];
    network.add(a, b);
    network.add(a, c);
    network.say(a, { t: 'route.add', after: a.id, until: b.id, to: b.id });
    network.say(a, { t: 'route.add', after: b.id, until: a.id, to: a.id });
    network.say(a, { t: 'routes.commit', generation: 1, count: 2 });
    network.run(1000);
    const published = a.published;
    a.told.length = 0;
    const hello = { version: P2PD_RD_VERSION, vi: a.setup.vi.id, node: a.id, instance: 9n as never, generation: 0 };
    network.say(a, { t: 'hello', ...hello });
    const welcome = a.told[0];
    assert.ok(welcome?.t === 'welcome' && welcome.generation === 1);
    assert.deepEqual(new Set(welcome.tunnels.map((tunnel) => tunnel.key)), new Set([b.id, c.id]));
    assert.equal(welcome.routes.length, 2);
    network.add(a, b);
    network.add(a, c);
    network.say(a, { t: 'routes.commit', generation: 1, count: 2 });
    network.run(1000);
    assert.equal(a.published, published, 'a resync that changes nothing publishes nothing');
    network.say(a, { t: 'hello', ...hello });
    network.add(a, b);
    network.say(a, { t: 'routes.commit', generation: 1, count: 2 });
    network.run(1000);
    assert.deepEqual(
      network.views(a).map((view) => view.peer),
      [b.id],
    );
    checkAgreement(network);
  });
});

describe('tunnels under random orders', () => {
  const orders = fc.array(
    fc.record({
      what: fc.constantFrom('add', 'add', 'add', 'answer', 'release', 'release', 'cut', 'restart', 'pause'),
      from: fc.nat(3),
      to: fc.nat(3),
    }),
    { minLength: 1, maxLength: 60 },
  );

  const play = (seed: number, list: typeof orders extends fc.Arbitrary<infer T> ? T : never, harsh: boolean): void => {
    const network = new Network(seed, 4, testVi(), harsh);
    network.run(50);
    network.faults = { loss: harsh ? 0.25 : 0.1, duplicate: 0.2, delayMsMax: harsh ? 400 : 80 };
    for (const { what, from, to } of list) {
      const [a, b] = [network.peers[from] as Peer, network.peers[to] as Peer];
      if (a !== b) {
        if (what === 'add' || what === 'answer') network.add(a, b, what === 'add' ? 'neighbour' : 'answer');
        else if (what === 'release') network.release(a, b);
        else if (what === 'cut') network.cut(a, b);
        else if (what === 'restart') network.restart(a);
      }
      network.run(what === 'pause' ? 2000 : below(network.rng, 150));
      for (const peer of network.peers) {
        const peers = network.views(peer).map((view) => view.peer);
        assert.equal(new Set(peers).size, peers.length);
      }
    }
    network.faults = QUIET;
    network.run(120_000);
    checkAgreement(network);
  };

  test('both ends come to agree, and no pair is lost', () => {
    fc.assert(
      fc.property(fc.integer(), orders, (seed, list) => play(seed, list, false)),
      { numRuns: 500 },
    );
  });

  test('also where much is lost and late', () => {
    fc.assert(
      fc.property(fc.integer(), orders, (seed, list) => play(seed, list, true)),
      { numRuns: 500 },
    );
  });

  test('what is asked for on a working network is there in the end', () => {
    fc.assert(
      fc.property(fc.integer(), orders, (seed, list) => {
        const network = new Network(seed, 4);
        network.faults = { loss: 0, duplicate: 0.1, delayMsMax: 50 };
        const wanted = new Set<string>();
        for (const { what, from, to } of list) {
          if (from === to) continue;
          const [a, b] = [network.peers[from] as Peer, network.peers[to] as Peer];
          if (what === 'add') {
            network.add(a, b);
            wanted.add(`${from}-${to}`);
          } else if (what === 'release') {
            network.release(a, b);
            wanted.delete(`${from}-${to}`);
          }
          network.run(below(network.rng, 100));
        }
        network.run(20_000);
        checkAgreement(network);
        network.peers.forEach((a, from) => {
          network.peers.forEach((b, to) => {
            const held = network.views(a).find((view) => view.peer === b.id)?.held ?? false;
            assert.equal(held, wanted.has(`${from}-${to}`));
          });
        });
      }),
      { numRuns: 500 },
    );
  });
});
