/** One valid message, at least, of every kind: for golden files and as seeds of the fuzz targets. */
import type { NodeRecord } from '../fields.ts';
import type { GatewayFlow, GatewayStatistics } from '../gateway-status.ts';
import { toId } from '../id.ts';
import { ADDRESS_PAIRS_MAX, type FromAddressServer, PAIRS_END, type ToAddressServer } from '../messages/address.ts';
import type { FromControl, NodeStatus, ToControl } from '../messages/control.ts';
import type { P2pdMessage } from '../messages/p2pd-p2pd.ts';
import type { RdTunnel, ToP2pd, ToRd } from '../messages/p2pd-rd.ts';
import type { RdMessage } from '../messages/rd-rd.ts';
import { parseViDefinition, type ViConfig } from '../vi.ts';

const low = toId(0x0123456789abcdefn);
const high = toId(0xfedcba9876543210n);
const small = toId(7n);

const definition = parseViDefinition({});
if (!definition.ok) throw new Error(definition.message);

const vi: ViConfig = {
  id: 'vi-0123456789abcdef',
  name: 'lab',
  prefix: 'fd12:3456:789a::/64',
  linkPrefix: 'fd12:3456:789a:1::/64',
  vni: 0x123456,
  definition: definition.value,
};

const record: NodeRecord = { id: high, incarnation: 1_790_000_000_000, contact: Uint8Array.of(1, 2, 3, 4) };
const other: NodeRecord = { id: small, incarnation: 5, contact: new Uint8Array(96).fill(0xee) };
const eight: NodeRecord[] = Array.from({ length: 8 }, (_, i) => ({ ...other, id: toId(BigInt(i) << 60n) }));

const tunnel: RdTunnel = {
  key: high,
  peer: record,
  local: { address: 'fd12:3456:789a:1::', port: 4747 },
  remote: { address: 'fd12:3456:789a:1::1', port: 4747 },
  held: true,
  ready: true,
};

const from = { id: low, incarnation: 9 };

export const toRd: readonly ToRd[] = [
  { t: 'hello', version: 2, vi: vi.id, node: low, instance: high, generation: 0 },
  { t: 'contact.get', request: 1 },
  { t: 'tunnel.add', key: high, contact: record.contact, role: 'neighbour' },
  { t: 'tunnel.add', key: small, contact: other.contact, role: 'answer' },
  { t: 'tunnel.release', key: high },
  { t: 'route.add', after: high, until: low, to: small },
  { t: 'route.delete', after: high, until: low },
  { t: 'routes.commit', generation: 17, count: 9 },
  { t: 'measure', request: 0xffff_ffff, target: { key: high }, what: 'rtt' },
  { t: 'measure', request: 0, target: { contact: other.contact }, what: 'rtt' },
  { t: 'measure', request: 1, target: { key: high }, what: 'bandwidth' },
  {
    t: 'ring.report',
    phase: 'formed',
    predecessor: high,
    successors: [low, small],
    fingers: [{ bit: 63, node: high }],
  },
  { t: 'ring.report', phase: 'starting', predecessor: null, successors: [], fingers: [] },
  { t: 'bootstrap.get' },
  { t: 'lookup.answer', request: 3, owner: high, hops: 4 },
  { t: 'lookup.answer', request: 3, owner: null, hops: 0, error: 'TIMEOUT' },
  { t: 'left' },
];

