import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idAddress, parseAddress, parseCidr } from '../../overlay/addresses.ts';
import { formatId, idOfKey, idOfNode } from '../../overlay/id.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { parseViDefinition } from '../../overlay/vi.ts';
import { type FlowView, flowOf } from '../commands/flows.ts';
import { type ConnectedSocket, parseSockets } from '../sockets.ts';

const definition = parseViDefinition({});
assert.ok(definition.ok);
const prefixes = { prefix: 'fd00:1:2::/64', linkPrefix: 'fd00:1:2:1::/64' };
const vi = { id: 'vi-0123456789abcdef', name: 'lab', vni: 1, ...prefixes, definition: definition.value };
const prefix = parseCidr(vi.prefix) ?? assert.fail();
const nodeAt = (ipv4: string, name: string): FlowView['known']['nodes'][number] => {
  const id = idOfNode(parseAddress(ipv4) ?? assert.fail(), vi.id);
  return { id, name, ipv4, ipv6: idAddress(prefix, id) };
};
const [self, near, far] = [nodeAt('10.77.0.1', 'self'), nodeAt('10.77.0.2', 'near'), nodeAt('10.77.0.3', 'far')];
const view: FlowView = {
  node: { id: self.id, name: self.name, vi } as NodeStatus,
  known: { t: 'nodes', vi, complete: true, nodes: [self, near, far] },
  tunnels: [{ peer: near.id, peerName: 'near', state: 'up', remote: '10.112.0.1' }],
  routes: [{ after: self.id, until: self.id, to: near.id }],
};
const socket = (local: string, remote: string): ConnectedSocket => ({
  protocol: 'tcp',
  state: 'ESTAB',
  local: { address: local, port: 8080 },
  remote: { address: remote, port: 1234 },
});

test('the sockets of ss are read in all their forms', () => {
  const lines = [
    'tcp   LISTEN 0 511 *:8080 *:*',
    'tcp   ESTAB  0 0   [::ffff:10.77.0.1]:8080 [::ffff:10.77.0.2]:41000',
    'tcp   TIME-WAIT 0 0 [fd00:1:2::5]:8080 [fd00:1:2::6]:41002 ',
    'udp   ESTAB  0 0   10.77.0.1%pxb-lab:53 10.77.0.9:5353',
    'udp   UNCONN 0 0   [fe80::1]%eth0:546 [::]:*',
    '',
    'nonsense',
  ];
  assert.deepEqual(
    parseSockets(lines.join('\n')).map(({ protocol, state, local, remote }) => [
      protocol,
      state,
      local.address,
      local.port,
      remote.address,
      remote.port,
    ]),
    [
      ['tcp', 'ESTAB', '10.77.0.1', 8080, '10.77.0.2', 41_000],
      ['tcp', 'TIME-WAIT', 'fd00:1:2::5', 8080, 'fd00:1:2::6', 41_002],
      ['udp', 'ESTAB', '10.77.0.1', 53, '10.77.0.9', 5353],
    ],
  );
});

test('a flow to a neighbour goes by its tunnel, one to anybody else by the ring', () => {
  assert.deepEqual(flowOf(view, socket(self.ipv4, near.ipv4))?.nextHop, { id: formatId(near.id), name: 'near' });
  const other = flowOf(view, socket(self.ipv6, far.ipv6));
  assert.equal(other?.remote.node, 'far');
  assert.equal(other?.nextHop?.name, 'near');
});

test('a flow that a key was asked for names the key', () => {
  const id = idOfKey('hello');
  const flow = flowOf(view, socket(idAddress(prefix, id), near.ipv6));
  assert.deepEqual([flow?.local.key, flow?.local.node, flow?.remote.node], [formatId(id), null, 'near']);
});

test('links are part of the VI, other networks are not', () => {
  assert.equal(flowOf(view, socket('10.112.0.0', '10.112.0.1'))?.nextHop?.name, 'near');
  assert.equal(flowOf(view, socket('192.0.2.1', '192.0.2.2')), undefined);
});
