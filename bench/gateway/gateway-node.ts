/**
 * A bare data plane with one node, a tunnel to each end, and a gateway where there is a policy; no daemon and no ring, so
 * that the routes are exactly these. Runs in the network namespace of its host.
 *
 * Argument: JSON of GatewayNodeOptions. Prints "ready"; when its standard input ends, a NodeReport as JSON.
 */
import { valueOf } from '../../cli/command.ts';
import { ManagedGateway } from '../../gateway/driver/managed-gateway.ts';
import { createDataPlane } from '../../native/index.ts';
import { ok } from '../../overlay/lib/result.ts';
import { gatewayOf } from '../../rd/driver/node-gateways.ts';
import { parseMac, VI } from '../lab/transit.ts';
import type { GatewayNodeOptions } from './nodes.ts';

const TIMERS = { keepAliveMs: 1000, silenceMs: 10_000 };

const options = JSON.parse(process.argv[2] ?? '') as GatewayNodeOptions;
const plane = valueOf(createDataPlane(TIMERS));
plane.onEvents(() => undefined);
valueOf(plane.bind(options.listen));
const node = valueOf(
  plane.openNode({
    tapName: 'gateway0',
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