export const toP2pd: readonly ToP2pd[] = [
  {
    t: 'welcome',
    version: 2,
    vi,
    node: record,
    port: 4747,
    generation: 3,
    tunnels: [tunnel],
    routes: [{ after: low, until: high, to: high }],
  },
  { t: 'refused', code: 'CONFLICT', message: 'Another daemon serves this node.' },
  { t: 'contact', request: 1, contact: record.contact, incarnation: 6 },
  { t: 'tunnel.up', tunnel },
  { t: 'failed', key: small, code: 'PEER_UNREACHABLE' },
  { t: 'tunnel.down', key: high, reason: 'peer-dead' },
  { t: 'routes.committed', generation: 17 },
  { t: 'routes.refused', generation: 18, code: 'BAD_MESSAGE' },
  { t: 'measured', request: 0, rttMs: 0.25, bitsPerSecond: null },
  { t: 'measured', request: 1, rttMs: 80, bitsPerSecond: 1e8 },
  { t: 'measured', request: 2, rttMs: null, bitsPerSecond: null, error: 'PEER_UNREACHABLE' },
  { t: 'bootstrap', nodes: [record, other], found: false },
  { t: 'lookup', request: 3, id: low },
  { t: 'leave' },
];

export const p2pd: readonly P2pdMessage[] = [
  { t: 'find_successor', ...from, query: 1, target: high, origin: record, purpose: 'join', port: 4747, hops: 0 },
  { t: 'find_successor', ...from, query: 2, target: low, origin: other, purpose: 'lookup', port: 4748, hops: 128 },
  {
    t: 'found',
    ...from,
    query: 1,
    target: high,
    owner: record,
    predecessor: null,
    successors: [record, other],
    formed: true,
    hops: 3,
  },
  { t: 'busy', ...from, query: 1 },
  { t: 'state.get', ...from, query: 5 },
  { t: 'state', ...from, query: 5, predecessor: record, successors: eight, formed: true, members: [] },
  { t: 'state', ...from, query: 6, predecessor: null, successors: [], formed: false, members: [record] },
  { t: 'notify', ...from, record, formed: false, members: [record, other] },
  { t: 'ping', ...from, query: 7 },
  { t: 'pong', ...from, query: 7 },
  { t: 'leaving', ...from, query: 8, predecessor: record, successors: [other] },
  { t: 'leaving.heard', ...from, query: 8 },
];

const end = {
  node: low,
  incarnation: 9,
  contact: record.contact,
  p2pdPort: 4747,
  groups: ['staff', 'ops'],
  certificate: new Uint8Array(600).fill(0x30),
};

export const rd: readonly RdMessage[] = [
  { t: 'con_req', version: 2, request: 1, vi: vi.id, to: high, from: end, pair: 12, secure: true },
  {
    t: 'con_req',
    version: 2,
    request: 1,
    vi: vi.id,
    to: high,
    from: { ...end, groups: null },
    pair: null,
    secure: false,
  },
  { t: 'con_resp', request: 1, vi: vi.id, to: high, from: end, pair: 12, secure: false, held: true },
  { t: 'con_ack', request: 1, vi: vi.id, from: low, to: high },
  { t: 'con_refused', request: 1, vi: vi.id, from: low, to: high, code: 'LIMIT_REACHED' },
  { t: 'release', request: 2, vi: vi.id, from: low, to: high, incarnation: 9 },
  { t: 'released', request: 2, vi: vi.id, from: high, to: low, gone: true },
];

const node: NodeStatus = {
  vi,
  name: 'a',
  id: low,
  incarnation: 9,
  ipv4: '10.77.0.1',
  ipv6: 'fd12:3456:789a:0:123:4567:89ab:cdef',
  groups: [],
  netns: null,
  interface: 'pxb-lab',
  phase: 'formed',
  predecessor: high,
  successors: [small],
  fingers: [{ bit: 63, node: high }],
  p2pdPid: 4242,
  p2pdRestarts: 0,
  generation: 3,
  tunnels: 2,
  security: [
    { peer: high, peerName: 'b', secure: true, why: 'groups: a', cipher: 'aes-128-gcm', keysAgeMs: 5, rekeys: 1 },
    { peer: small, peerName: 'c', secure: false, why: 'no common group', cipher: null, keysAgeMs: null, rekeys: 0 },
  ],
  problem: null,
  certificateExpiresAt: 1_790_000_000_000,
  revocations: { number: 1_780_000_000, certificates: 3, issuedAt: 1_780_000_000_000, confirmedAt: null },
  leasedPairs: 16,
};

