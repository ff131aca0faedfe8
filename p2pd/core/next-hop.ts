/** Whither a question about an id goes next. */
import { between, type Id, inRange } from '../../overlay/id.ts';
import type { Peer } from './peers.ts';
import type { Ring } from './ring.ts';

/**
 * The neighbour to which a find_successor for `target` goes, which is not in our own range. `origin`: the node that
 * asks for its own place and must not be taken for its own successor. `sender`: by whom it came.
 */
export function nextHop(ring: Ring, target: Id, origin?: Id, sender?: Id): Peer | undefined {
  const { chord, ctx } = ring;
  const usable = (id: Id): Peer | undefined => (id === origin || id === sender ? undefined : ring.up(id));
  let low = ctx.id;
  for (const { id } of chord.successors) {
    if (id === origin) continue;
    if (inRange({ after: low, until: id }, target)) {
      const peer = usable(id);
      if (peer !== undefined) return peer;
      break;
    }
    low = id;
  }
  const back = ring.backRanges().find((range) => inRange(range, target));
  const peer = back === undefined ? undefined : usable(back.until);
  if (peer !== undefined) return peer;
  let best: Peer | undefined;
  for (const peer of ring.peers.all()) {
    const isNearer = between(best?.id ?? ctx.id, peer.id, target);
    if (isNearer && usable(peer.id) !== undefined && ring.isMember(peer)) best = peer;
  }
  return best;
}
