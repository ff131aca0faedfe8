/** The agreement on security between cores, in every order that messages and associations can take. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { below } from '../../overlay/lib/rng.ts';
import { RD_RD_BYTES_MAX, type RdMessage, rdCodec } from '../../overlay/messages/rd-rd.ts';
import type { SecurityPolicy } from '../../overlay/vi.ts';
import { certificateOf, Network, type Peer, QUIET, testVi } from './network.ts';

type Setting = { readonly groups?: readonly string[]; readonly list?: readonly string[] };

function networkOf(
  seed: number,
  settings: readonly Setting[],
  policy: SecurityPolicy = 'groups',
  both = false,
): Network {
  const network = new Network(seed, settings.length, testVi('numbered', 512, policy), both);
  settings.forEach(({ groups = [], list = [] }, index) => {
    const peer = network.peers[index] as Peer;
    network.list(peer, list);
    network.certify(peer, groups);
    network.start(peer);
  });
  network.run(100);
  return network;
}

/** As the data plane has it, and why. */
function stateOf(network: Network, a: Peer, b: Peer): string {
  const plan = a.plans.get(b.id);
  const view = network.views(a).find(({ peer }) => peer === b.id);
  if (plan === undefined) return 'none';
  assert.equal(view?.security?.secure, plan.secure);
  return `${plan.secure ? 'secure' : 'plain'}: ${view?.security?.why}`;
}

function bothStates(network: Network): [string, string] {
  const [a, b] = network.peers as [Peer, Peer];
  return [stateOf(network, a, b), stateOf(network, b, a)];
}

/** Fails as soon as a tunnel is in the data plane as anything but this. */
function insist(network: Network, secure: boolean): void {
  network.watch = ({ plans }) => {
    for (const plan of plans.values()) assert.equal(plan.secure, secure, plan.why);
  };
}