export const toControl: readonly ToControl[] = [
  { t: 'status' },
  { t: 'join', invitation: 'pxb1_x', name: 'a', netns: 'blue', groups: ['staff'] },
  { t: 'join', invitation: 'pxb1_x' },
  { t: 'leave', vi: 'lab' },
  { t: 'tunnels', vi: 'lab' },
  { t: 'history' },
  { t: 'routes' },
  { t: 'lookup', id: high },
  { t: 'nodes' },
  { t: 'qos' },
  { t: 'qos', vi: 'lab', netns: '', peer: 'b' },
  { t: 'qos.set', peer: '10.77.0.2', out: { rateBitsPerSecond: 10_000_000, burstBytes: 15_000, queueBytes: 100_000 } },
  { t: 'qos.set', vi: 'lab', peer: 'b', in: { delayMs: 20, jitterMs: 0.5, loss: 0.01, reorder: 0.05 } },
  { t: 'qos.clear', peer: 'b' },
  { t: 'gateway', vi: 'lab', flows: 20 },
  { t: 'gateway.reload', vi: 'lab', netns: '' },
  { t: 'gateway.names', vi: 'lab' },
];

export const gatewayStatistics: GatewayStatistics = {
  packets: 12,
  bytes: 3400,
  accepted: 9,
  held: 2,
  released: 1,
  flows: 1,
  applications: { classified: 1, denied: 1 },
  redirects: { connections: 1, begun: 2, refused: 0, evicted: 0 },
  answers: { resets: 2, unreachables: 0, withheld: 0 },
  stages: [{ name: 'stream', packets: 12, stopped: 2, nanoseconds: 90 }],
  drops: { gatewayRejected: 1 },
  conditions: { scanUnavailable: 1 },
  limits: [{ name: 'slow', packets: 1, bytes: 100, waited: 1, dropped: 0, marked: 0, waiting: 1 }],
  memory: { flows: 4096, heldMax: 8192 },
  scanner: {
    up: false,
    version: '',
    why: 'no such file',
    files: 1,
    clean: 0,
    infected: 0,
    unavailable: 1,
    tooBig: 0,
    bytes: 0,
  },
  audit: { recorded: 3, lost: 0 },
};

export const gatewayFlow: GatewayFlow = {
  id: 1,
  from: '10.77.0.1',
  fromPort: 40_000,
  to: '10.77.0.2',
  toPort: 80,
  protocol: 6,
  application: 'http',
  host: 'example.org',
  state: 'denied',
  needs: ['files'],
  parser: 'receiving',
  rule: 'no songs',
  packetsUp: 5,
  bytesUp: 400,
  packetsDown: 4,
  bytesDown: 3000,
  mark: 0,
  waiting: 0,
};

