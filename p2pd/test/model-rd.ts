/**
 * A model of resource daemons and the base network between them: tunnels with a hold at each end, set-up times, keep-alive
 * time-outs, routes with staging and commits. It keeps to the P2PD–RD protocol as its messages document it.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import {
  ANSWER_HOLD_MS,
  P2PD_RD_VERSION,
  type RdRoute,
  type RdTunnel,
  type ToP2pd,
  type ToRd,
} from '../../overlay/messages/p2pd-rd.ts';
import type { ViConfig } from '../../overlay/vi.ts';

export type Hold = 'none' | 'neighbour' | 'answer';

/** One end of a tunnel, as its resource daemon keeps it. */
export type End = {
  readonly rd: ModelRd;
  readonly peer: ModelRd;
  readonly link: Link;
  hold: Hold;
  /** Held by an earlier life of the P2P daemon, not named yet. */
  stale: boolean;
  answerUntil: number;
};

/** A tunnel: up from the moment when it exists. */
export type Link = {
  readonly number: number;
  readonly ends: [End, End];
  readonly incarnations: readonly [number, number];
  alive: boolean;
};

/** What the model needs of the world around it. */
export type World = {
  readonly vi: ViConfig;
  now(): number;
  after(ms: number, run: () => void): void;
  /** One way on the base network, milliseconds. */
  delay(): number;
  /** Where the P2P daemon at an end of a tunnel listens. */
  endpoint(link: Link, side: 0 | 1): { address: string; port: number };
  port(rd: ModelRd): number;
  resolve(contact: Uint8Array): ModelRd | undefined;
  /** Base network between the two is whole. */
  connected(a: ModelRd, b: ModelRd): boolean;
  bootstrap(asker: ModelRd): { nodes: NodeRecord[]; found: boolean };
  linkUp(link: Link): void;
  linkDown(link: Link): void;
  left(rd: ModelRd): void;
};

const SILENCE_MS = 2000;
const GIVE_UP_MS = 6000;
const KEEP_ALIVE_MS = 500;

export class ModelRd {
  readonly id: Id;
  record: NodeRecord;
  alive = true;
  generation = 0;
  /** Commits that changed what was in effect. */
  publishes = 0;
  commits = 0;
  refusals = 0;
  /** When it was last alive. */
  heardAt = 0;
  report: Extract<ToRd, { t: 'ring.report' }> | undefined;
  lookups = new Map<number, Extract<ToRd, { t: 'lookup.answer' }>>();
  readonly ends = new Map<Id, End>();
  /** Tunnels being made, by peer. */
  readonly #making = new Map<Id, { hold: Hold; until: number }>();
  readonly #world: World;
  #routes = new Map<string, RdRoute>();
  #staged: { add?: RdRoute; remove?: string }[] = [];
  #session: ((message: ToP2pd) => void) | undefined;
  #swept = true;

  constructor(world: World, record: NodeRecord) {
    this.#world = world;
    this.id = record.id;
    this.record = record;
  }

