import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Network, type Peer } from './network.ts';

function setUp(count = 2): { network: Network; peers: Peer[] } {
  const network = new Network(5, count);
  network.run(100);
  return { network, peers: network.peers };
}

const states = (network: Network, peer: Peer): string[] => network.views(peer).map(({ state }) => state);
const downs = (peer: Peer): number => peer.told.filter(({ t }) => t === 'tunnel.down').length;

describe('the certificate of a tunnel’s peer', () => {
  test('is revoked: the tunnel ends at once, and is refused from then on', () => {
    const { network, peers } = setUp(3);
    const [a, b, c] = peers as [Peer, Peer, Peer];
    network.add(a, b);
    network.add(a, c);
    network.run(1000);
    network.revoke('2');
    assert.deepEqual(a.voided, ['CERTIFICATE_REVOKED']);
    assert.deepEqual(
      network.views(a).map(({ peer }) => peer),
      [c.id],
      'the other one stays',
    );
    assert.deepEqual(a.told.at(-1), { t: 'tunnel.down', key: b.id, reason: 'peer-dead' });
    network.run(1000);
    assert.deepEqual(states(network, b), [], 'its own end is told');
    network.add(b, a);
    network.run(8000);
    assert.deepEqual(b.told.at(-1), { t: 'failed', key: a.id, code: 'CERTIFICATE_REVOKED' });
    network.add(a, b);
    network.run(8000);
    assert.deepEqual(a.told.at(-1), { t: 'failed', key: b.id, code: 'CERTIFICATE_REVOKED' });
    assert.equal(network.views(a).length, 1);
  });

  for (const holder of ['the end that is renewed', 'the other end', 'both'] as const) {
    test(`is renewed in time, the tunnel held by ${holder}: nothing changes`, () => {
      const { network, peers } = setUp();
      const [a, b] = peers as [Peer, Peer];
      network.expiries.set('2', network.now + 60_000);
      if (holder !== 'the other end') network.add(b, a);
      if (holder !== 'the end that is renewed') network.add(a, b);
      network.run(30_000);
      network.renew(b, 20);
      network.expiries.set('20', network.now + 60_000);
      network.run(50_000);
      network.renew(b, 21);
      network.run(60_000);
      assert.deepEqual([states(network, a), states(network, b)], [['up'], ['up']]);
      assert.equal(downs(a) + downs(b), 0);
      assert.deepEqual([...a.voided, ...b.voided], []);
    });
  }

  test('expires: the tunnel ends then, not before', () => {
    const { network, peers } = setUp();
    const [a, b] = peers as [Peer, Peer];
    network.expiries.set('2', network.now + 60_000);
    network.add(a, b);
    network.run(59_000);
    assert.deepEqual(states(network, a), ['up']);
    network.run(2000);
    assert.deepEqual(a.voided, ['CERTIFICATE_REFUSED']);
    assert.deepEqual([states(network, a), states(network, b)], [[], []]);
    network.renew(b, 20);
    network.add(a, b);
    network.run(2000);
    assert.deepEqual([states(network, a), states(network, b)], [['up'], ['up']]);
  });

  test('is shown again also while messages are lost', () => {
    const { network, peers } = setUp();
    const [a, b] = peers as [Peer, Peer];
    network.expiries.set('2', network.now + 60_000);
    network.add(a, b);
    network.run(5000);
    network.faults = { loss: 0.5, duplicate: 0.2, delayMsMax: 200 };
    network.run(30_000);
    network.renew(b, 20);
    network.run(60_000);
    assert.equal(downs(a), 0);
    assert.deepEqual([states(network, a), states(network, b)], [['up'], ['up']]);
  });
});
