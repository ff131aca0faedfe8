/**
 * A bare data plane with one node and two tunnels, between which it forwards by ranges; no daemon, no ring protocol, so
 * that the routes are exactly these. Runs in the network namespace of its host.
 *
 * Argument: JSON of TransitOptions. Prints "ready"; when its standard input ends, counters as JSON.
 */
import { valueOf } from '../../cli/command.ts';
import { createDataPlane, type Endpoint } from '../../native/index.ts';
import { parseMac, RING_RANGES, type TransitOptions, VI } from './transit.ts';

const TIMERS = { keepAliveMs: 1000, silenceMs: 10_000 };

const options = JSON.parse(process.argv[2] ?? '') as TransitOptions;
const plane = valueOf(createDataPlane(TIMERS));
plane.onEvents(() => undefined);
valueOf(plane.bind(options.listen));
const node = valueOf(
  plane.openNode({
    tapName: 'transit0',
    mtu: 1400,
    id: 1n,
    viId: VI.id,
    vni: VI.vni,
    mac: parseMac(options.mac),
    ipv4: VI.transitIpv4,
    ipv6: VI.transitIpv6,
    sources: { prefixes: [VI.ipv4Prefix, VI.ipv6Prefix], linkPrefixes: [] },
  }),
);
const tunnelTo = ({ peer, mac }: { peer: Endpoint; mac: string }) =>
  valueOf(plane.addTunnel({ node, peer, peerMac: parseMac(mac) }));
tunnelTo(options.from);
const onward = tunnelTo(options.to);
const span = 2n ** 64n / BigInt(RING_RANGES);
valueOf(
  plane.publish(node, {
    generation: 1,
    exact: [],
    prefixes: [VI.ipv4Prefix, VI.ipv6Prefix].map((prefix) => ({ prefix, nextHop: { kind: 'ring' } })),
    ranges: Array.from({ length: RING_RANGES }, (_, i) => ({
      until: BigInt(i + 1) * span - 1n,
      nextHop: { kind: 'tunnel', tunnel: onward },
    })),
  }),
);
process.stdout.write('ready\n');
process.stdin.resume().on('end', () => {
  const counters = plane.counters();
  plane.close();
  const drops = Object.fromEntries(Object.entries(counters.drops).filter(([, count]) => count > 0n));
  const transit = counters.nodes[0]?.packetsTransit ?? 0n;
  const text = JSON.stringify({ transit, drops }, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
  process.stdout.write(`${text}\n`, () => process.exit(0));
});
