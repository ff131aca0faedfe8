/** Compiles routes and tunnels into the forwarding image of a virtual node. */
import type { Id } from '../../overlay/id.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import type { Hop, Image, LinkAddresses } from './io.ts';

export type ImageSource = {
  readonly id: Id;
  readonly ipv4: string;
  readonly ipv6: string;
  /** The VI's node prefix and node pool: looked up on the circle. */
  readonly prefixes: readonly string[];
  readonly routes: readonly RdRoute[];
  /** Tunnels that carry packets. */
  readonly tunnels: readonly ImageTunnel[];
};

export type ImageTunnel = {
  readonly peer: Id;
  readonly link: LinkAddresses | null;
  /** Stable addresses of the peer. */
  readonly stable: { readonly ipv4: string; readonly ipv6: string };
  /** False while the association is lost: the peer may still be reached round the ring. */
  readonly isUp: boolean;
};

/**
 * Own and link addresses go by exact entries, and so do the stable addresses of peers, which are nobody else's; all else
 * of the VI goes by its place on the circle. A range whose
 * tunnel is missing is unreachable rather than a reason to refuse: tunnels die at any time. Link addresses of others
 * match nothing, and are unreachable too.
 */
export function compileImage(source: ImageSource): Image {
  const local: Hop = { kind: 'local' };
  const exact = new Map<string, Hop>();
  const add = (addresses: { readonly ipv4: string; readonly ipv6: string }, hop: Hop): void => {
    for (const address of [addresses.ipv4, addresses.ipv6]) if (!exact.has(address)) exact.set(address, hop);
  };
  add(source, local);
  const peers = new Set<Id>();
  for (const tunnel of source.tunnels) {
    peers.add(tunnel.peer);
    const hop: Hop = { kind: 'tunnel', peer: tunnel.peer };
    const { link, stable } = tunnel;
    if (link === null || tunnel.isUp) add(stable, hop);
    if (link === null) continue;
    add(link.remote, hop);
    add(link.local, local);
  }
  const hopTo = (to: Id): Hop => {
    if (to === source.id) return local;
    return peers.has(to) ? { kind: 'tunnel', peer: to } : { kind: 'unreachable' };
  };
  return {
    exact: [...exact].map(([address, hop]) => ({ address, hop })),
    prefixes: source.routes.length > 0 ? source.prefixes : [],
    ranges: source.routes.map((route) => ({ until: route.until, hop: hopTo(route.to) })),
  };
}

export function sameImage(a: Image | undefined, b: Image): boolean {
  if (a === undefined) return false;
  return (
    a.exact.length === b.exact.length &&
    a.prefixes.length === b.prefixes.length &&
    a.ranges.length === b.ranges.length &&
    a.exact.every((entry, index) => {
      const other = b.exact[index] as (typeof b.exact)[number];
      return entry.address === other.address && sameHop(entry.hop, other.hop);
    }) &&
    a.ranges.every((entry, index) => {
      const other = b.ranges[index] as (typeof b.ranges)[number];
      return entry.until === other.until && sameHop(entry.hop, other.hop);
    })
  );
}

function sameHop(a: Hop, b: Hop): boolean {
  return a.kind === 'tunnel' ? b.kind === 'tunnel' && a.peer === b.peer : a.kind === b.kind;
}