describe('a tunnel is', () => {
  const cases: [string, readonly [Setting, Setting], SecurityPolicy, [string, string]][] = [
    ['plain without groups', [{}, {}], 'groups', ['plain: no common group', 'plain: no common group']],
    [
      'plain between strangers',
      [{ groups: ['a'] }, { groups: ['b'] }],
      'groups',
      ['plain: no common group', 'plain: no common group'],
    ],
    [
      'secure between members of a group',
      [{ groups: ['a', 'x'] }, { groups: ['b', 'x'] }],
      'groups',
      ['secure: groups: x', 'secure: groups: x'],
    ],
    ['secure by policy', [{}, {}], 'always', ['secure: policy always', 'secure: policy always']],
    [
      'plain by policy',
      [{ groups: ['a'], list: ['0.0.0.0/0'] }, { groups: ['a'] }],
      'never',
      ['plain: policy never', 'plain: policy never'],
    ],
    [
      'secure where one end lists the other by its base address',
      [{ list: ['192.0.2.2'] }, {}],
      'groups',
      ['secure: secure peer list here', 'secure: asked by peer'],
    ],
    [
      'secure where the other end does, by a network of stable addresses',
      [{}, { list: ['fd00:1:2:3::/64'] }],
      'groups',
      ['secure: asked by peer', 'secure: secure peer list here'],
    ],
    [
      'secure where an end lists the other by its stable IPv4 address',
      [{ list: ['10.77.0.2'] }, {}],
      'groups',
      ['secure: secure peer list here', 'secure: asked by peer'],
    ],
  ];
  for (const [name, settings, policy, expected] of cases) {
    for (const askers of [[0], [1], [0, 1]]) {
      test(`${name}, asked for by ${askers.join(' and ')}`, () => {
        const network = networkOf(1, settings, policy);
        insist(network, expected[0].startsWith('secure'));
        const [a, b] = network.peers as [Peer, Peer];
        if (askers.includes(0)) network.add(a, b);
        if (askers.includes(1)) network.add(b, a);
        network.run(3000);
        assert.deepEqual(bothStates(network), expected);
        network.cut(a, b);
        network.run(1000);
        network.add(a, b);
        network.run(1000);
        network.restart(b);
        network.run(10_000);
        assert.deepEqual(bothStates(network), expected);
        assert.deepEqual([...a.complaints, ...b.complaints], []);
      });
    }
  }

  test('plain where a list names other addresses of the pool, once it is known who the peer is', () => {
    const network = networkOf(2, [{ list: ['10.77.0.9'] }, {}]);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.run(3000);
    assert.deepEqual(bothStates(network), ['plain: no common group', 'plain: no common group']);
  });

  test('secure as before on the association that takes the place of a lost one, and bound to none between', () => {
    const network = networkOf(3, [{ groups: ['a'] }, { groups: ['a'] }]);
    const [a, b] = network.peers as [Peer, Peer];
    insist(network, true);
    network.add(a, b);
    network.run(1000);
    const before = a.plans.get(b.id)?.association;
    network.restart(b);
    network.run(3000);
    const plan = a.plans.get(b.id);
    assert.ok(plan !== undefined && plan.association !== before);
    assert.deepEqual(bothStates(network), ['secure: groups: a', 'secure: groups: a']);
  });

  test('set anew where the association’s peer goes on from another address', () => {
    const network = networkOf(4, [{ groups: ['a'] }, { groups: ['a'] }]);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.run(1000);
    const moved = { address: '198.51.100.7', port: 999 };
    const { association } = a.plans.get(b.id) ?? assert.fail();
    network.move(a, b, moved);
    assert.deepEqual(a.plans.get(b.id)?.endpoint, moved);
    assert.deepEqual(network.views(a)[0]?.endpoint, moved);
    assert.equal(a.plans.get(b.id)?.association, association);
    assert.equal(stateOf(network, a, b), 'secure: groups: a');
  });

  test('secure from the instant its peer turns up at an address on the list, and stays so when it leaves it', () => {
    for (const asker of [0, 1]) {
      const network = networkOf(5, [{ list: ['198.51.100.0/24'] }, {}]);
      const [a, b] = network.peers as [Peer, Peer];
      if (asker === 0) network.add(a, b);
      else network.add(b, a);
      network.run(1000);
      assert.deepEqual(bothStates(network), ['plain: no common group', 'plain: no common group']);
      network.move(a, b, { address: '198.51.100.7', port: 999 });
      assert.equal(stateOf(network, a, b), 'secure: secure peer list here', 'before the peer has answered');
      insist(network, true);
      b.plans.clear();
      network.run(1000);
      assert.equal(stateOf(network, b, a), 'secure: asked by peer');
      network.move(a, b, b.endpoint);
      network.run(1000);
      assert.equal(a.plans.get(b.id)?.secure, true);
    }
  });

  test('agreed on although a release crosses the con_req that would make it plain', () => {
    const network = networkOf(14, [{ groups: ['a'] }, { groups: ['a'] }]);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.add(b, a);
    network.run(1000);
    assert.deepEqual(bothStates(network), ['secure: groups: a', 'secure: groups: a']);
    network.lateMs = (message) => (message.t === 'con_resp' ? 150 : 0);
    network.certify(a, ['b']);
    network.run(20);
    network.release(b, a);
    network.run(5000);
    assert.deepEqual(bothStates(network), ['plain: no common group', 'plain: no common group']);
  });

  test('agreed on anew under a certificate with other groups, by whichever end holds it', () => {
    for (const holder of [0, 1]) {
      const network = networkOf(6, [{ groups: ['a'] }, { groups: ['b'] }]);
      const [a, b] = network.peers as [Peer, Peer];
      if (holder === 0) network.add(a, b);
      else network.add(b, a);
      network.run(1000);
      assert.deepEqual(bothStates(network), ['plain: no common group', 'plain: no common group']);
      network.certify(a, ['a', 'b']);
      assert.equal(stateOf(network, a, b), 'secure: groups: b', 'more security needs no answer');
      network.run(1000);
      assert.deepEqual(bothStates(network), ['secure: groups: b', 'secure: groups: b']);
      network.certify(b, ['c']);
      assert.equal(stateOf(network, b, a), 'secure: groups: b', 'less security does');
      network.run(1000);
      assert.deepEqual(bothStates(network), ['plain: no common group', 'plain: no common group']);
      network.run(30_000);
      const [there, here] = [network.views(a)[0], network.views(b)[0]];
      assert.deepEqual([there?.held, here?.held], [holder === 0, holder === 1], 'the holds are what they were');
    }
  });

  test('what the peer said last, not what arrives last', () => {
    const network = networkOf(11, [{ groups: ['a'] }, { groups: ['a'] }]);
    const [a, b] = network.peers as [Peer, Peer];
    network.lateMs = (message) => (message.t === 'con_resp' && message.secure ? 150 : 0);
    network.add(a, b);
    network.run(60);
    network.certify(b, ['b']);
    network.run(3000);
    assert.deepEqual(bothStates(network), ['plain: no common group', 'plain: no common group']);
  });

  test('not made where the groups claimed are not those of the certificate', () => {
    const claim = (message: RdMessage): RdMessage =>
      message.t === 'con_req' || message.t === 'con_resp'
        ? { ...message, from: { ...message.from, groups: ['a'] } }
        : message;
    const network = networkOf(7, [{ groups: ['a'] }, { groups: ['b'] }]);
    const [a, b] = network.peers as [Peer, Peer];
    network.forge = claim;
    network.add(b, a);
    network.run(1000);
    const told = b.told.findLast((message) => message.t === 'failed');
    assert.ok(told?.t === 'failed' && told.code === 'CERTIFICATE_REFUSED');
    assert.deepEqual(a.complaints, ['CERTIFICATE_REFUSED']);
    network.add(a, b);
    network.run(1000);
    const alsoTold = a.told.findLast((message) => message.t === 'failed');
    assert.ok(alsoTold?.t === 'failed' && alsoTold.code === 'CERTIFICATE_REFUSED');
    assert.deepEqual(bothStates(network), ['none', 'none']);
  });

  test('made by the certificates where the list of groups is too long to be said twice', () => {
    const long = Array.from({ length: 13 }, (_, i) => `group-${i}-with-a-rather-long-name`);
    const network = networkOf(8, [{ groups: ['x', ...long] }, { groups: ['x'] }]);
    const said: unknown[] = [];
    network.forge = (message) => {
      if (message.t === 'con_req' || message.t === 'con_resp') said.push(message.from.groups);
      assert.ok(rdCodec.encode(message).length <= RD_RD_BYTES_MAX);
      return message;
    };
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.run(1000);
    assert.deepEqual(bothStates(network), ['secure: groups: x', 'secure: groups: x']);
    assert.deepEqual(said, [null, ['x']]);
  });

  test('introduced in one datagram, however large certificate and list are', () => {
    for (let count = 0; count <= 16; count++) {
      const groups = Array.from({ length: count }, (_, i) => `${i}`.padStart(32, 'g'));
      const network = networkOf(12, [{ groups }, {}]);
      const [a, b] = network.peers as [Peer, Peer];
      for (const size of [560, 680, 799]) {
        a.setup = { ...a.setup, certificate: certificateOf(groups, size) };
        network.start(a);
        network.forge = (message) => {
          assert.ok(rdCodec.encode(message).length <= RD_RD_BYTES_MAX);
          return message;
        };
        network.add(a, b);
        network.run(500);
      }
    }
  });

  test('not made with a peer that answers plain where it has to be secure', () => {
    for (const [settings, policy] of [
      [[{ groups: ['a'] }, { groups: ['a'] }], 'groups'],
      [[{ list: ['192.0.2.2'] }, {}], 'groups'],
      [[{}, {}], 'always'],
    ] as const) {
      const network = networkOf(9, settings, policy);
      network.forge = (message) => (message.t === 'con_resp' ? { ...message, secure: false } : message);
      const [a, b] = network.peers as [Peer, Peer];
      insist(network, true);
      network.add(a, b);
      network.run(10_000);
      const told = a.told.findLast((message) => message.t === 'failed');
      assert.ok(told?.t === 'failed' && told.code === 'SECURITY_MISMATCH');
      assert.deepEqual(a.complaints, ['SECURITY_MISMATCH']);
      assert.deepEqual(bothStates(network), ['none', 'none'], 'the peer was told to let go');
    }
  });

  test('not made with a peer that demands it against the policy', () => {
    const network = networkOf(10, [{}, {}], 'never');
    network.forge = (message) => (message.t === 'con_req' ? { ...message, secure: true } : message);
    const [a, b] = network.peers as [Peer, Peer];
    network.add(a, b);
    network.run(1000);
    const told = a.told.findLast((message) => message.t === 'failed');
    assert.ok(told?.t === 'failed' && told.code === 'SECURITY_MISMATCH');
    assert.deepEqual(b.complaints, ['SECURITY_MISMATCH']);
  });
});

