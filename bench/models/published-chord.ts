/**
 * Chord as it was published (Stoyan et al., SIGCOMM 2001, figure 7), each node once in a period: stabilise, notify, and
 * look up one finger. With `setUpMs` it is the Chord of the P2P-XBone paper's evaluation (section III-A): who has found a
 * neighbour idles for as long as its resource daemon takes to make the tunnel, and knows the neighbour only then.
 *
 * It has no successor lists: nobody dies in figure 5.
 */
import { between, distance, fingerTarget, ID_BITS, type Id, inRange } from '../../overlay/id.ts';
import { below, fraction, type Rng, seededRng } from '../../overlay/lib/rng.ts';
import type { Latency } from '../../test/sim/base-network.ts';
import { type Event, EventQueue } from '../../test/sim/queue.ts';

export type PublishedChordOptions = {
  readonly seed: number;
  readonly ids: readonly Id[];
  readonly latency: Latency;
  readonly periodMs: number;
  /** undefined: neighbours need no tunnel. */
  readonly setUpMs?: number;
};

type Member = {
  readonly id: Id;
  successor: number | undefined;
  predecessor: number | undefined;
  readonly fingers: Map<number, number>;
  nextFinger: number;
  readonly tunnels: Set<number>;
};

const HOPS_MAX = 64;
const JOIN_AGAIN_MS = 500;

export class PublishedChord {
  readonly #options: PublishedChordOptions;
  readonly #members: Member[];
  readonly #queue = new EventQueue();
  readonly #rng: Rng;
  readonly #joined: number[] = [];
  #now = 0;

  constructor(options: PublishedChordOptions) {
    this.#options = options;
    this.#rng = seededRng(options.seed);
    this.#members = options.ids.map((id) => ({
      id,
      successor: undefined,
      predecessor: undefined,
      fingers: new Map(),
      nextFinger: ID_BITS - 1,
      tunnels: new Set(),
    }));
  }

  /** Joins through a member at random; the first one founds the ring. */
  join(index: number): void {
    if (this.#joined.length === 0) return this.#enter(index, index);
    const gate = this.#joined[below(this.#rng, this.#joined.length)] as number;
    const give = (successor: number): void => this.#meet(index, successor, () => this.#enter(index, successor));
    let isAnswered = false;
    this.#send(index, gate, () =>
      this.#find(gate, this.#member(index).id, index, 0, (successor) => {
        isAnswered = true;
        give(successor);
      }),
    );
    this.#after(JOIN_AGAIN_MS * 4, () => (isAnswered ? undefined : this.join(index)));
  }

  runUntil(instant: number): void {
    const event: Event = { at: 0, kind: 0, node: 0, extra: 0, body: undefined };
    while (this.#queue.next <= instant) {
      this.#queue.pop(event);
      this.#now = event.at;
      (event.body as () => void)();
    }
    this.#now = instant;
  }

  /** Whether a packet from one node to another would get there, by everybody's neighbours at this moment. */
  hasPath(from: number, to: number): boolean {
    const { id } = this.#member(to);
    let at = from;
    for (let hops = 0; hops < HOPS_MAX; hops++) {
      if (at === to) return true;
      const { successor } = this.#member(at);
      if (successor === undefined) return false;
      const isNext = inRange({ after: this.#member(at).id, until: this.#member(successor).id }, id);
      if (isNext) return successor === to;
      at = this.#closestBefore(at, id);
    }
    return false;
  }

  #enter(index: number, successor: number): void {
    const member = this.#member(index);
    member.successor = successor;
    this.#joined.push(index);
    this.#stabilise(index);
    const { periodMs } = this.#options;
    const again = (): void => {
      this.#stabilise(index);
      this.#fixFinger(index);
      this.#after(periodMs, again);
    };
    this.#after(periodMs * fraction(this.#rng), again);
  }

  #stabilise(index: number): void {
    const member = this.#member(index);
    const { successor } = member;
    if (successor === undefined) return;
    const settle = (candidate: number | undefined): void => {
      const isCloser =
        candidate !== undefined &&
        candidate !== index &&
        between(member.id, this.#member(candidate).id, this.#member(member.successor as number).id);
      if (!isCloser) return this.#notify(index);
      this.#meet(index, candidate, () => {
        const { id } = this.#member(member.successor as number);
        if (between(member.id, this.#member(candidate).id, id)) member.successor = candidate;
        this.#notify(index);
      });
    };
    if (successor === index) return settle(member.predecessor);
    this.#send(index, successor, () => {
      const { predecessor } = this.#member(successor);
      this.#send(successor, index, () => settle(predecessor));
    });
  }

  #notify(index: number): void {
    const { id, successor } = this.#member(index);
    if (successor === undefined || successor === index) return;
    this.#send(index, successor, () => {
      const other = this.#member(successor);
      const { predecessor } = other;
      if (predecessor === undefined || between(this.#member(predecessor).id, id, other.id)) other.predecessor = index;
    });
  }

  /** The next one that is not the successor anyway. */
  #fixFinger(index: number): void {
    const member = this.#member(index);
    const { successor } = member;
    if (successor === undefined || successor === index) return;
    const bit = member.nextFinger;
    const target = fingerTarget(member.id, bit);
    const isTrivial = inRange({ after: member.id, until: this.#member(successor).id }, target);
    member.nextFinger = isTrivial || bit === 0 ? ID_BITS - 1 : bit - 1;
    if (isTrivial) {
      member.fingers.delete(bit);
      return;
    }
    this.#find(index, target, index, 0, (owner) => this.#meet(index, owner, () => member.fingers.set(bit, owner)));
  }

  /** Passed on from node to node; the answer goes straight to who asked. */
  #find(at: number, id: Id, asker: number, hops: number, done: (owner: number) => void): void {
    const { id: own, successor } = this.#member(at);
    if (successor === undefined || hops > HOPS_MAX) return;
    if (inRange({ after: own, until: this.#member(successor).id }, id)) {
      return this.#send(at, asker, () => done(successor));
    }
    const next = this.#closestBefore(at, id);
    this.#send(at, next, () => this.#find(next, id, asker, hops + 1, done));
  }

  #closestBefore(at: number, id: Id): number {
    const { id: own, successor, fingers } = this.#member(at);
    let best = successor as number;
    for (const finger of fingers.values()) {
      const candidate = this.#member(finger).id;
      const isBefore = between(own, candidate, id);
      if (isBefore && distance(own, candidate) > distance(own, this.#member(best).id)) best = finger;
    }
    return best;
  }

  /** Goes on when there is a tunnel between the two. */
  #meet(a: number, b: number, then: () => void): void {
    const { setUpMs } = this.#options;
    const { tunnels } = this.#member(a);
    if (setUpMs === undefined || a === b || tunnels.has(b)) return then();
    this.#after(setUpMs + 2 * this.#options.latency(a, b), () => {
      tunnels.add(b);
      this.#member(b).tunnels.add(a);
      then();
    });
  }

  #send(from: number, to: number, arrive: () => void): void {
    this.#after(from === to ? 0 : this.#options.latency(from, to), arrive);
  }

  #after(ms: number, run: () => void): void {
    this.#queue.push(this.#now + ms, 0, 0, 0, run);
  }

  #member(index: number): Member {
    return this.#members[index] as Member;
  }
}
