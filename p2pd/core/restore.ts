/** A P2P daemon that was restarted finds its place in the tunnels and routes that its resource daemon kept. */
import { distance, fingerTarget, type Id } from '../../overlay/id.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import type { Fingers } from './fingers.ts';
import type { Ring } from './ring.ts';

/**
 * Rebuilds pointers and fingers such that the same routes follow from them; false if what is in place is no ring
 * membership. The tunnels must be known already.
 */
export function restore(ring: Ring, fingers: Fingers, routes: readonly RdRoute[]): boolean {
  const { chord, ctx, formation, peers } = ring;
  const own = routes.find((route) => route.to === ctx.id && route.until === ctx.id);
  if (own === undefined) return false;
  if (own.after === own.until) {
    ring.enter(false);
    return true;
  }
  const hops = new Set<Id>(routes.map((route) => route.to));
  hops.delete(ctx.id);
  const neighbours = [...hops]
    .map((id) => peers.get(id))
    .filter((peer) => peer?.remote !== undefined)
    .map((peer) => peer as NonNullable<typeof peer>)
    .sort((a, b) => (distance(ctx.id, a.id) < distance(ctx.id, b.id) ? -1 : 1));
  const head = neighbours[0];
  if (head === undefined) return false;
  for (const peer of neighbours) peer.member = true;
  const records = neighbours.map((peer) => peer.record);
  if (neighbours.length < ctx.r) {
    formation.merge(records);
    ring.enter(false);
    return true;
  }
  chord.adopt(head.record, records.slice(1));
  const predecessor = peers.get(own.after);
  if (predecessor?.remote === undefined) chord.assume(own.after);
  else chord.setPredecessor(predecessor.record);
  ring.enter(true);
  for (const bit of fingers.bits()) {
    const reach = 1n << BigInt(bit);
    const finger = records.find((record) => distance(ctx.id, record.id) >= reach);
    if (finger !== undefined && fingerTarget(ctx.id, bit) !== ctx.id) fingers.set(bit, finger);
  }
  return true;
}
