/**
 * A bare data plane with one node and two tunnels, between which it forwards by ranges; no daemon, no ring protocol, so
 * that the routes are exactly these. Runs in the network namespace of its host.
 *
 * Argument: JSON of TransitOptions. Prints "ready"; when its standard input ends, counters as JSON.
 */
import { valueOf } from '../../cli/command.ts';
import type { Endpoint } from '../../native/index.ts';
import { openBareNode } from './bare-node.ts';
import { parseMac, RING_RANGES, type TransitOptions, VI } from './transit.ts';

const options = JSON.parse(process.argv[2] ?? '') as TransitOptions;
const { plane, node } = openBareNode(options.listen, options.mac);
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
