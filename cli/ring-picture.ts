/** Draws the identifier circle in characters. */
import { between, distance, formatId, type Id, rangeSize } from '../overlay/id.ts';
import { padEnd, paint, widthOf } from './output.ts';

export type RingNode = { readonly id: Id; readonly name: string };
export type RingView = {
  /** In any order. */
  readonly nodes: readonly RingNode[];
  /** The node that looks; null where nobody in particular does. */
  readonly self: Id | null;
  readonly predecessor: Id | null;
  readonly successors: readonly Id[];
  readonly fingers: readonly Id[];
};

/** More nodes than this are left to the list. */
export const PICTURE_NODES_MAX = 32;
/** A character cell is about twice as high as wide. */
const CELL_ASPECT = 2;

/** Clockwise from the lowest id. */
export function ringOrder<Node extends { readonly id: Id }>(nodes: readonly Node[]): Node[] {
  return [...nodes].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

type Pointers = { readonly id: Id; readonly predecessor: Id | null; readonly successors: readonly Id[] };

/**
 * Tells nodes that a node knows not to be on the ring: those between two neighbours of its pointers, next to which
 * nobody else can be. Of the rest of the circle it knows nothing.
 */
export function presentOf<Node extends { readonly id: Id }>(
  nodes: readonly Node[],
  { id: self, predecessor, successors }: Pointers,
): { readonly present: Node[]; readonly absent: Node[] } {
  const chain = [...(predecessor === null ? [] : [predecessor]), self, ...successors];
  const isAbsent = (id: Id): boolean =>
    chain.some((from, i) => {
      const to = chain[i + 1];
      return to !== undefined && from !== to && between(from, id, to);
    }) && !chain.includes(id);
  return { present: nodes.filter(({ id }) => !isAbsent(id)), absent: nodes.filter(({ id }) => isAbsent(id)) };
}

/** What the looking node uses another one for: self, predecessor, successor 1.., finger; empty for none. */
export function rolesOf(view: RingView, id: Id): string[] {
  const roles: string[] = [];
  if (id === view.self) roles.push('this node');
  if (id === view.predecessor) roles.push('predecessor');
  const place = view.successors.indexOf(id);
  if (place >= 0) roles.push(`successor ${place + 1}`);
  if (view.fingers.includes(id)) roles.push('finger');
  return roles;
}

export function markOf(view: RingView, id: Id): string {
  if (id === view.self) return paint('green', '●');
  if (view.successors.includes(id)) return paint('cyan', 'S');
  if (id === view.predecessor) return paint('cyan', 'P');
  if (view.fingers.includes(id)) return paint('yellow', 'F');
  return '○';
}

/** Part of the circle for which a node is responsible, in per cent with one decimal. */
export function shareOf(after: Id, until: Id): string {
  return (Number((rangeSize({ after, until }) * 1000n) / (1n << 64n)) / 10).toFixed(1);
}

/** The nodes at equal distances in the order of their ids, clockwise, the lowest at the top. */
export function drawRing(view: RingView): string {
  const nodes = ringOrder(view.nodes);
  const radius = Math.max(4, Math.ceil(nodes.length / 3.2));
  // A row above and below, for the names of the uppermost and the lowest node.
  const rows = radius * 2 + 3;
  const labelWidth = Math.max(0, ...nodes.map((node) => widthOf(node.name))) + 2;
  const columns = radius * 2 * CELL_ASPECT + 1 + labelWidth * 2;
  const cells: string[][] = Array.from({ length: rows }, () => Array<string>(columns).fill(' '));
  const middle = labelWidth + radius * CELL_ASPECT;
  const put = (row: number, column: number, text: string): void => {
    const line = cells[row];
    if (line !== undefined && column >= 0 && column < columns) line[column] = text;
  };
  const at = (turn: number): { row: number; column: number; x: number } => {
    const x = Math.sin(turn * 2 * Math.PI);
    const y = -Math.cos(turn * 2 * Math.PI);
    return { row: Math.round(radius + 1 + y * radius), column: Math.round(middle + x * radius * CELL_ASPECT), x };
  };
  const dots = radius * 16;
  for (let i = 0; i < dots; i++) {
    const { row, column } = at(i / dots);
    put(row, column, paint('dim', '·'));
  }
  nodes.forEach((node, i) => {
    const { row, column, x } = at(i / nodes.length);
    put(row, column, markOf(view, node.id));
    const letters = Array.from(node.name);
    const upright = Math.abs(x) < 0.01;
    const labelRow = upright ? (row <= radius ? row - 1 : row + 1) : row;
    const start = upright ? column - Math.floor(letters.length / 2) : x > 0 ? column + 2 : column - 1 - letters.length;
    if (!upright) {
      put(labelRow, start - 1, ' ');
      put(labelRow, start + letters.length, ' ');
    }
    letters.forEach((letter, k) => {
      put(labelRow, start + k, node.id === view.self ? paint('bold', letter) : letter);
    });
  });
  return cells.map((line) => line.join('').trimEnd()).join('\n');
}

export function legend(): string {
  return [
    `${paint('green', '●')} this node`,
    `${paint('cyan', 'P')} predecessor`,
    `${paint('cyan', 'S')} successor`,
    `${paint('yellow', 'F')} finger`,
    '○ other node',
  ].join('   ');
}

/** The nodes in ring order, each with the range it is responsible for: after its predecessor, up to itself. */
export function rangesOf<Node extends { readonly id: Id }>(
  nodes: readonly Node[],
): { readonly node: Node; readonly after: Id; readonly until: Id }[] {
  const ordered = ringOrder(nodes);
  return ordered.map((node, i) => ({
    node,
    after: (ordered[i - 1] ?? ordered[ordered.length - 1] ?? node).id,
    until: node.id,
  }));
}

/** The node responsible for an id: the first one clockwise from it. */
export function ownerOf<Node extends { readonly id: Id }>(nodes: readonly Node[], id: Id): Node | undefined {
  let best: Node | undefined;
  for (const node of nodes) {
    if (best === undefined || distance(id, node.id) < distance(id, best.id)) best = node;
  }
  return best;
}

export function formatRange(after: Id, until: Id): string {
  return `(${formatId(after)}, ${formatId(until)}]`;
}

/** Two blocks of text beside each other. */
export function beside(left: string, right: string, gap: number): string {
  const lefts = left.split('\n');
  const rights = right.split('\n');
  const width = Math.max(...lefts.map(widthOf)) + gap;
  return Array.from({ length: Math.max(lefts.length, rights.length) }, (_, i) =>
    (padEnd(lefts[i] ?? '', width) + (rights[i] ?? '')).trimEnd(),
  ).join('\n');
}
