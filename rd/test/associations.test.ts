import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toId } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import { Associations } from '../core/associations.ts';
import type { ContactInfo, Endpoint } from '../core/contact.ts';
import { type AssociationRef, type Output, SELF } from '../core/io.ts';
import { ASSOCIATION_IDLE_MS, GIVE_UP_MS, NEXT_ENDPOINT_MS } from '../core/limits.ts';

const at = (ms: number): Millis => ms as Millis;
const ref = (number: number): AssociationRef => number as AssociationRef;
const one: Endpoint = { address: '192.0.2.1', port: 4780 };
const two: Endpoint = { address: '2001:db8::1', port: 4780 };
const contact: ContactInfo = { node: toId(7n), key: 'peer', endpoints: [one, two] };

function setUp(): {
  associations: Associations;
  outputs: Output[];
  heard: string[];
  used: Set<AssociationRef>;
} {
  const outputs: Output[] = [];
  const heard: string[] = [];
  const used = new Set<AssociationRef>();
  const listener = {
    up: (key: string, association: AssociationRef) => void heard.push(`up ${key} ${association}`),
    failed: (key: string, vi: string, code: string) => void heard.push(`failed ${key} ${vi} ${code}`),
    down: (association: AssociationRef, _key: string, replaced: boolean) =>
      void heard.push(`down ${association} ${replaced ? 'replaced' : 'lost'}`),
    moved: (association: AssociationRef) => void heard.push(`moved ${association}`),
    inUse: (association: AssociationRef) => used.has(association),
  };
  const setup = { key: 'self', self: { address: '::1', port: 4780 }, families: [4, 6] as const };
  const associations = new Associations(setup, listener, (output) => outputs.push(output));
  return { associations, outputs, heard, used };
}

const tried = (outputs: Output[]): Endpoint[] =>
  outputs.flatMap((output) => (output.kind === 'associate' ? [output.endpoint] : []));

