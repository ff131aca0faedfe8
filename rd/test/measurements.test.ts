import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { encodeContact } from '../core/contact.ts';
import { MEASURE_ALL, MEASURE_LINGER_MS, MEASURE_RTT_FRESH_MS, MEASURE_STRANGERS_OF_HOST } from '../core/limits.ts';
import { Network, type Peer } from './network.ts';

type Measured = ToP2pd & { t: 'measured' };

function answers(peer: Peer): Measured[] {
  return peer.told.filter((message): message is Measured => message.t === 'measured');
}

function pair(seed = 1): { network: Network; one: Peer; two: Peer } {
  const network = new Network(seed, 3);
  const [one, two] = network.peers as [Peer, Peer];
  return { network, one, two };
}

test('a peer with a tunnel is measured by its key, without a further association', () => {
  const { network, one, two } = pair();
  network.say(one, { t: 'measure', request: 1, target: { key: two.id }, what: 'rtt' });
  assert.deepEqual(answers(one), [{ t: 'measured', request: 1, rttMs: null, bitsPerSecond: null, error: 'NOT_FOUND' }]);
  network.add(one, two);
  network.run(1000);
  const before = network.started;
  network.say(one, { t: 'measure', request: 2, target: { key: two.id }, what: 'rtt' });
  network.run(1000);
  assert.deepEqual(answers(one)[1], { t: 'measured', request: 2, rttMs: 40, bitsPerSecond: null });
  assert.equal(network.started, before);
  network.run(MEASURE_LINGER_MS * 2);
  assert.equal(network.views(one)[0]?.state, 'up', 'the tunnel keeps its association');
});

test('a peer without a tunnel is measured over an association that goes when nobody uses it', () => {
  const { network, one, two } = pair();
  const target = { contact: two.setup.contact };
  network.say(one, { t: 'measure', request: 1, target, what: 'bandwidth' });
  network.run(1000);
  assert.deepEqual(answers(one), [{ t: 'measured', request: 1, rttMs: 40, bitsPerSecond: 1e8 }]);
  assert.equal(network.associations, 1);
  network.run(MEASURE_LINGER_MS + 1000);
  assert.equal(network.associations, 0);

  network.run(MEASURE_RTT_FRESH_MS);
  network.say(one, { t: 'measure', request: 2, target, what: 'rtt' });
  network.run(500);
  network.add(one, two);
  network.run(MEASURE_LINGER_MS + 1000);
  assert.equal(network.associations, 1, 'the peer was chosen, and its association stays');
  assert.equal(network.views(one)[0]?.state, 'up');
});

test('what was measured lately is answered from memory, and questions at once share one measurement', () => {
  const { network, one, two } = pair();
  const target = { contact: two.setup.contact };
  for (let request = 1; request <= 5; request++) network.say(one, { t: 'measure', request, target, what: 'rtt' });
  network.run(1000);
  network.say(one, { t: 'measure', request: 6, target, what: 'rtt' });
  assert.deepEqual(
    answers(one).map(({ request, rttMs }) => [request, rttMs]),
    [1, 2, 3, 4, 5, 6].map((request) => [request, 40]),
  );
  assert.deepEqual(one.measures, [false]);
  // One that wants the bandwidth too is measured again, and one that has it is not.
  network.say(one, { t: 'measure', request: 7, target, what: 'bandwidth' });
  network.run(1000);
  network.say(one, { t: 'measure', request: 8, target, what: 'bandwidth' });
  assert.deepEqual(one.measures, [false, true]);
  assert.equal(answers(one)[7]?.bitsPerSecond, 1e8);
  network.run(MEASURE_RTT_FRESH_MS);
  network.say(one, { t: 'measure', request: 9, target, what: 'rtt' });
  network.run(1000);
  assert.deepEqual(one.measures, [false, true, false]);
});

test('why something was not measured is said, and remembered for a while', () => {
  const { network, one, two } = pair();
  const nobody = encodeContact({ node: two.id, key: 'ee'.repeat(16), endpoints: [{ address: '192.0.2.99', port: 1 }] });
  const stranger = encodeContact({ node: two.id, key: 'ee'.repeat(16), endpoints: [two.endpoint] });
  const ask = (request: number, contact: Uint8Array): string | undefined => {
    network.say(one, { t: 'measure', request, target: { contact }, what: 'rtt' });
    network.run(12_000);
    return answers(one).find((answer) => answer.request === request)?.error;
  };
  assert.equal(ask(1, Uint8Array.of(1, 2, 3)), 'BAD_MESSAGE');
  assert.equal(ask(2, nobody), 'PEER_UNREACHABLE');
  const before = network.started;
  assert.equal(ask(3, nobody), 'PEER_UNREACHABLE');
  assert.equal(network.started, before, 'it is not tried again so soon');
  network.run(30_000);
  assert.equal(ask(4, stranger), 'PEER_MISMATCH');
  network.run(30_000);
  network.measured = () => ({ rttMs: null, bitsPerSecond: null });
  assert.equal(ask(5, two.setup.contact), 'TIMEOUT');
  network.measured = () => ({ rttMs: 9, bitsPerSecond: null });
  network.run(30_000);
  network.say(one, { t: 'measure', request: 6, target: { contact: two.setup.contact }, what: 'bandwidth' });
  network.run(1000);
  assert.deepEqual(answers(one).at(-1), {
    t: 'measured',
    request: 6,
    rttMs: 9,
    bitsPerSecond: null,
    error: 'TIMEOUT',
  });
  assert.equal(ask(7, one.setup.contact), undefined);
  assert.equal(answers(one).at(-1)?.rttMs, 0, 'a node of the same daemon is nowhere else');
});

test('forged contacts do not make the daemon bombard a host, and nobody has more than a share of it', () => {
  const { network, one } = pair();
  const victim = '198.51.100.7';
  let request = 0;
  for (let second = 0; second < 60; second++) {
    for (let i = 0; i < 20; i++) {
      request++;
      const key = request.toString(16).padStart(32, 'f');
      const contact = encodeContact({ node: one.id, key, endpoints: [{ address: victim, port: request }] });
      network.say(one, { t: 'measure', request, target: { contact }, what: 'rtt' });
    }
    network.run(1000);
  }
  network.run(20_000);
  assert.equal(answers(one).length, request, 'every question is answered');
  const { burst, perSecond } = MEASURE_STRANGERS_OF_HOST;
  const reached = network.startedTo(victim);
  assert.ok(reached >= burst && reached <= burst + 60 * perSecond, `${reached} handshakes with one host in a minute`);
  const refused = answers(one).filter(({ error }) => error === 'LIMIT_REACHED').length;
  assert.ok(refused >= request - MEASURE_ALL.burst - 60 * MEASURE_ALL.perSecond);
});
