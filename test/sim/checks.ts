/** What must hold in a simulated world. Each says true, or what is wrong. */
import { fingerTarget, type Id, inRange, toId } from '../../overlay/id.ts';
import type { Rng } from '../../overlay/lib/rng.ts';
import { PROGRESS_SHARE } from '../../p2pd/core/limits.ts';
import { bitOf } from '../../p2pd/core/near-fingers.ts';
import { tilesCircle } from '../../rd/core/routes.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

const short = (id: Id | undefined): string => (id === undefined ? '-' : id.toString(16).padStart(16, '0').slice(0, 6));

/** Members that live, in the order of their ids. */
export function members(world: World): SimNode[] {
  return world.sorted.filter((node) => node.member);
}

/** The first of them at or after the id; `sorted` by their ids, and not empty. */
export function ownerOf(sorted: readonly SimNode[], id: Id): SimNode {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as SimNode).id < id) low = middle + 1;
    else high = middle;
  }
  return sorted[low === sorted.length ? 0 : low] as SimNode;
}

/** All living nodes are members, and every list, predecessor and finger is right. */
export function isIdeal(world: World, withFingers = true): true | string {
  const living = world.nodes.filter((node) => node.alive).length;
  const sorted = members(world);
  if (sorted.length !== living) return `${sorted.length} of ${living} nodes are members`;
  const { successors: r, proximity } = world.vi.definition;
  const phase = sorted.length > r ? 'formed' : 'forming';
  const prefersNear = proximity === 'pns' || proximity === 'both';
  for (const [i, node] of sorted.entries()) {
    const ring = node.machine?.node?.ring;
    if (ring === undefined) return 'a member without a ring';
    if (ring.phase !== phase) return `${short(node.id)} is ${ring.phase}`;
    const count = Math.min(r, sorted.length - 1);
    const list = Array.from({ length: count }, (_, k) => sorted[(i + 1 + k) % sorted.length]?.id);
    const actual = ring.chord.successors.map(({ id }) => id);
    if (String(list) !== String(actual)) {
      return `${short(node.id)} has successors ${actual.map(short).join()}, should have ${list.map(short).join()}`;
    }
    const predecessor = sorted.length === 1 ? undefined : sorted.at(i - 1)?.id;
    if (ring.chord.predecessor?.id !== predecessor) {
      return `${short(node.id)} has predecessor ${short(ring.chord.predecessor?.id)}, should have ${short(predecessor)}`;
    }
    const problem = withFingers ? fingersOf(node, sorted, prefersNear) : undefined;
    if (problem !== undefined) return problem;
  }
  return true;
}

/** `prefersNear`: any member of a finger's stretch may stand in for it. */
function fingersOf(node: SimNode, sorted: readonly SimNode[], prefersNear: boolean): string | undefined {
  const { ring, fingers } = node.machine?.node ?? {};
  if (ring === undefined || fingers === undefined) return 'no fingers';
  const known = new Map(fingers.entries);
  const last = ring.chord.successors.at(-1)?.id;
  for (let bit = 0; bit < 64; bit++) {
    const target = fingerTarget(node.id, bit);
    const owner = ownerOf(sorted, target);
    const trivial = owner === node || last === undefined || inRange({ after: node.id, until: last }, target);
    const finger = known.get(bit)?.id;
    const standsIn =
      prefersNear && finger !== undefined && bitOf(node.id, finger) === bit && ownerOf(sorted, finger).id === finger;
    if (trivial ? finger !== undefined : finger !== owner.id && !standsIn) {
      return `${short(node.id)} has finger ${bit} ${short(finger)}, should have ${trivial ? '-' : short(owner.id)}`;
    }
  }
  return undefined;
}

export type Path = { readonly owner: SimNode | undefined; readonly hops: number };

/** Where a packet to this id ends that starts at `from`, by the images in effect. */
export function follow(world: World, from: SimNode, id: Id): Path {
  let node = from;
  for (let hops = 0; hops < 64; hops++) {
    const hop = node.forwards ? node.forwarding?.toId(id) : undefined;
    if (hop === undefined || hop.kind === 'unreachable') return { owner: undefined, hops };
    if (hop.kind === 'local') return { owner: node, hops };
    const next = world.nodes[node.tunnels.get(hop.peer)?.machine ?? -1];
    const passes = next !== undefined && world.network.passes(node.index, next.index);
    if (!passes || !next.forwards || !next.tunnels.has(node.id)) return { owner: undefined, hops };
    node = next;
  }
  return { owner: undefined, hops: 64 };
}

export function randomId(rng: Rng): Id {
  return toId((BigInt(rng.uint32()) << 32n) | BigInt(rng.uint32()));
}

/** Keys from every member reach the member that the ring's arithmetic says. */
export function routesAreRight(world: World, keys: number): true | string {
  const sorted = members(world);
  const { proximity } = world.vi.definition;
  // What is left of the way after a hop, at most. A finger that stands in for a nearer one may be passed over.
  const left = { none: 1 / 2, pns: 3 / 4, prs: 1 - PROGRESS_SHARE / 2, both: 1 - PROGRESS_SHARE / 4 }[proximity];
  const hopsMax = 2 + Math.ceil(Math.log(sorted.length + 1) / -Math.log(left)) + 2;
  for (const node of sorted) {
    if (node.routes.length === 0 || !tilesCircle(node.routes))
      return `the routes of ${short(node.id)} do not tile the circle`;
    for (let i = 0; i < keys; i++) {
      const id = randomId(world.rng);
      const { owner, hops } = follow(world, node, id);
      const right = ownerOf(sorted, id);
      if (owner !== right)
        return `${short(id)} from ${short(node.id)} reaches ${short(owner?.id)}, not ${short(right.id)}`;
      if (hops > hopsMax) return `${short(id)} from ${short(node.id)} takes ${hops} hops`;
    }
  }
  return true;
}

/** Every key has exactly one member that takes it for its own. */
export function ownersAreUnique(world: World, keys: number): true | string {
  const sorted = members(world);
  for (let i = 0; i < keys; i++) {
    const id = randomId(world.rng);
    const owners = sorted.filter(({ forwarding }) => forwarding?.toId(id).kind === 'local');
    if (owners.length !== 1) return `${short(id)} has ${owners.length} owners`;
  }
  return true;
}

/** Some member answers for the key, whoever it is. */
export function isAnswered(world: World, from: SimNode, id: Id): boolean {
  return follow(world, from, id).owner !== undefined;
}
