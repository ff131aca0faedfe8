/**
 * Watches a simulated ring: after every event what that event touched, at intervals everything. Some things must never
 * be; others may be for a bounded time, which does not run while the network itself is disturbed.
 */
import { distance, type Id } from '../../overlay/id.ts';
import { GRAVES_MAX, PEERS_MAX } from '../../p2pd/core/limits.ts';
import type { Faults } from './faults.ts';
import { invariantsHold } from './invariants.ts';
import { Ownership, partOf } from './ownership.ts';
import { loosePairs, lostPairs } from './pairing.ts';
import { NODE, type SimNode } from './sim-node.ts';
import { Spells } from './spells.ts';
import type { World } from './world.ts';

/** A key is delivered by nobody, or by two nodes, no longer than this, milliseconds. */
export const UNOWNED_MS_MAX = 20_000;
export const OWNED_TWICE_MS_MAX = 30_000;
/** After the base network was whole again there may be several rings for so long. */
export const MERGE_MS_MAX = 120_000;
/** The two ends of a tunnel disagree no longer than this. */
export const LOOSE_MS_MAX = 20_000;
/** Full looks are so far apart. */
const SWEEP_MS = 2000;
/** Above this number of nodes what concerns all of them waits for the sweep. */
const SMALL_MAX = 128;
/** In milliseconds: a formed node without company, or with a list that is too short, is repairing. */
const SHORT_MS_MAX = 30_000;

export type Findings = {
  /** Moments looked at, and those at which an invariant of the proof did not hold. */
  looks: number;
  broken: number;
  /** Longest time that any key was delivered by nobody, or twice, while nothing disturbed, milliseconds. */
  unownedMs: number;
  ownedTwiceMs: number;
  looseMs: number;
};

export class Broken extends Error {}

export class Referee {
  readonly #world: World;
  readonly #faults: Faults;
  readonly #proven: boolean;
  readonly #ownership = new Ownership();
  readonly #loose = new Spells();
  readonly #short = new Spells();
  readonly #versions: number[] = [];
  readonly #phases: (string | undefined)[] = [];
  #arePairsOld = true;
  readonly #owned: ({ readonly after: Id; readonly until: Id } | undefined)[] = [];
  #areOwnersOld = false;
  #areInvariantsOld = false;
  readonly findings: Findings = { looks: 0, broken: 0, unownedMs: 0, ownedTwiceMs: 0, looseMs: 0 };

  constructor(world: World, faults: Faults, proven: boolean) {
    this.#world = world;
    this.#faults = faults;
    this.#proven = proven;
    world.watch = {
      touched: (node) => this.#touched(node),
      rerouted: (node) => this.#rerouted(node),
      retunnelled: () => {
        this.#arePairsOld = true;
      },
    };
  }

  /** Runs the world for so long. Throws Broken with the first thing that is wrong. */
  run(ms: number): void {
    const end = this.#world.now + ms;
    while (this.#world.now < end) {
      this.#world.runUntil(Math.min(end, this.#world.now + SWEEP_MS));
      this.#sweep();
    }
  }

  /** What happens at one node. Called after each of its inputs. */
  #touched(node: SimNode): void {
    const ring = node.machine?.node?.ring;
    const version = ring?.chord.version ?? -1;
    const phase = ring?.phase;
    if (this.#versions[node.index] !== version || this.#phases[node.index] !== phase) {
      this.#versions[node.index] = version;
      this.#phases[node.index] = phase;
      if (ring !== undefined) this.#checkPointers(node);
      this.#areInvariantsOld = true;
    }
    if (this.#world.nodes.length > SMALL_MAX) return;
    if (this.#areInvariantsOld) this.#checkInvariants();
    if (this.#areOwnersOld) this.#checkOwners();
  }

  #rerouted(node: SimNode): void {
    this.#areInvariantsOld = true;
    const own = node.forwards ? node.forwarding?.own : undefined;
    const before = this.#owned[node.index];
    if (own?.after === before?.after && own?.until === before?.until) return;
    this.#owned[node.index] = own;
    this.#areOwnersOld = true;
  }

  /** What must be so at every member at every moment. */
  #checkPointers(node: SimNode): void {
    const { chord, phase } = node.machine?.node?.ring ?? {};
    if (chord === undefined) return;
    const { successors: r } = this.#world.vi.definition;
    if (chord.successors.length > r) this.#broken(`node ${node.index} has ${chord.successors.length} successors`);
    let reached = 0n;
    for (const { id } of chord.successors) {
      const away = distance(node.id, id);
      if (away <= reached) this.#broken(`node ${node.index} has successors that are out of order`);
      reached = away;
    }
    if (chord.predecessor?.id === node.id) this.#broken(`node ${node.index} is its own predecessor`);
    if (phase === 'formed' && chord.first === undefined)
      this.#broken(`node ${node.index} is formed and has no successor`);
  }

