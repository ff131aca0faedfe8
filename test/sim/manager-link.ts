/** What simulated resource daemons and the overlay manager say to each other, and whether they can. */
import { KIND } from './events.ts';
import type { ManagerAnswer, ManagerRequest } from './manager.ts';
import { NODE, type SimNode } from './sim-node.ts';
import type { World } from './world.ts';

/** One way to the overlay manager, milliseconds. */
const MANAGER_MS = 10;
/** A request to one that is down fails after this, milliseconds. */
const REFUSED_MS = 100;

export class ManagerLink {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  reaches(node: SimNode): boolean {
    if (!this.#world.manager.isUp || !node.forwards) return false;
    return this.#world.managerIsEverywhere || this.#world.network.onMainland(node.index);
  }

  /** Whether the overlay manager hears of it, and as what. */
  hear(node: SimNode): void {
    if (this.reaches(node)) {
      node.heardAt = Number.POSITIVE_INFINITY;
      const { phase } = node.report ?? {};
      this.#world.manager.beat(node.index, phase === 'forming' || phase === 'formed');
    } else if (node.heardAt === Number.POSITIVE_INFINITY) node.heardAt = this.#world.now;
  }

  ask(node: SimNode, request: ManagerRequest): void {
    this.#world.post(MANAGER_MS, KIND.TO_MANAGER, node.index, node.rdLife, request);
  }

  onRequest(node: SimNode, life: number, request: ManagerRequest): void {
    if (node.rdLife !== life) return;
    const ms = this.reaches(node) ? MANAGER_MS : REFUSED_MS;
    // One that is out of reach gets its own request back.
    const answer = this.reaches(node) ? this.#world.manager.answer(node.index, request) : request;
    this.#world.post(ms, KIND.FROM_MANAGER, node.index, life, answer);
  }

  onAnswer(node: SimNode, answer: ManagerAnswer | ManagerRequest): void {
    if (answer.kind === 'bootstrap') {
      const told =
        'nodes' in answer
          ? { nodes: answer.nodes, found: answer.found }
          : { nodes: node.remembered.slice(), found: false };
      return this.#world.resourceDaemons.input(node, {
        kind: 'p2pd.send',
        node: NODE,
        message: { t: 'bootstrap', ...told },
      });
    }
    const msLeft = 'msLeft' in answer ? answer.msLeft : 0;
    const pairs = 'msLeft' in answer ? answer.pairs : undefined;
    if (answer.kind === 'keep')
      return this.#world.resourceDaemons.input(node, { kind: 'leases.kept', node: NODE, pairs, msLeft });
    return this.#world.resourceDaemons.input(node, {
      kind: 'leases',
      node: NODE,
      request: answer.request,
      pairs,
      msLeft,
    });
  }
}