export const fromControl: readonly FromControl[] = [
  { t: 'failed', code: 'NOT_FOUND', message: 'There is no VI lab here.' },
  { t: 'progress', step: 'asking the overlay manager' },
  {
    t: 'status',
    pid: 1,
    version: '0.1.0',
    underlay: { address: '::', port: 4780 },
    startedAt: 1_790_000_000_000,
    nodes: [node],
    drops: { noRoute: 3 },
  },
  { t: 'joined', node },
  { t: 'done' },
  {
    t: 'tunnels',
    nodes: [
      {
        vi: 'lab',
        id: low,
        netns: null,
        tunnels: [
          {
            peer: high,
            peerName: 'b',
            peerIpv4: '10.77.0.2',
            state: 'up',
            endpoint: { address: '192.0.2.1', port: 4780 },
            local: 'fd12:3456:789a:1::',
            remote: 'fd12:3456:789a:1::1',
            security: {
              secure: true,
              why: 'groups: a',
              cipher: 'chacha20-poly1305',
              keysAgeMs: 60_000,
              rekeys: 0,
            },
            held: true,
            heldByPeer: false,
            uses: ['successor', 'finger'],
            rttMs: 0.5,
            mtu: 1380,
            shape: { out: { rateBitsPerSecond: 10_000_000, loss: 0.01 }, in: null },
            packetsIn: 1,
            packetsOut: 2,
            bytesIn: 3,
            bytesOut: 4,
            ageMs: 5,
          },
        ],
      },
    ],
  },
  {
    t: 'history',
    nodes: [{ vi, id: low, events: [{ agoMs: 12, what: 'ring', peer: null, neighbours: [low, high] }] }],
  },
  {
    t: 'routes',
    nodes: [{ vi: 'lab', id: low, netns: 'blue', generation: 3, routes: [{ after: high, until: low, to: low }] }],
  },
  { t: 'found', owner: { id: high, name: 'b', ipv4: '10.77.0.2', ipv6: 'fd12::2' }, hops: 2 },
  {
    t: 'qos',
    nodes: [
      {
        vi: 'lab',
        id: low,
        netns: null,
        peers: [
          {
            peer: high,
            peerName: 'b',
            peerIpv4: '10.77.0.2',
            hasTunnel: true,
            out: { shape: { delayMs: 20 }, from: 'command' },
            in: { shape: null, from: 'none' },
          },
        ],
      },
    ],
  },
  {
    t: 'gateway',
    nodes: [{ vi: 'lab', id: low, netns: null, statistics: gatewayStatistics, total: 1, flows: [gatewayFlow] }],
  },
  {
    t: 'gateway.reload',
    nodes: [
      {
        vi: 'lab',
        id: low,
        netns: 'blue',
        rules: 3,
        dryRun: false,
        warnings: ['policy.yaml:3:1: warning: …'],
        names: [{ name: 'group:staff', nodes: ['b'], count: 1 }],
      },
    ],
  },
  {
    t: 'gateway.names',
    nodes: [
      {
        vi: 'lab',
        id: low,
        netns: null,
        isListed: true,
        prefixes: ['10.77.0.0/16', 'fd12::/64'],
        nodes: [{ name: 'b', groups: ['staff'], addresses: ['10.77.0.2', 'fd12::2'] }],
      },
    ],
  },
  { t: 'part', bytes: Uint8Array.of(1, 2, 3), more: true },
  { t: 'nodes', vi, complete: true, nodes: [{ id: high, name: 'b', ipv4: '10.77.0.2', ipv6: 'fd12::2' }] },
];

const order = { version: 1, epoch: 2 ** 48 - 1, counter: 1_790_000_000_000_000 };
const largest = Array.from({ length: ADDRESS_PAIRS_MAX }, (_, i) => PAIRS_END - 1 - i);

export const toAddressServer: readonly ToAddressServer[] = [
  { t: 'lease', ...order, request: new Uint8Array(12).fill(0xab), count: 16 },
  { t: 'lease', version: 0, epoch: 0, counter: 0, request: new Uint8Array(8), count: 1 },
  { t: 'keep', ...order, from: 0, until: PAIRS_END, pairs: [0, 23, 24, 255, 256, 65_535, 65_536] },
  { t: 'keep', ...order, from: 7, until: PAIRS_END, pairs: largest },
  { t: 'release', ...order, pairs: [3] },
];

export const fromAddressServer: readonly FromAddressServer[] = [
  { t: 'leased', counter: order.counter, pairs: [16, 17, 70_000] },
  { t: 'leased', counter: Number.MAX_SAFE_INTEGER, pairs: largest },
  { t: 'kept', counter: 0, pairs: [] },
  { t: 'released', counter: 1 },
  { t: 'stale', counter: 9, epoch: order.epoch, highest: order.counter },
  { t: 'refused', counter: 10, code: 'NODE_REMOVED' },
];