  get routes(): RdRoute[] {
    return [...this.#routes.values()];
  }

  /** Tunnels that this end or the other holds. */
  get tunnels(): number {
    return this.ends.size;
  }

  connect(session: ((message: ToP2pd) => void) | undefined): void {
    this.#session = session;
    this.#staged = [];
  }

  tell(message: ToP2pd): void {
    this.#session?.(message);
  }

  handle(message: ToRd): void {
    switch (message.t) {
      case 'hello':
        return this.#hello();
      case 'contact.get': {
        const { contact, incarnation } = this.record;
        return this.tell({ t: 'contact', request: message.request, contact, incarnation });
      }
      case 'tunnel.add':
        return this.#add(message.key, message.contact, message.role);
      case 'tunnel.release': {
        const end = this.ends.get(message.key);
        const making = this.#making.get(message.key);
        if (making !== undefined) making.hold = 'none';
        if (end !== undefined) this.#dropHold(end);
        return;
      }
      case 'route.add': {
        const { after, until, to } = message;
        this.#staged.push({ add: { after, until, to } });
        return;
      }
      case 'route.delete':
        this.#staged.push({ remove: `${message.after}-${message.until}` });
        return;
      case 'routes.commit':
        return this.#commit(message.generation, message.count);
      case 'ring.report':
        this.report = message;
        return;
      case 'bootstrap.get':
        return this.#world.after(this.#world.delay(), () =>
          this.tell({ t: 'bootstrap', ...this.#world.bootstrap(this) }),
        );
      case 'lookup.answer':
        this.lookups.set(message.request, message);
        return;
      case 'measure':
        return this.tell({
          t: 'measured',
          request: message.request,
          rttMs: null,
          bitsPerSecond: null,
          error: 'PEER_UNREACHABLE',
        });
      case 'left':
        return this.#world.left(this);
    }
  }

  /** The process ends without a word. Peers notice by its silence. */
  die(): void {
    this.alive = false;
    this.heardAt = this.#world.now();
    this.#session = undefined;
    this.#making.clear();
    for (const end of this.ends.values()) this.#fallSilent(end);
  }

  /** A new process under the same id: it knows nothing of tunnels and routes. */
  restart(incarnation: number): void {
    this.alive = true;
    this.record = { ...this.record, incarnation };
    this.generation = 0;
    this.#routes = new Map();
    this.#staged = [];
    this.report = undefined;
    this.ends.clear();
  }

  /** Both ends of a tunnel have found that nothing comes through any more. */
  cut(end: End): void {
    this.#fallSilent(end);
    this.#fallSilent(otherEnd(end));
  }

  #hello(): void {
    const { vi } = this.#world;
    const port = this.#world.port(this);
    this.#swept = false;
    for (const end of this.ends.values()) end.stale = end.hold !== 'none';
    const tunnels = [...this.ends.values()].map((end) => this.#describe(end));
    const { generation, routes, record: node } = this;
    this.tell({ t: 'welcome', version: P2PD_RD_VERSION, vi, node, port, generation, tunnels, routes });
  }

  #add(key: Id, contact: Uint8Array, role: 'neighbour' | 'answer'): void {
    const end = this.ends.get(key);
    if (end !== undefined) {
      this.#takeHold(end, role);
      return this.tell({ t: 'tunnel.up', tunnel: this.#describe(end) });
    }
    const making = this.#making.get(key);
    if (making !== undefined) {
      if (role === 'neighbour' || making.hold === 'none') making.hold = role;
      return;
    }
    const attempt = { hold: role as Hold, until: this.#world.now() + GIVE_UP_MS };
    this.#making.set(key, attempt);
    this.#try(key, contact, attempt);
  }

  /** An association and a con_req: some round trips. */
  #try(key: Id, contact: Uint8Array, attempt: { hold: Hold; until: number }): void {
    const world = this.#world;
    const roundTrips = world.delay() * 6;
    world.after(roundTrips, () => {
      if (!this.alive || this.#making.get(key) !== attempt) return;
      const peer = world.resolve(contact);
      if (peer?.id === key && peer.alive && world.connected(this, peer)) {
        this.#making.delete(key);
        return this.#establish(peer, attempt.hold);
      }
      if (world.now() < attempt.until) return this.#try(key, contact, attempt);
      this.#making.delete(key);
      this.tell({ t: 'failed', key, code: 'PEER_UNREACHABLE' });
    });
  }

  #establish(peer: ModelRd, hold: Hold): void {
    if (hold === 'none') return;
    const old = peer.ends.get(this.id);
    const existing = this.ends.get(peer.id);
    if (existing !== undefined) {
      this.#takeHold(existing, hold);
      return this.tell({ t: 'tunnel.up', tunnel: this.#describe(existing) });
    }
    // Where the peer still has a tunnel to an earlier life of ours, its hold lives on in the new one.
    const peerHold = old?.hold ?? 'none';
    if (old !== undefined) {
      old.link.alive = false;
      this.#world.linkDown(old.link);
    }
    const ends: End[] = [];
    const link = {
      number: 0,
      ends: ends as unknown as [End, End],
      incarnations: [this.record.incarnation, peer.record.incarnation] as const,
      alive: true,
    };
    const never = Number.POSITIVE_INFINITY;
    ends.push({ rd: this, peer, link, hold: 'none', stale: false, answerUntil: never });
    ends.push({ rd: peer, peer: this, link, hold: peerHold, stale: false, answerUntil: never });
    this.ends.set(peer.id, link.ends[0]);
    peer.ends.set(this.id, link.ends[1]);
    this.#takeHold(link.ends[0], hold);
    this.#world.linkUp(link);
    peer.#adopted(link.ends[1]);
    this.#world.after(this.#world.delay(), () => {
      if (link.alive && this.ends.get(peer.id) === link.ends[0]) {
        this.tell({ t: 'tunnel.up', tunnel: this.#describe(link.ends[0]) });
      }
    });
  }

  /** The peer made the tunnel; an attempt of our own at the same time has come to its end. */
  #adopted(end: End): void {
    const making = this.#making.get(end.peer.id);
    this.#making.delete(end.peer.id);
    if (making !== undefined && making.hold !== 'none') this.#takeHold(end, making.hold);
    this.tell({ t: 'tunnel.up', tunnel: this.#describe(end) });
  }

  #takeHold(end: End, role: Hold): void {
    end.stale = false;
    if (role === 'answer' && end.hold === 'neighbour') return;
    end.hold = role;
    end.answerUntil = Number.POSITIVE_INFINITY;
    if (role !== 'answer') return;
    const until = this.#world.now() + ANSWER_HOLD_MS;
    end.answerUntil = until;
    this.#world.after(ANSWER_HOLD_MS, () => {
      if (end.hold === 'answer' && end.answerUntil === until && end.link.alive) this.#dropHold(end);
    });
  }

  #dropHold(end: End): void {
    end.hold = 'none';
    end.stale = false;
    this.#world.after(this.#world.delay(), () => {
      const { link } = end;
      if (!link.alive || link.ends.some(({ hold }) => hold !== 'none')) return;
      link.alive = false;
      this.#world.linkDown(link);
      for (const { rd, peer } of link.ends) {
        if (rd.ends.get(peer.id)?.link !== link) continue;
        rd.ends.delete(peer.id);
        rd.tell({ t: 'tunnel.down', key: peer.id, reason: 'released' });
      }
    });
  }

