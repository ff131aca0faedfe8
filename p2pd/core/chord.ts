/**
 * The state of the ring at one node: predecessor and successor list, after Zave, "Reasoning about Identifier Spaces:
 * How to Make Chord Correct" (arXiv 1610.01140). Nothing else writes the list.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import { between, distance, type Id } from '../../overlay/id.ts';
import { FORMERS_MAX } from './limits.ts';

/** `take r (head :: list)`: the list of a node whose first successor is `head`, from the list that `head` told. */
export function adoptSuccessors(head: NodeRecord, list: readonly NodeRecord[], r: number): NodeRecord[] {
  return [head, ...list].slice(0, r);
}

export type Sorted = {
  readonly list: NodeRecord[];
  /** The list led once around the circle: head and list are then all other members that its sender knows. */
  readonly wrapped: boolean;
};

/**
 * What of a list told by `head` may follow it in the list of `self`: strictly clockwise, ending before `self`,
 * without nodes known to be dead.
 */
export function sortOut(
  self: Id,
  head: Id,
  list: readonly NodeRecord[],
  alive: (record: NodeRecord) => boolean,
): Sorted {
  const kept: NodeRecord[] = [];
  let reached = distance(self, head);
  for (const record of list) {
    const away = distance(self, record.id);
    if (away <= reached) return { list: kept, wrapped: true };
    reached = away;
    if (alive(record)) kept.push(record);
  }
  return { list: kept, wrapped: false };
}

export class Chord {
  readonly #self: Id;
  readonly #r: number;
  #successors: readonly NodeRecord[] = [];
  #predecessor: NodeRecord | undefined;
  #formers: readonly Id[] = [];
  #assumed: Id | undefined;
  #version = 0;
  #details = 0;

  constructor(self: Id, r: number) {
    this.#self = self;
    this.#r = r;
  }

  /** Counts changes of which nodes are where. */
  get version(): number {
    return this.#version;
  }

  /** Counts changes of what else routes depend on: lives of nodes, former predecessors, an assumed one. */
  get details(): number {
    return this.#details;
  }

  get successors(): readonly NodeRecord[] {
    return this.#successors;
  }

  get first(): NodeRecord | undefined {
    return this.#successors[0];
  }

  get predecessor(): NodeRecord | undefined {
    return this.#predecessor;
  }

  /**
   * Former predecessors, oldest first, each replaced by one between it and us. Until they have heard of one another,
   * what lies between two of them comes to us and must be sent back.
   */
  get formers(): readonly Id[] {
    return this.#predecessor === undefined ? [] : this.#formers;
  }

  forgetFormers(): void {
    this.#details++;
    this.#formers = [];
  }

  /** Where our own range is assumed to begin while no predecessor has made itself known. */
  get assumed(): Id | undefined {
    return this.#assumed;
  }

  has(id: Id): boolean {
    return this.#predecessor?.id === id || this.#successors.some((record) => record.id === id);
  }

  /** Replaces the list; `list` has been through sortOut. */
  adopt(head: NodeRecord, list: readonly NodeRecord[]): void {
    this.#setSuccessors(adoptSuccessors(head, list, this.#r));
  }

  /** Sets both pointers from a member list, in clockwise order from here, of a ring that is still forming. */
  place(others: readonly NodeRecord[]): void {
    this.#setSuccessors(others.slice(0, this.#r));
    this.setPredecessor(others.at(-1));
  }

  setPredecessor(record: NodeRecord | undefined): void {
    if (record?.id === this.#self) throw new Error('a node is not its own predecessor');
    if (record !== undefined) this.#assumed = undefined;
    this.#details++;
    if (record?.id !== this.#predecessor?.id) {
      this.#formers = [];
      this.#version++;
    }
    this.#predecessor = record;
  }

  /** A nearer node has made itself known; `known` are those before us up to now, the nearest last. */
  replacePredecessor(record: NodeRecord, known: readonly Id[]): void {
    const formers = [...this.#formers, ...known].filter((id) => between(id, record.id, this.#self));
    this.setPredecessor(record);
    this.#formers = formers.slice(-FORMERS_MAX);
  }

  assume(after: Id | undefined): void {
    this.#details++;
    this.#assumed = after;
  }

  /** A node's own words of itself: they count more than what others told, whatever incarnation those claimed. */
  refresh(record: NodeRecord): void {
    const own = (old: NodeRecord): NodeRecord => (old.id === record.id ? record : old);
    if (this.#predecessor !== undefined) this.#predecessor = own(this.#predecessor);
    this.#successors = this.#successors.map(own);
    this.#details++;
  }

  /** Takes a dead or departed node out. */
  remove(id: Id): void {
    if (this.#predecessor?.id === id) this.setPredecessor(undefined);
    this.#formers = this.#formers.filter((former) => former !== id);
    this.#details++;
    if (this.#assumed === id) this.#assumed = undefined;
    if (this.#successors.some((record) => record.id === id)) {
      this.#setSuccessors(this.#successors.filter((record) => record.id !== id));
    }
  }

  /** Whether a notifying node shall replace a predecessor that lives. */
  isCloser(candidate: Id): boolean {
    if (candidate === this.#self) return false;
    return this.#predecessor === undefined || between(this.#predecessor.id, candidate, this.#self);
  }

  #setSuccessors(list: readonly NodeRecord[]): void {
    const same =
      list.length === this.#successors.length && list.every((record, i) => record.id === this.#successors[i]?.id);
    if (!same || list.some((record, i) => record.incarnation !== this.#successors[i]?.incarnation)) this.#details++;
    this.#successors = list;
    if (same) return;
    this.#version++;
    this.#check();
  }

  /** Sorted by distance, without duplicates and without this node itself, at most r: for ever, whatever arrives. */
  #check(): void {
    if (this.#successors.length > this.#r) throw new Error('the successor list is too long');
    let reached = 0n;
    for (const record of this.#successors) {
      const away = distance(this.#self, record.id);
      if (away <= reached) throw new Error('the successor list is out of order');
      reached = away;
    }
  }
}
