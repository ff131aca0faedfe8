/** Compiles routes and tunnels into the forwarding image of a virtual node. */
import type { Id } from '../../overlay/id.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import type { Hop, Image, LinkAddresses } from './io.ts';
import type { Former } from './routes.ts';

export type ImageSource = {
  readonly id: Id;
  readonly ipv4: string;
  readonly ipv6: string;
  /** The VI's node prefix and node pool: looked up on the circle. */
  readonly prefixes: readonly string[];
  readonly routes: readonly RdRoute[];
  /** Whose our own range was before, in its order. */
  readonly formers: readonly Former[];
  /** Tunnels that carry packets. */
  readonly tunnels: readonly ImageTunnel[];
};

export type ImageTunnel = {
  readonly peer: Id;
  readonly link: LinkAddresses | null;
  /** Stable addresses of the peer. */
  readonly stable: { readonly ipv4: string; readonly ipv6: string };
  /**
   * What goes through it. `ranges`: its association is lost, so that the peer itself is better reached round the ring.
   * `link`: what the two ends of the link say to each other, for one of them does not have it yet or has released it.
   */
  readonly use: 'all' | 'ranges' | 'link';
};

/**
 * Own and link addresses go by exact entries, and so do the stable addresses of peers, which are nobody else's; all else
 * of the VI goes by its place on the circle. A range whose
 * tunnel is missing is unreachable rather than a reason to refuse: tunnels die at any time. Link addresses of others
 * match nothing, and are unreachable too. Connections that were begun at the node whose a range was before us go on there,
 * as long as there is a tunnel to it.
 */
export function compileImage(source: ImageSource): Image {
  const local: Hop = { kind: 'local' };
  const exact = new Map<string, Hop>();
  const add = (addresses: { readonly ipv4: string; readonly ipv6: string }, hop: Hop): void => {
    if (!exact.has(addresses.ipv4)) exact.set(addresses.ipv4, hop);
    if (!exact.has(addresses.ipv6)) exact.set(addresses.ipv6, hop);
  };
  add(source, local);
  const peers = new Set<Id>();
  const upPeers = new Set<Id>();
  for (const tunnel of source.tunnels) {
    const hop: Hop = { kind: 'tunnel', peer: tunnel.peer };
    const { link, stable, use } = tunnel;
    if (use !== 'link') peers.add(tunnel.peer);
    if (use === 'all') upPeers.add(tunnel.peer);
    if (use === 'all' || (link === null && use === 'ranges')) add(stable, hop);
    if (link === null) continue;
    add(link.remote, hop);
    add(link.local, local);
  }
  const rangesOf = ({ until, to }: RdRoute): Image['ranges'] => {
    if (to !== source.id)
      return [{ until, hop: peers.has(to) ? { kind: 'tunnel', peer: to } : { kind: 'unreachable' } }];
    if (source.formers.at(-1)?.until !== until) return [{ until, hop: local }];
    return source.formers.map((former) => {
      const hasTunnel = former.owner !== undefined && upPeers.has(former.owner);
      return { until: former.until, hop: hasTunnel ? { kind: 'local', former: former.owner } : local };
    });
  };
  return {
    exact,
    prefixes: source.routes.length > 0 ? source.prefixes : [],
    ranges: source.routes.flatMap(rangesOf).sort((a, b) => (a.until < b.until ? -1 : 1)),
  };
}

export function sameImage(a: Image | undefined, b: Image): boolean {
  if (a === undefined) return false;
  if (a.prefixes.length !== b.prefixes.length || a.ranges.length !== b.ranges.length) return false;
  if (a.exact.size !== b.exact.size) return false;
  for (const [index, { until, hop }] of a.ranges.entries()) {
    const other = b.ranges[index] as (typeof b.ranges)[number];
    if (until !== other.until || !sameHop(hop, other.hop)) return false;
  }
  for (const [address, hop] of a.exact) {
    const other = b.exact.get(address);
    if (other === undefined || !sameHop(hop, other)) return false;
  }
  return true;
}

function sameHop(a: Hop, b: Hop): boolean {
  if (a.kind === 'tunnel') return b.kind === 'tunnel' && a.peer === b.peer;
  return a.kind === b.kind && (a.kind !== 'local' || b.kind !== 'local' || a.former === b.former);
}