  #fallSilent(end: End): void {
    const other = otherEnd(end);
    this.#world.after(SILENCE_MS + (this.#world.delay() % 1) * KEEP_ALIVE_MS, () => {
      const { rd, peer } = other;
      if (rd.ends.get(peer.id) !== other) return;
      end.link.alive = false;
      this.#world.linkDown(end.link);
      rd.ends.delete(peer.id);
      rd.tell({ t: 'tunnel.down', key: peer.id, reason: 'peer-dead' });
    });
  }

  #describe(end: End): RdTunnel {
    const side = end === end.link.ends[0] ? 0 : 1;
    const record = { ...end.peer.record, incarnation: end.link.incarnations[1 - side] as number };
    return {
      key: end.peer.id,
      peer: record,
      local: this.#world.endpoint(end.link, side),
      remote: this.#world.endpoint(end.link, side === 0 ? 1 : 0),
      held: end.hold !== 'none',
      ready: true,
    };
  }

  #commit(generation: number, count: number): void {
    const table = new Map(this.#routes);
    for (const change of this.#staged) {
      if (change.remove !== undefined) table.delete(change.remove);
      if (change.add !== undefined) table.set(`${change.add.after}-${change.add.until}`, change.add);
    }
    this.#staged = [];
    if (table.size !== count || generation <= this.generation || !tiles([...table.values()])) {
      this.refusals++;
      return this.tell({ t: 'routes.refused', generation, code: 'CONFLICT' });
    }
    this.commits++;
    if (!sameTable(table, this.#routes)) this.publishes++;
    this.#routes = table;
    this.generation = generation;
    this.tell({ t: 'routes.committed', generation });
    if (this.#swept) return;
    this.#swept = true;
    for (const end of this.ends.values()) if (end.stale) this.#dropHold(end);
  }
}

export function otherEnd(end: End): End {
  return end.link.ends[0] === end ? end.link.ends[1] : end.link.ends[0];
}

/** Whether every id lies in exactly one of the routes. */
export function tiles(routes: readonly RdRoute[]): boolean {
  const sorted = [...routes].sort((a, b) => (a.until < b.until ? -1 : 1));
  return sorted.every((route, i) => {
    const before = sorted.at(i - 1) as RdRoute;
    return route.after === before.until && (sorted.length === 1 || route.after !== route.until);
  });
}

function sameTable(a: ReadonlyMap<string, RdRoute>, b: ReadonlyMap<string, RdRoute>): boolean {
  return a.size === b.size && [...a].every(([key, route]) => b.get(key)?.to === route.to);
}