describe('associations', () => {
  test('try the endpoints in turn, the next one before the first has failed', () => {
    const { associations, outputs, heard } = setUp();
    associations.want(contact, 'vi', at(0));
    associations.want(contact, 'vi', at(1));
    assert.deepEqual(tried(outputs), [one]);
    associations.started(one, ref(1), at(0));
    associations.timer(at(NEXT_ENDPOINT_MS));
    assert.deepEqual(tried(outputs), [one, two]);
    associations.started(two, ref(2), at(NEXT_ENDPOINT_MS));
    associations.associationUp(ref(2), two, 'peer', at(NEXT_ENDPOINT_MS + 5));
    assert.deepEqual(heard, ['up peer 2']);
    assert.equal(associations.find('peer'), 2);
    assert.deepEqual(associations.endpointOf(ref(2)), two);
  });

  test('go on at once where an endpoint is refused, and give up in time', () => {
    const { associations, outputs, heard } = setUp();
    associations.want(contact, 'vi', at(0));
    associations.started(one, undefined, at(1));
    assert.deepEqual(tried(outputs), [one, two]);
    associations.started(two, ref(2), at(1));
    associations.timer(at(GIVE_UP_MS - 1));
    assert.deepEqual(heard, []);
    associations.timer(at(GIVE_UP_MS));
    assert.deepEqual(heard, ['failed peer vi PEER_UNREACHABLE']);
    assert.notEqual(associations.deadline(), GIVE_UP_MS);
  });

  test('with somebody else at the endpoint are a mismatch', () => {
    const { associations, heard } = setUp();
    associations.want({ ...contact, endpoints: [one] }, 'vi', at(0));
    associations.started(one, ref(1), at(0));
    associations.associationUp(ref(1), one, 'stranger', at(5));
    assert.deepEqual(heard, ['failed peer vi PEER_MISMATCH', 'up stranger 1']);
    associations.want({ ...contact, endpoints: [one] }, 'vi', at(10));
    assert.equal(heard.at(-1), 'failed peer vi PEER_MISMATCH');
  });

  test('refused for their certificate are told so', () => {
    const { associations, heard } = setUp();
    associations.want({ ...contact, endpoints: [one] }, 'vi', at(0));
    associations.started(one, ref(1), at(0));
    associations.associationDown(ref(1), 'refused', at(5));
    assert.deepEqual(heard, ['failed peer vi CERTIFICATE_REFUSED']);
  });

  test('are looked for by each VI for itself: what refuses one may take another', () => {
    const { associations, outputs, heard } = setUp();
    associations.want({ ...contact, endpoints: [one] }, 'vi', at(0));
    associations.want({ ...contact, endpoints: [one] }, 'other', at(1));
    associations.started(one, ref(1), at(1));
    assert.equal(tried(outputs).length, 1, 'an endpoint is tried once at a time');
    associations.associationDown(ref(1), 'refused', at(5));
    assert.deepEqual(heard, ['failed peer vi CERTIFICATE_REFUSED']);
    assert.deepEqual(outputs.at(-1), { kind: 'associate', endpoint: one, serverName: 'other' });
    associations.started(one, ref(2), at(5));
    associations.associationUp(ref(2), one, 'peer', at(9));
    assert.deepEqual(heard.slice(1), ['up peer 2']);
    associations.timer(at(GIVE_UP_MS));
    assert.equal(heard.length, 2);
  });

  test('end the search of every VI when they come up', () => {
    const { associations, outputs, heard } = setUp();
    associations.want(contact, 'vi', at(0));
    associations.want(contact, 'other', at(0));
    associations.started(one, ref(1), at(0));
    associations.timer(at(NEXT_ENDPOINT_MS));
    assert.deepEqual(tried(outputs), [one, two], 'none is tried by two at once');
    associations.associationUp(ref(1), one, 'peer', at(NEXT_ENDPOINT_MS + 1));
    associations.timer(at(GIVE_UP_MS));
    assert.deepEqual(heard, ['up peer 1']);
  });

  test('are sought at the endpoints of the latest contact', () => {
    const { associations, outputs, heard } = setUp();
    associations.want({ ...contact, endpoints: [one] }, 'vi', at(0));
    associations.want(contact, 'vi', at(1));
    associations.want(contact, 'vi', at(2));
    assert.deepEqual(tried(outputs), [one, two]);
    associations.started(two, ref(2), at(2));
    associations.associationUp(ref(2), two, 'peer', at(5));
    assert.deepEqual(heard, ['up peer 2']);
  });

  test('cannot be had where no family is common', () => {
    const { associations, heard } = setUp();
    associations.want({ ...contact, endpoints: [] }, 'vi', at(0));
    assert.deepEqual(heard, ['failed peer vi PEER_UNREACHABLE']);
  });

  test('that nobody uses are closed', () => {
    const { associations, outputs, used } = setUp();
    associations.associationUp(ref(1), one, 'peer', at(0));
    used.add(ref(1));
    associations.timer(at(ASSOCIATION_IDLE_MS));
    assert.deepEqual(outputs, []);
    used.clear();
    associations.timer(at(2 * ASSOCIATION_IDLE_MS));
    assert.deepEqual(outputs, [{ kind: 'association.close', association: 1 }]);
  });

  test('lost beside another one with the same peer are as good as replaced', () => {
    const { associations, heard } = setUp();
    associations.associationUp(ref(1), one, 'peer', at(0));
    associations.associationUp(ref(2), two, 'peer', at(0));
    associations.associationDown(ref(2), 'lost', at(5));
    associations.associationDown(ref(1), 'lost', at(6));
    assert.deepEqual(heard.slice(2), ['down 2 replaced', 'down 1 lost']);
  });

  test('of which there are two with one daemon both stay while they are used', () => {
    const { associations, outputs, used } = setUp();
    associations.associationUp(ref(1), one, 'peer', at(0));
    associations.associationUp(ref(2), two, 'peer', at(0));
    used.add(ref(1)).add(ref(2));
    associations.timer(at(ASSOCIATION_IDLE_MS));
    assert.deepEqual(outputs, []);
    used.delete(ref(1));
    associations.timer(at(2 * ASSOCIATION_IDLE_MS));
    assert.deepEqual(outputs, [{ kind: 'association.close', association: 1 }]);
  });

  test('move with their peer, and are told of where the endpoint is another one', () => {
    const { associations, heard } = setUp();
    associations.associationMoved(ref(1), two, at(0));
    associations.associationUp(ref(1), one, 'peer', at(1));
    associations.associationMoved(ref(1), one, at(2));
    associations.associationMoved(ref(1), two, at(3));
    assert.deepEqual(associations.endpointOf(ref(1)), two);
    assert.deepEqual(heard, ['up peer 1', 'moved 1']);
    // The address that it left is free for another daemon.
    associations.want({ ...contact, key: 'another', endpoints: [one] }, 'vi', at(4));
    assert.equal(heard.length, 2);
  });

  test('with ourselves need no network', () => {
    const { associations } = setUp();
    assert.equal(associations.find('self'), SELF);
    assert.equal(associations.keyOf(SELF), 'self');
    assert.equal(associations.endpointOf(SELF)?.address, '::1');
  });
});
