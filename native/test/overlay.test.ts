/** Real TAPs in network namespaces, joined by data planes over loopback. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Counters, ForwardingImage, NextHop, TunnelHandle } from '../index.ts';
import { IPV6_PREFIX, type LabNode, LINK_POOL, missingForLab, openLabNode, openPlane, unwrap, VI_ID } from './lab.ts';

const skip = missingForLab() ?? false;

/** DESIGN.md decision 3, for stable addresses. */
function ringIdOf(ipv4: string): bigint {
  const bytes = Buffer.concat([Buffer.from(ipv4.split('.').map(Number)), Buffer.from(VI_ID)]);
  return createHash('sha256').update(bytes).digest().readBigUInt64BE(0);
}

function keyAddress(id: bigint): string {
  return `${IPV6_PREFIX.slice(0, -1)}${id
    .toString(16)
    .padStart(16, '0')
    .replace(/(.{4})(?=.)/g, '$1:')}`;
}

function tunnelTo(from: LabNode, to: LabNode): TunnelHandle {
  return unwrap(from.plane.addTunnel({ node: from.node, peer: to.at, peerMac: to.mac }));
}

/** The tunnel by which packets for the other node leave. */
function tunnelOf(from: LabNode, to: LabNode): TunnelHandle {
  const hop = unwrap(from.plane.lookup(from.node, to.ipv4));
  assert.ok(hop.kind === 'tunnel');
  return hop.tunnel;
}

function ringImage(generation: number, ranges: { until: bigint; nextHop: NextHop }[]): ForwardingImage {
  return {
    generation,
    exact: [],
    prefixes: [
      { prefix: '10.77.0.0/24', nextHop: { kind: 'ring' } },
      { prefix: `${IPV6_PREFIX}/64`, nextHop: { kind: 'ring' } },
    ],
    ranges: ranges.toSorted((a, b) => (a.until < b.until ? -1 : 1)),
  };
}

/** A chain of nodes on the ring, each with tunnels to the next one and the one before only. */
async function openChain(t: TestContext, count: number, address: string, mtu = 1400): Promise<LabNode[]> {
  const nodes: LabNode[] = [];
  for (let index = 1; index <= count; index += 1) {
    const id = ringIdOf(`10.77.0.${index}`);
    nodes.push(await openLabNode(t, openPlane(t, address), { index, id, mtu }));
  }
  for (const [at, node] of nodes.entries()) {
    const next = nodes[at + 1];
    const previous = nodes[at - 1];
    const forward = next === undefined ? undefined : tunnelTo(node, next);
    const back = previous === undefined ? undefined : tunnelTo(node, previous);
    const ranges = nodes.map((target, index): { until: bigint; nextHop: NextHop } => {
      if (index === at) return { until: target.id, nextHop: { kind: 'local' } };
      const tunnel = index > at ? forward : back;
      assert.ok(tunnel !== undefined);
      return { until: target.id, nextHop: { kind: 'tunnel', tunnel } };
    });
    unwrap(node.plane.publish(node.node, ringImage(1, ranges)));
  }
  return nodes;
}

async function ping(from: LabNode, target: string, ...options: string[]): Promise<{ code: number; stdout: string }> {
  return from.exec('ping', '-n', '-c', '2', '-i', '0.05', '-W', '2', ...options, target);
}

for (const underlay of ['127.0.0.1', '::1']) {
  test(`two nodes reach each other over ${underlay}`, { skip }, async (t) => {
    const [a, b] = await openChain(t, 2, underlay);
    assert.ok(a && b);
    for (const target of [b.ipv4, b.ipv6]) {
      const { code, stdout } = await ping(a, target);
      assert.equal(code, 0, stdout);
    }
    const counters = a.plane.counters();
    assert.ok((counters.tunnels[0]?.packetsOut ?? 0n) >= 4n);
    assert.ok((counters.tunnels[0]?.packetsIn ?? 0n) >= 4n);
  });
}

test('a key address is answered by the node responsible for it', { skip }, async (t) => {
  const nodes = await openChain(t, 3, '127.0.0.1');
  const sorted = nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  for (const target of sorted) {
    const key = (target.id - 5n) & (2n ** 64n - 1n);
    for (const from of nodes) {
      const before = target.plane.counters().nodes[0]?.packetsToTap ?? 0n;
      const { code, stdout } = await ping(from, keyAddress(key));
      assert.equal(code, 0, stdout);
      assert.ok((target.plane.counters().nodes[0]?.packetsToTap ?? 0n) >= before + 2n, 'another node answered');
    }
  }
});

