/**
 * Whether what the two ends of each tunnel have fits together, and whether any address is lost or given twice. Each
 * finding is a sentence that stays the same while it lasts.
 */
import { NODE, type SimNode } from './sim-node.ts';
import type { World } from './world.ts';

/** What may be so for a moment, while messages are on their way. */
export function loosePairs(world: World): string[] {
  const wrong: string[] = [];
  for (const node of world.nodes) {
    if (node.rd === undefined || node.isPaused) continue;
    for (const { plan, machine } of node.tunnels.values()) {
      const peer = world.nodes[machine];
      if (peer?.isPaused === true) continue;
      const other = peer?.tunnels.get(node.id);
      const name = `${node.index}-${peer?.index}`;
      if (peer === undefined || other === undefined) wrong.push(`tunnel ${name} has no other end`);
      else if (other.plan.secure !== plan.secure) wrong.push(`tunnel ${name} is secure at one end only`);
      else if (other.plan.link?.remote.ipv6 !== plan.link?.local.ipv6) wrong.push(`tunnel ${name} has two pairs`);
    }
    wrong.push(...ofPeers(node));
  }
  return wrong;
}

/** The P2P daemon and its resource daemon know of the same tunnels. */
function ofPeers(node: SimNode): string[] {
  const ring = node.machine?.node?.ring;
  if (ring === undefined || !node.connected || !node.member) return [];
  const wrong: string[] = [];
  for (const peer of ring.peers.all()) {
    const tunnel = node.tunnels.get(peer.id);
    const address = tunnel?.plan.link?.remote.ipv6;
    if (peer.remote === undefined && tunnel !== undefined) wrong.push(`${node.index} was not told of a tunnel`);
    if (peer.remote !== undefined && tunnel === undefined) wrong.push(`${node.index} was not told of a tunnel's end`);
    if (address !== undefined && peer.remote !== undefined && peer.remote.address !== address) {
      wrong.push(`${node.index} knows another address of a tunnel`);
    }
  }
  return wrong;
}

/** What must never be so, at any moment. */
export function lostPairs(world: World): string | undefined {
  const users = new Map<number, string>();
  for (const node of world.nodes) {
    if (node.rd === undefined) continue;
    const leased = new Set(node.rd.pairs(NODE));
    const named = new Set<number>();
    for (const { peer, pair, state } of node.tunnelViews) {
      if (pair === null) continue;
      if (named.has(pair)) return `pair ${pair} names two tunnels of node ${node.index}`;
      named.add(pair);
      // Where the other end has gone without a word, this one is about to find out.
      const far = world.node(peer)?.tunnels.get(node.id)?.plan.link?.remote.ipv6;
      if (state !== 'up' || far === undefined || far !== node.tunnels.get(peer)?.plan.link?.local.ipv6) continue;
      const tunnel = node.id < peer ? `${node.id}-${peer}` : `${peer}-${node.id}`;
      const before = users.get(pair);
      if (before !== undefined && before !== tunnel) return `pair ${pair} names two tunnels`;
      users.set(pair, tunnel);
    }
    for (const pair of node.rd.pairsInUse(NODE)) {
      if (!named.has(pair)) return `pair ${pair} of node ${node.index} is in use by no tunnel`;
    }
    for (const pair of leased) {
      const owner = world.manager.ownerOf(pair);
      if (owner !== undefined && owner !== node.index) return `pair ${pair} is leased to ${node.index} and ${owner}`;
    }
  }
  return undefined;
}

/** In the end every lease is known at its node: nothing is lost until it expires. */
export function forgottenLeases(world: World): string | undefined {
  for (const node of world.nodes) {
    if (node.rd === undefined) continue;
    const known = new Set(node.rd.pairs(NODE));
    for (const pair of world.manager.leasesOf(node.index)) {
      if (!known.has(pair)) return `node ${node.index} has forgotten its lease of pair ${pair}`;
    }
  }
  return undefined;
}
