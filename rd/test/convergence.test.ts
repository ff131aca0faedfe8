/**
 * Two daemons look for each other at once, by several ways, under losses and delays: whatever comes up and in whichever
 * order, both ends of a tunnel are bound to the same association, and what carries packets goes on doing so.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { below, fraction } from '../../overlay/lib/rng.ts';
import type { Family } from '../core/contact.ts';
import type { AssociationRef } from '../core/io.ts';
import { certificateOf, Network, type Peer, QUIET, testVi } from './network.ts';

const SEEDS = Number(process.env['P2PXBONE_SEEDS'] ?? 1000);
const FIRST_SEED = Number(process.env['P2PXBONE_SEED'] ?? 0);

const seeds = (): number[] => Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index);

/** Two daemons with two ways between them, each of its own length, and each daemon with its own preference. */
function world(seed: number): { network: Network; a: Peer; b: Peer } {
  const network = new Network(seed, 2, testVi(seed % 2 === 0 ? 'numbered' : 'unnumbered'), true);
  const { rng } = network;
  const [a, b] = network.peers as [Peer, Peer];
  const groups = seed % 3 === 0 ? [] : ['a'];
  for (const peer of [a, b]) {
    peer.setup = { ...peer.setup, groups, certificate: certificateOf(groups) };
    network.start(peer);
  }
  const ways: Record<Family, number> = { 4: below(rng, 2) * below(rng, 700), 6: below(rng, 2) * below(rng, 700) };
  network.wayMs = (_from, _to, family) => ways[family];
  network.faults = { loss: below(rng, 2) * fraction(rng) * 0.1, duplicate: 0.1, delayMsMax: 1 + below(rng, 300) };
  network.run(2000);
  return { network, a, b };
}

/** Both ends have it in the data plane, and what one of them sends the other one takes. */
function carries(network: Network, a: Peer, b: Peer): boolean {
  const [there, here] = [a.plans.get(b.id), b.plans.get(a.id)];
  if (there === undefined || here === undefined || there.secure !== here.secure) return false;
  return !there.secure || network.otherEnd(there.association) === here.association;
}

/** As P2P daemons do: what has failed is asked for again. */
function insistFor(network: Network, a: Peer, b: Peer, ms: number): void {
  for (const end = network.now + ms; network.now < end; ) {
    network.run(500);
    for (const [peer, other] of [
      [a, b],
      [b, a],
    ] as const) {
      if (network.views(peer)[0]?.held !== true) network.add(peer, other);
    }
  }
}

function checkConverged(network: Network, a: Peer, b: Peer): void {
  const [there, here] = [
    a.plans.get(b.id) ?? assert.fail('no tunnel'),
    b.plans.get(a.id) ?? assert.fail('one end only'),
  ];
  assert.equal(network.otherEnd(there.association), here.association, 'bound to different associations');
  for (const [peer, plan] of [
    [a, there],
    [b, here],
  ] as const) {
    const [view] = network.views(peer);
    assert.equal(view?.state, 'up');
    assert.equal(view?.association, plan.association, 'the data plane has another association than the core');
    assert.deepEqual([view?.held, view?.heldByPeer], [true, true]);
  }
}

