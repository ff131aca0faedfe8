/** The two invariants of Zave's proof, for the members of a formed ring. */
import type { Id } from '../../overlay/id.ts';
import type { World } from './world.ts';

/**
 * Every member has a live successor, and at least r + 1 members are principals: skipped by no adjacent pair of any
 * member's extended list. True, or what is wrong; nothing is said while all are forming.
 */
export function invariantsHold(world: World): true | string {
  const living = world.sorted.filter((node) => node.member);
  const ids = living.map(({ id }) => id);
  // How often each is skipped, as changes of a running sum along the sorted ring.
  const changes = new Int32Array(ids.length + 1);
  let formed = 0;
  for (const [place, node] of living.entries()) {
    const ring = node.machine?.node?.ring;
    if (ring?.phase !== 'formed') continue;
    formed++;
    let hasLiving = false;
    let from = place + 1;
    for (const { id } of ring.chord.successors) {
      const to = placeOf(ids, id);
      skip(changes, from, to, ids.length);
      const isLiving = ids[to] === id;
      hasLiving ||= isLiving;
      from = isLiving ? to + 1 : to;
    }
    if (!hasLiving) return `${node.idText} has no live successor`;
  }
  if (formed === 0) return true;
  let skips = 0;
  let principals = 0;
  for (let place = 0; place < ids.length; place++) {
    skips += changes[place] as number;
    if (skips === 0) principals++;
  }
  return principals > world.vi.definition.successors ? true : `${principals} principals`;
}

/** Place of the first id that is not below this one. */
function placeOf(ids: readonly Id[], id: Id): number {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ids[middle] as Id) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Those from `from` on, clockwise, before `to`. */
function skip(changes: Int32Array, from: number, to: number, count: number): void {
  const add = (low: number, high: number): void => {
    if (low >= high) return;
    changes[low] = (changes[low] as number) + 1;
    changes[high] = (changes[high] as number) - 1;
  };
  if (from <= to) return add(from, to);
  add(from, count);
  add(0, to);
}