test('time runs out in transit, and the transit node says so', { skip }, async (t) => {
  const [a, b, c] = await openChain(t, 3, '127.0.0.1');
  assert.ok(a && b && c);
  const v4 = await ping(a, c.ipv4, '-t', '1');
  assert.match(v4.stdout, new RegExp(`From ${b.ipv4.replaceAll('.', '\\.')}.*Time to live exceeded`));
  const v6 = await ping(a, c.ipv6, '-t', '1');
  assert.match(v6.stdout, /From fd12.*Time exceeded: Hop limit/);
  assert.equal((await ping(a, c.ipv4, '-t', '2')).code, 0);
  assert.equal((await ping(a, c.ipv6, '-t', '2')).code, 0);
  assert.ok(b.plane.counters().drops.hopLimitExceeded >= 2n);
  assert.ok((b.plane.counters().nodes[0]?.packetsTransit ?? 0n) >= 8n);
});

test('what cannot be reached is answered with an ICMP error', { skip }, async (t) => {
  const [a, b] = await openChain(t, 2, '127.0.0.1');
  assert.ok(a && b);
  // On the ring somebody is responsible for this address, but nobody has it.
  const unowned = await ping(a, '10.77.0.200');
  assert.match(unowned.stdout, /Destination Host Unreachable/);
  const drops = a.plane.counters().drops.addressUnowned + b.plane.counters().drops.addressUnowned;
  assert.ok(drops >= 1n);

  const image = ringImage(2, []);
  unwrap(a.plane.publish(a.node, image));
  assert.match((await ping(a, b.ipv6)).stdout, /No route/);
  assert.match((await ping(a, b.ipv4)).stdout, /Destination Host Unreachable/);
});

test('sources that are not the peers to use are dropped where they arrive', { skip }, async (t) => {
  const [a, b] = await openChain(t, 2, '127.0.0.1');
  assert.ok(a && b);
  const expected = { sourceForeign: 0n, sourceForged: 0n };
  for (const [source, reason] of [
    ['192.168.7.7', 'sourceForeign'],
    [LINK_POOL.replace('0/16', '5'), 'sourceForged'],
  ] as const) {
    assert.equal((await a.exec('ip', 'addr', 'add', `${source}/32`, 'dev', a.tapName)).code, 0);
    const { code } = await a.exec('ping', '-n', '-c', '2', '-i', '0.05', '-W', '1', '-I', source, '10.77.0.2');
    assert.notEqual(code, 0);
    expected[reason] += 2n;
    const drops: Counters['drops'] = b.plane.counters().drops;
    assert.deepEqual({ sourceForeign: drops.sourceForeign, sourceForged: drops.sourceForged }, expected);
  }
  assert.equal((await ping(a, b.ipv6)).code, 0);
});

test('a packet too big for a tunnel is announced, fragmented, or fits after path MTU discovery', {
  skip,
}, async (t) => {
  const [a, b, c] = await openChain(t, 3, '127.0.0.1', 1450);
  assert.ok(a && b && c);
  // The second tunnel carries less than the first: 1350 - 22 = 1328 bytes.
  unwrap(b.plane.updateTunnel(tunnelOf(b, c), { payloadBytesMax: 1350 }));
  const refused = await ping(a, c.ipv4, '-M', 'do', '-s', '1350');
  assert.match(refused.stdout, /Frag needed and DF set \(mtu = 1328\)/);
  assert.equal((await ping(a, c.ipv4, '-M', 'do', '-s', '1300')).code, 0);
  // The first tunnel carries less than the interface, too: our own kernel hears of it.
  unwrap(a.plane.updateTunnel(tunnelOf(a, b), { payloadBytesMax: 1400 }));
  const own = await ping(a, b.ipv4, '-M', 'do', '-s', '1400');
  assert.match(own.stdout, /mtu ?= ?1378/);
  // Where fragmentation is allowed, transit does it.
  const d = b.plane.counters().drops.packetTooBig;
  assert.equal((await ping(a, c.ipv4, '-M', 'dont', '-s', '1400')).code, 0);
  assert.equal(b.plane.counters().drops.packetTooBig, d);
  // IPv6: the first is refused, and from then on the kernel fragments.
  const v6 = await a.exec('ping', '-n', '-c', '4', '-i', '0.1', '-W', '2', '-s', '1380', c.ipv6);
  assert.match(v6.stdout, /Packet too big: mtu=1328/);
  assert.match(v6.stdout, /[1-3] received/);
});
