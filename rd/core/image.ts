/** Compiles routes and tunnels into the forwarding image of a virtual node. */
import type { Id } from '../../overlay/id.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import type { Hop, Image, LinkAddresses } from './io.ts';
import type { Former } from './routes.ts';

const LOCAL: Hop = { kind: 'local' };

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

/** What an image was made of. */
export type Compiled = { readonly source: ImageSource; readonly image: Image };

/**
 * Own and link addresses go by exact entries, and so do the stable addresses of peers, which are nobody else's; all else
 * of the VI goes by its place on the circle. A range whose
 * tunnel is missing is unreachable rather than a reason to refuse: tunnels die at any time. Link addresses of others
 * match nothing, and are unreachable too. Connections that were begun at the node whose a range was before us go on there,
 * as long as there is a tunnel to it.
 *
 * `last`: exact entries, which are many, are taken over from it where they are the same.
 */
export function compileImage(source: ImageSource, last?: Compiled): Image {
  return {
    exact: last !== undefined && sameEntries(source, last.source) ? last.image.exact : exactOf(source),
    prefixes: source.routes.length > 0 ? source.prefixes : [],
    ranges: rangesOf(source),
  };
}

function exactOf(source: ImageSource): Map<string, Hop> {
  const exact = new Map<string, Hop>();
  const add = (addresses: { readonly ipv4: string; readonly ipv6: string }, hop: Hop): void => {
    if (!exact.has(addresses.ipv4)) exact.set(addresses.ipv4, hop);
    if (!exact.has(addresses.ipv6)) exact.set(addresses.ipv6, hop);
  };
  add(source, LOCAL);
  for (const { peer, link, stable, use } of source.tunnels) {
    const hop: Hop = { kind: 'tunnel', peer };
    if (use === 'all' || (link === null && use === 'ranges')) add(stable, hop);
    if (link === null) continue;
    add(link.remote, hop);
    add(link.local, LOCAL);
  }
  return exact;
}

/** Whether the exact entries of both are the same; if it says no, they may be all the same. */
function sameEntries(a: ImageSource, b: ImageSource): boolean {
  if (a.id !== b.id || a.ipv4 !== b.ipv4 || a.ipv6 !== b.ipv6) return false;
  const [ours, theirs] = [a.tunnels.filter(hasEntries), b.tunnels.filter(hasEntries)];
  return ours.length === theirs.length && ours.every((tunnel, i) => sameTunnel(tunnel, theirs[i] as ImageTunnel));
}

function hasEntries({ link, use }: ImageTunnel): boolean {
  return link !== null || use !== 'link';
}

function sameTunnel(a: ImageTunnel, b: ImageTunnel): boolean {
  return a.peer === b.peer && a.use === b.use && a.link === b.link && a.stable === b.stable;
}

function rangesOf(source: ImageSource): Image['ranges'] {
  const peers = new Set<Id>();
  const upPeers = new Set<Id>();
  for (const { peer, use } of source.tunnels) {
    if (use !== 'link') peers.add(peer);
    if (use === 'all') upPeers.add(peer);
  }
  const piecesOf = ({ until, to }: RdRoute): Image['ranges'] => {
    if (to !== source.id)
      return [{ until, hop: peers.has(to) ? { kind: 'tunnel', peer: to } : { kind: 'unreachable' } }];
    if (source.formers.at(-1)?.until !== until) return [{ until, hop: LOCAL }];
    return source.formers.map((former) => {
      const hasTunnel = former.owner !== undefined && upPeers.has(former.owner);
      return { until: former.until, hop: hasTunnel ? { kind: 'local', former: former.owner } : LOCAL };
    });
  };
  return source.routes.flatMap(piecesOf).sort((a, b) => (a.until < b.until ? -1 : 1));
}

export function sameImage(a: Image | undefined, b: Image): boolean {
  if (a === undefined) return false;
  if (a.prefixes.length !== b.prefixes.length || a.ranges.length !== b.ranges.length) return false;
  if (a.exact.size !== b.exact.size) return false;
  for (const [index, { until, hop }] of a.ranges.entries()) {
    const other = b.ranges[index] as (typeof b.ranges)[number];
    if (until !== other.until || !sameHop(hop, other.hop)) return false;
  }
  if (a.exact === b.exact) return true;
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