  #checkInvariants(): void {
    this.#areInvariantsOld = false;
    const holds = invariantsHold(this.#world);
    this.findings.looks++;
    if (holds === true) return;
    this.findings.broken++;
    if (this.#proven) this.#broken(`an invariant of the proof does not hold: ${holds}`);
  }

  #checkOwners(): void {
    this.#areOwnersOld = false;
    this.#ownership.renew(this.#world.nodes, this.#world.now);
  }

  #sweep(): void {
    if (this.#areInvariantsOld) this.#checkInvariants();
    if (this.#areOwnersOld) this.#checkOwners();
    for (const stretch of this.#ownership.wrong) this.#judgeStretch(stretch);
    if (this.#arePairsOld) this.#checkPairs();
    for (const [what, since] of this.#loose.renew(loosePairs(this.#world), this.#world.now)) {
      const ms = this.#calmFor(since);
      this.findings.looseMs = Math.max(this.findings.looseMs, ms);
      if (ms > LOOSE_MS_MAX) this.#broken(`${what}, for ${Math.round(ms)} ms`);
    }
    for (const [what, since] of this.#short.renew(this.#shortLists(), this.#world.now)) {
      if (this.#calmFor(since) > SHORT_MS_MAX) this.#broken(what);
    }
    for (const node of this.#world.nodes) this.#checkTables(node);
  }

  #checkPairs(): void {
    this.#arePairsOld = false;
    const lost = lostPairs(this.#world);
    if (lost !== undefined) this.#broken(lost);
  }

  #judgeStretch(stretch: { owners: number; since: number }): void {
    if (!this.#world.nodes.some((node) => node.member)) return;
    const ms = this.#calmFor(stretch.since);
    const part = partOf([stretch as never]).toFixed(4);
    if (stretch.owners === 0) {
      this.findings.unownedMs = Math.max(this.findings.unownedMs, ms);
      if (ms > UNOWNED_MS_MAX) this.#broken(`nobody delivers a part (${part}) of the keys for ${Math.round(ms)} ms`);
    } else if (this.#world.now > this.#faults.healedAt + MERGE_MS_MAX) {
      this.findings.ownedTwiceMs = Math.max(this.findings.ownedTwiceMs, ms);
      if (ms > OWNED_TWICE_MS_MAX) {
        this.#broken(`${stretch.owners} nodes deliver a part (${part}) of the keys for ${Math.round(ms)} ms`);
      }
    }
  }

  #shortLists(): string[] {
    const wrong: string[] = [];
    const members = this.#world.nodes.filter((node) => node.member && !node.isPaused);
    const { successors: r } = this.#world.vi.definition;
    for (const node of members) {
      const ring = node.machine?.node?.ring;
      if (ring?.phase !== 'formed' || members.length <= r) continue;
      if (ring.chord.successors.length < r) wrong.push(`node ${node.index} has a list that stays too short`);
    }
    return wrong;
  }

  #checkTables(node: SimNode): void {
    const { successors: r, tunnelsMax } = this.#world.vi.definition;
    const tables = node.machine?.node?.tables() ?? {};
    const limits: Record<string, number> = { peers: PEERS_MAX, graves: GRAVES_MAX, formers: 32, successors: r };
    for (const [name, size] of Object.entries(tables)) {
      if (size > (limits[name] ?? 256)) this.#broken(`node ${node.index} has ${size} ${name}`);
    }
    const tunnels = node.rd?.tunnels(NODE).length ?? 0;
    if (tunnels > tunnelsMax) this.#broken(`node ${node.index} has ${tunnels} tunnels`);
  }

  /** For how long that has been so, and nothing disturbed. */
  #calmFor(since: number): number {
    return Math.max(0, this.#world.now - Math.max(since, this.#faults.calmSince));
  }

  #broken(what: string): never {
    throw new Broken(what);
  }
}
