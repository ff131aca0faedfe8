/**
 * A large ring as it would have come to be, without the joins that lead there: while a ring grows, each node makes
 * several times the tunnels that it has in the end. The resource daemons make the tunnels of a ring at rest, as their
 * P2P daemons would have them, and then the P2P daemons start all at once and find them, as they do when they alone were
 * restarted.
 */
import { fingerTarget, ID_BITS, inRange } from '../../overlay/id.ts';
import { P2PD_RD_VERSION, type ToRd } from '../../overlay/messages/p2pd-rd.ts';
import { ringRoutes } from '../../p2pd/core/routes.ts';
import type { SessionRef } from '../../rd/core/io.ts';
import { ownerOf } from '../../test/sim/checks.ts';
import { NODE, type SimNode } from '../../test/sim/sim-node.ts';
import type { World } from '../../test/sim/world.ts';

const NODES_PER_S = 1000;
/** Longer than any handshake of the last ones. */
const SETTLE_MS = 5000;
/** P2P daemons that were started long before their neighbours would take them for dead. */
const START_WITHIN_MS = 400;
const GENERATION = 1;
/** Of the session in which the tunnels are asked for; that of a P2P daemon that starts later is another. */
const SESSION = 0;

type Neighbours = {
  readonly predecessor: SimNode;
  readonly successors: readonly SimNode[];
  readonly all: Set<SimNode>;
};

/** Brings up so many nodes; there must be none yet, and more than the successor list is long. */
export function layRing(world: World, count: number, say: (text: string) => void): SimNode[] {
  const nodes = Array.from({ length: count }, () => world.create());
  const places = new Map(world.sorted.map((node, place) => [node, place]));
  const neighboursOf = (node: SimNode): Neighbours => findNeighbours(world, places.get(node) as number);
  for (const node of nodes) world.resourceDaemons.start(node);
  for (const [i, node] of nodes.entries()) world.later((i * 1000) / NODES_PER_S, () => ask(world, node, neighboursOf));
  const untilMs = (count * 1000) / NODES_PER_S + SETTLE_MS;
  for (const startMs = world.now; world.now < startMs + untilMs; ) {
    world.run(SETTLE_MS);
    say(`${Math.min(count, ((world.now - startMs) * NODES_PER_S) / 1000)} of ${count} nodes have tunnels`);
  }
  for (const [i, node] of nodes.entries()) {
    world.later((i * START_WITHIN_MS) / count, () => begin(world, node, neighboursOf(node)));
  }
  world.run(START_WITHIN_MS);
  return nodes;
}

/** As Chord says: list, predecessor, and the fingers beyond the list. */
function findNeighbours(world: World, place: number): Neighbours {
  const { sorted } = world;
  const at = (offset: number): SimNode => sorted.at((place + offset) % sorted.length) as SimNode;
  const { id } = at(0);
  const successors = Array.from({ length: world.vi.definition.successors }, (_, i) => at(i + 1));
  const predecessor = at(-1);
  const last = successors.at(-1) as SimNode;
  const all = new Set([...successors, predecessor]);
  for (let bit = 0; bit < ID_BITS; bit++) {
    const target = fingerTarget(id, bit);
    const isCovered =
      inRange({ after: id, until: last.id }, target) || inRange({ after: predecessor.id, until: id }, target);
    if (!isCovered) all.add(ownerOf(sorted, target));
  }
  return { predecessor, successors, all };
}

function tell(world: World, node: SimNode, message: ToRd): void {
  world.resourceDaemons.input(node, { kind: 'p2pd', node: NODE, session: SESSION as SessionRef, message });
}

function ask(world: World, node: SimNode, neighboursOf: (node: SimNode) => Neighbours): void {
  const hello = { version: P2PD_RD_VERSION, vi: world.vi.id, node: node.id, instance: node.id, generation: 0 };
  tell(world, node, { t: 'hello', ...hello });
  for (const { id, contact } of neighboursOf(node).all) {
    tell(world, node, { t: 'tunnel.add', key: id, contact, role: 'neighbour' });
  }
}

function begin(world: World, node: SimNode, { predecessor, successors, all }: Neighbours): void {
  for (const { index, id } of all) {
    if (!node.tunnels.has(id)) throw new Error(`node ${node.index} has no tunnel to node ${index}`);
  }
  const routes = ringRoutes({
    self: node.id,
    own: { after: predecessor.id, until: node.id },
    successors: successors.map(({ id }) => ({ id, up: true })),
    others: [...all].map(({ id }) => id),
    back: [],
  });
  for (const route of routes) tell(world, node, { t: 'route.add', ...route });
  tell(world, node, { t: 'routes.commit', generation: GENERATION, count: routes.length });
  world.p2pDaemons.start(node);
}
