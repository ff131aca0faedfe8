/** What the ring should be, computed from nothing but the list of its members, and where it differs. */
import { distance, fingerTarget, formatId, ID_BITS, type Id } from '../../overlay/id.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import type { Proximity } from '../../overlay/vi.ts';
import { ownerOf, ringOrder } from '../ring-picture.ts';

/** The part of a node's status that says how it sees the ring. */
export type RingState = Pick<NodeStatus, 'name' | 'id' | 'phase' | 'predecessor' | 'successors' | 'fingers'> & {
  /** Absent: ids alone say which node is which finger. */
  readonly vi?: { readonly definition: { readonly proximity: Proximity } };
};

/** One sentence for each thing that is not as it should be; empty where the ring is ideal. `r`: length of the successor list. */
export function ringFaults(nodes: readonly RingState[], r: number): string[] {
  const ordered = ringOrder(nodes);
  const count = ordered.length;
  return ordered.flatMap((node, i) => {
    const at = (offset: number): Id => (ordered[(i + offset + count) % count] ?? node).id;
    const successors = Array.from({ length: Math.min(r, count - 1) }, (_, k) => at(k + 1));
    const predecessor = count === 1 ? null : at(-1);
    return nodeFaults(node, nodes, successors, predecessor);
  });
}

function nodeFaults(
  node: RingState,
  nodes: readonly RingState[],
  successors: readonly Id[],
  predecessor: Id | null,
): string[] {
  const faults: string[] = [];
  if (node.phase !== 'formed' && node.phase !== 'forming') faults.push(`${node.name} is ${node.phase}`);
  if (node.successors.join() !== successors.join()) {
    faults.push(`${node.name} has successors ${idsText(node.successors)} instead of ${idsText(successors)}`);
  }
  if (node.predecessor !== predecessor) {
    faults.push(`${node.name} has predecessor ${idsText([node.predecessor])} instead of ${idsText([predecessor])}`);
  }
  for (const { bit, node: finger } of node.fingers) {
    const owner = ownerOf(nodes, fingerTarget(node.id, bit))?.id;
    if (finger !== owner && !isStandIn(node, bit, finger, nodes)) {
      faults.push(`${node.name} has finger ${bit} at ${formatId(finger)} instead of ${idsText([owner ?? null])}`);
    }
  }
  for (const missing of missingFingers(node, nodes)) faults.push(`${node.name} lacks a finger to ${formatId(missing)}`);
  return faults;
}

/** Where nearness on the base network counts, any member of a finger's stretch may be the finger. */
function isStandIn(node: RingState, bit: number, finger: Id, nodes: readonly RingState[]): boolean {
  const proximity = node.vi?.definition.proximity;
  if (proximity !== 'pns' && proximity !== 'both') return false;
  const away = distance(node.id, finger);
  return away >> BigInt(bit) === 1n && nodes.some(({ id }) => id === finger);
}

/** Nodes that a finger should point to and that are no neighbour otherwise. */
function missingFingers(node: RingState, nodes: readonly RingState[]): Id[] {
  const known = new Set<Id>([node.id, ...node.successors, ...node.fingers.map((finger) => finger.node)]);
  const missing = new Set<Id>();
  for (let bit = 0; bit < ID_BITS; bit++) {
    const owner = ownerOf(nodes, fingerTarget(node.id, bit))?.id;
    if (owner === undefined || known.has(owner)) continue;
    if (!node.fingers.some((finger) => finger.bit === bit && isStandIn(node, bit, finger.node, nodes)))
      missing.add(owner);
  }
  return [...missing];
}

function idsText(ids: readonly (Id | null)[]): string {
  return ids.length === 0 ? 'none' : ids.map((id) => (id === null ? 'none' : formatId(id))).join(' ');
}
