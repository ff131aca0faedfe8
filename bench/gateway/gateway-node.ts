/**
 * A bare data plane with one node, a tunnel to each end, and a gateway where there is a policy; no daemon and no ring, so
 * that the routes are exactly these. Runs in the network namespace of its host.
 *
 * Argument: JSON of GatewayNodeOptions. Prints "ready"; when its standard input ends, a NodeReport as JSON.
 */
import { valueOf } from '../../cli/command.ts';
import { ManagedGateway } from '../../gateway/driver/managed-gateway.ts';
import { ok } from '../../overlay/lib/result.ts';
import { gatewayOf } from '../../rd/driver/node-gateways.ts';
import { openBareNode } from '../lab/bare-node.ts';
import { parseMac } from '../lab/transit.ts';
import type { GatewayNodeOptions } from './nodes.ts';

const options = JSON.parse(process.argv[2] ?? '') as GatewayNodeOptions;
const { plane, node } = openBareNode(options.listen, options.mac);
const exact = options.neighbours.map(({ peer, mac, ipv4, shape }) => {
  const tunnel = valueOf(plane.addTunnel({ node, peer, peerMac: parseMac(mac) }));
  if (shape !== undefined) valueOf(plane.updateTunnel(tunnel, { shape }));
  return { address: ipv4, nextHop: { kind: 'tunnel', tunnel } } as const;
});
valueOf(plane.publish(node, { generation: 1, exact, prefixes: [], ranges: [] }));
const gateway =
  options.policy === undefined
    ? undefined
    : valueOf(
        ManagedGateway.open(options.policy, { host: 'bench' }, (services, rules) => {
          const set = plane.setGateway(node, services, rules, 0);
          return set.ok ? ok(gatewayOf(plane, node)) : set;
        }),
      );
process.stdout.write('ready\n');
process.stdin.resume().on('end', () => {
  const statistics = gateway?.statistics();
  const counters = plane.counters();
  plane.close();
  const drops = Object.fromEntries(Object.entries(counters.drops).filter(([, count]) => count > 0n));
  const text = JSON.stringify({ drops, statistics }, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
  process.stdout.write(`${text}\n`, () => process.exit(0));
});