function forEachSeed(run: (seed: number) => void): void {
  for (const seed of seeds()) {
    try {
      run(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}

describe('daemons that dial each other at once', () => {
  test('come to one association for a tunnel, and packets pass from its first moment on', () => {
    forEachSeed((seed) => {
      const { network, a, b } = world(seed);
      let since: number | undefined;
      network.watch = () => {
        if (since === undefined && carries(network, a, b)) since = network.now;
        if (since !== undefined)
          assert.ok(carries(network, a, b), `interrupted ${network.now - since} ms after it was up`);
      };
      const [first, second] = below(network.rng, 2) === 0 ? [a, b] : [b, a];
      network.add(first, second);
      network.run(below(network.rng, 3000));
      network.add(second, first);
      insistFor(network, a, b, 60_000);
      network.faults = QUIET;
      insistFor(network, a, b, 60_000);
      checkConverged(network, a, b);
    });
  });

  test('are bound to one association again after ways broke and daemons died, and nothing else interrupts a tunnel', () => {
    forEachSeed((seed) => {
      const { network, a, b } = world(seed);
      const { rng, wayMs } = network;
      let bound: readonly [AssociationRef, AssociationRef] | undefined;
      network.watch = () => {
        const [there, here] = [a.plans.get(b.id), b.plans.get(a.id)];
        if (carries(network, a, b)) {
          bound = there === undefined || here === undefined ? undefined : [there.association, here.association];
          return;
        }
        if (bound !== undefined) assert.notEqual(network.otherEnd(bound[0]), bound[1], 'interrupted while it was up');
        bound = undefined;
      };
      network.add(a, b);
      for (let i = 0; i < 6; i++) {
        insistFor(network, a, b, 500 * below(rng, 8));
        const family: Family = below(rng, 2) === 0 ? 4 : 6;
        const [one, other] = below(rng, 2) === 0 ? [a, b] : [b, a];
        const what = below(rng, 4);
        if (what === 0) network.restart(one, 'lost');
        else if (what === 1) network.cut(a, b);
        else {
          network.wayMs = (from, to, way) => {
            const isBroken = way === family && (what === 2 || from === one);
            return isBroken ? Number.POSITIVE_INFINITY : wayMs(from, to, way);
          };
          network.planes.doubtAll();
          insistFor(network, one, other, 500 * below(rng, 16));
          network.wayMs = wayMs;
        }
      }
      network.faults = QUIET;
      insistFor(network, a, b, 60_000);
      checkConverged(network, a, b);
    });
  });
});

/** Packets for the peer itself go into the tunnel at `from`, and the other end takes none from there. */
function losesPackets(network: Network, from: Peer, to: Peer): boolean {
  const hop = from.image?.exact.get(to.setup.ipv6);
  return hop?.kind === 'tunnel' && !carries(network, from, to);
}

describe('a tunnel that comes and goes', () => {
  test('carries packets from when both ends have it until one of them has let it go', () => {
    forEachSeed((seed) => {
      const { network, a, b } = world(seed);
      const { rng } = network;
      // Without losses, and with round trips shorter than an end waits for the other one's word.
      const { wayMs } = network;
      network.wayMs = (from, to, family) => wayMs(from, to, family) / 4;
      network.faults = { loss: 0, duplicate: 0, delayMsMax: below(rng, 200) };
      for (const peer of [a, b]) network.add(peer, peer === a ? b : a);
      network.run(20_000);
      for (const [peer, other] of [
        [a, b],
        [b, a],
      ] as const) {
        network.release(peer, other);
      }
      network.run(20_000);
      let routed = 0;
      network.watch = (peer) => {
        for (const [from, to] of [
          [a, b],
          [b, a],
        ] as const) {
          if (losesPackets(network, from, to)) assert.fail(`${from.key} sends what ${to.key} does not take`);
        }
        if ([...(peer.image?.exact.values() ?? [])].some(({ kind }) => kind === 'tunnel')) routed += 1;
      };
      for (let i = 0; i < 12; i++) {
        const [peer, other] = below(rng, 2) === 0 ? [a, b] : [b, a];
        const isAdded = below(rng, 2) === 0;
        if (isAdded) network.add(peer, other);
        else network.release(peer, other);
        // No P2P daemon wants back at once what it has just released.
        network.run((isAdded ? 0 : 2000) + below(rng, 2) * below(rng, 1500));
      }
      insistFor(network, a, b, 20_000);
      assert.ok(routed > 0);
      const hop = a.image?.exact.get(b.setup.ipv6);
      assert.equal(hop?.kind, 'tunnel');
    });
  });
});