describe('tunnels under random orders', () => {
  const GROUPS = [[], ['a'], ['b'], ['a', 'b']];
  const lists = fc.constantFrom([], [], ['192.0.2.2'], ['10.77.0.2', '10.77.0.3'], ['fd00:1:2:3::/64']);
  const settings = fc.array(fc.record({ groups: fc.constantFrom(...GROUPS), list: lists }), {
    minLength: 3,
    maxLength: 3,
  });
  const steps = fc.array(
    fc.record({
      what: fc.constantFrom('add', 'add', 'answer', 'release', 'cut', 'restart', 'certify', 'pause'),
      from: fc.nat(2),
      to: fc.nat(2),
      groups: fc.constantFrom(...GROUPS),
    }),
    { minLength: 1, maxLength: 40 },
  );
  type Steps = typeof steps extends fc.Arbitrary<infer T> ? T : never;

  const listed = (a: Peer, b: Peer): boolean =>
    a.setup.securePeers.has([b.setup.ipv4, b.setup.ipv6, b.endpoint.address]);
  const mustBeSecure = (a: Peer, b: Peer): boolean =>
    a.setup.groups.some((group) => b.setup.groups.includes(group)) || listed(a, b) || listed(b, a);

  const play = (network: Network, list: Steps): void => {
    for (const { what, from, to, groups } of list) {
      const [a, b] = [network.peers[from] as Peer, network.peers[to] as Peer];
      if (what === 'certify') network.certify(a, groups);
      if (a !== b) {
        if (what === 'add' || what === 'answer') network.add(a, b, what === 'add' ? 'neighbour' : 'answer');
        else if (what === 'release') network.release(a, b);
        else if (what === 'cut') network.cut(a, b);
        else if (what === 'restart') network.restart(a);
      }
      network.run(what === 'pause' ? 2000 : below(network.rng, 150));
    }
    network.faults = QUIET;
    network.run(120_000);
    for (const a of network.peers) {
      for (const b of network.peers) {
        const plan = a.plans.get(b.id);
        if (a === b || plan === undefined) continue;
        assert.equal(network.otherEnd(plan.association), b.plans.get(a.id)?.association, 'bound to two associations');
        assert.equal(
          a.plans.get(b.id)?.secure,
          mustBeSecure(a, b),
          `${stateOf(network, a, b)}; ${stateOf(network, b, a)}`,
        );
      }
    }
  };

  test('both ends come to what certificates and lists say, also where these change and much is lost', () => {
    fc.assert(
      fc.property(fc.integer(), settings, steps, (seed, given, list) => {
        const network = networkOf(seed, given, 'groups', true);
        network.faults = { loss: 0.2, duplicate: 0.2, delayMsMax: 300 };
        play(network, list);
      }),
      { numRuns: 500 },
    );
  });

  test('no tunnel that has to be secure is plain at any time', () => {
    fc.assert(
      fc.property(fc.integer(), settings, steps, (seed, given, list) => {
        const network = networkOf(seed, given, 'groups', true);
        network.faults = { loss: 0.2, duplicate: 0.2, delayMsMax: 300 };
        network.watch = (a) => {
          for (const [id, plan] of a.plans) {
            const b = network.peers.find((peer) => peer.id === id) ?? assert.fail();
            if (mustBeSecure(a, b)) assert.ok(plan.secure, `${a.setup.name} to ${b.setup.name}: ${plan.why}`);
          }
        };
        play(
          network,
          list.filter(({ what }) => what !== 'certify'),
        );
      }),
      { numRuns: 500 },
    );
  });
});
