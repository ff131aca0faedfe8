/** A data plane with one node and no daemons, so that its routes are exactly those that a benchmark publishes. */
import { valueOf } from '../../cli/command.ts';
import { createDataPlane, type DataPlane, type Endpoint, type NodeHandle } from '../../native/index.ts';
import { parseMac, VI } from './transit.ts';

const TIMERS = { keepAliveMs: 1000, silenceMs: 10_000 };

export function openBareNode(listen: Endpoint, mac: string): { readonly plane: DataPlane; readonly node: NodeHandle } {
  const plane = valueOf(createDataPlane(TIMERS));
  plane.onEvents(() => undefined);
  valueOf(plane.bind(listen));
  const node = valueOf(
    plane.openNode({
      tapName: 'bare0',
      mtu: 1400,
      id: 1n,
      viId: VI.id,
      vni: VI.vni,
      mac: parseMac(mac),
      ipv4: VI.transitIpv4,
      ipv6: VI.transitIpv6,
      sources: { prefixes: [VI.ipv4Prefix, VI.ipv6Prefix], linkPrefixes: [] },
    }),
  );
  return { plane, node };
}
