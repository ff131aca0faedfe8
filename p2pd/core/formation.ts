/**
 * The beginning of a ring. What is proven of the corrected Chord holds for rings that started with at least r + 1 nodes
 * and right pointers; nothing of it applies to fewer nodes. Until then every member keeps the list of all members and
 * derives its pointers from it, joiners are let in one at a time, and the ring counts as formed once a member and all
 * nodes of its list tell the same list. This is an agreement of live nodes, not a consensus protocol: a network that
 * breaks apart while fewer than r + 1 nodes are there leaves two forming rings, which are merged again by knocking.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import { distance, type Id } from '../../overlay/id.ts';
import { SUCCESSORS_MAX } from '../../overlay/messages/p2pd-p2pd.ts';

export class Formation {
  readonly #self: Id;
  readonly #r: number;
  readonly #others = new Map<Id, NodeRecord>();
  readonly #views = new Map<Id, string>();
  formed = false;
  /**
   * There are more members than the list holds, as after two rings were merged that were still forming. Then no two lists
   * need be alike, and nobody may wait for that.
   */
  overfull = false;
  /** Counts changes of the list. */
  version = 0;

  constructor(self: Id, r: number) {
    this.#self = self;
    this.#r = r;
  }

  /** The other members, clockwise from this node. */
  get others(): NodeRecord[] {
    return [...this.#others.values()].sort((a, b) =>
      distance(this.#self, a.id) < distance(this.#self, b.id) ? -1 : 1,
    );
  }

  has(id: Id): boolean {
    return this.#others.has(id);
  }

  /** Members, this node included. */
  get size(): number {
    return this.#others.size + 1;
  }

  /** Enough for the ring to become formed. */
  get full(): boolean {
    return this.size > this.#r;
  }

  /** The one member that lets joiners in, so that they come one after another. */
  get admitter(): Id {
    let lowest = this.#self;
    for (const id of this.#others.keys()) if (id < lowest) lowest = id;
    return lowest;
  }

  /** Takes members in; true if the list changed. A newer incarnation replaces an older one. */
  merge(records: Iterable<NodeRecord>): boolean {
    let changed = false;
    for (const record of records) {
      if (record.id === this.#self) continue;
      const known = this.#others.get(record.id);
      if (known !== undefined && known.incarnation >= record.incarnation) continue;
      this.#others.set(record.id, record);
      if (this.#dropOne() !== record.id) changed = true;
    }
    if (changed) this.version++;
    return changed;
  }

  /** Where there are too many: those next to us on either side are kept, for our pointers are made of them. */
  #dropOne(): Id | undefined {
    if (this.#others.size <= SUCCESSORS_MAX) return undefined;
    this.overfull = true;
    const dropped = this.others.at(-2)?.id as Id;
    this.#others.delete(dropped);
    return dropped;
  }

  /** A member's own words of itself, in place of what others told. */
  refresh(record: NodeRecord): void {
    if (!this.#others.has(record.id)) return;
    this.#others.set(record.id, record);
    this.version++;
  }

  remove(id: Id): boolean {
    this.#views.delete(id);
    this.overfull = false;
    this.version++;
    return this.#others.delete(id);
  }

  clear(): void {
    this.overfull = false;
    this.version++;
    this.#others.clear();
    this.#views.clear();
  }

  /** What a member told of the members, itself not among them. */
  noteView(teller: Id, members: readonly NodeRecord[]): void {
    this.#views.set(teller, viewOf([teller, ...members.map((record) => record.id)]));
  }

  /** Whether all nodes of our list see the same members as we do. */
  agreed(successors: readonly NodeRecord[]): boolean {
    if (!this.full) return false;
    const own = viewOf([this.#self, ...this.#others.keys()]);
    return successors.every((record) => this.#views.get(record.id) === own);
  }
}

function viewOf(ids: Id[]): string {
  return ids
    .map((id) => id.toString(16))
    .sort()
    .join();
}
