/** Carries the steps of a plan out, and knows since when nothing disturbs the network. */
import type { Plan, Step } from './plan.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

/** While one of these lasts, some nodes cannot know what is true of others. */
const DISTURBING: ReadonlySet<Step['do']> = new Set(['pause', 'slow', 'cut', 'mute', 'hide', 'islands', 'weather']);

export class Faults {
  readonly #world: World;
  readonly #plan: Plan;
  #disturbances = 0;
  #calmSince = 0;
  /** When islands were joined again the last time. */
  healedAt: number = Number.NEGATIVE_INFINITY;
  /** Counts per machine and direction, since faults of one kind may overlap. */
  readonly #depths = new Map<string, number>();
  /** The latest pause of each node. */
  readonly #paused = new Map<SimNode, number>();
  #pauses = 0;

  constructor(world: World, plan: Plan) {
    this.#world = world;
    this.#plan = plan;
    for (const place of plan.steps.keys()) world.step((plan.steps[place] as Step).at, place);
    world.onStep = (place) => this.#begin(plan.steps[place] as Step);
  }

  /** Since when nothing disturbs; Infinity while something does. */
  get calmSince(): number {
    return this.#disturbances > 0 ? Number.POSITIVE_INFINITY : this.#calmSince;
  }

  #begin(step: Step): void {
    this.#do(step);
    if (!DISTURBING.has(step.do)) return;
    this.#disturbances++;
    this.#world.later(('forMs' in step ? step.forMs : undefined) ?? 0, () => {
      this.#disturbances--;
      this.#calmSince = this.#world.now;
    });
  }

  #do(step: Step): void {
    const world = this.#world;
    const node = 'node' in step ? this.#nodeOf(step.node) : undefined;
    switch (step.do) {
      case 'join':
        return node === undefined ? undefined : this.#join(node);
      case 'leave':
        return node?.alive === true ? world.leave(node) : undefined;
      case 'crash':
        if (node?.rd === undefined) return;
        world.kill(node);
        if (step.forMs !== undefined) world.later(step.forMs, () => world.revive(node, step.state));
        return;
      case 'p2pd':
        return node === undefined ? undefined : world.restartP2pd(node, step.forMs);
      case 'rd':
        return node === undefined ? undefined : world.restartRd(node, step.forMs);
      case 'pause':
        return node === undefined ? undefined : this.#pause(node, step.which, step.forMs);
      case 'slow':
        if (node === undefined) return;
        node.lagMs = step.lagMs;
        return world.later(step.forMs, () => {
          node.lagMs = 0;
        });
      case 'drift':
        if (node !== undefined) world.setClockRate(node, step.rate);
        return;
      case 'cut':
      case 'mute': {
        const [from, to] = [this.#nodeOf(step.from), this.#nodeOf(step.to)];
        if (from === undefined || to === undefined) return;
        const set = (isOn: boolean): void =>
          step.do === 'cut' ? world.cut(from, to, isOn) : world.mute(from, to, isOn);
        return this.#during(`${step.do} ${from.index} ${to.index}`, step.forMs, set);
      }
      case 'hide':
        if (node === undefined) return;
        return this.#during(`hide ${node.index}`, step.forMs, (isOn) =>
          isOn ? world.network.hide(node.index) : world.network.show(node.index),
        );
      case 'islands': {
        const islands = step.islands.map((island) => island.flatMap((index) => this.#nodeOf(index) ?? []));
        world.islands(islands);
        return world.later(step.forMs, () => {
          world.islands([]);
          this.healedAt = world.now;
        });
      }
      case 'weather': {
        const { loss, duplicate, reorder, jitterMs } = step;
        world.network.weather = { loss, duplicate, reorder, jitterMs };
        return world.later(step.forMs, () => {
          world.network.weather = { ...this.#plan.setting.weather };
        });
      }
      case 'manager':
        return this.#during('manager', step.forMs, (isDown) => world.managerUp(!isDown));
    }
  }

  #join(node: SimNode): void {
    if (node.rd !== undefined) return;
    if (node.rdLife === 0) this.#world.start(node);
    else this.#world.revive(node);
  }

  #pause(node: SimNode, which: 'p2pd' | 'rd' | 'both', forMs: number): void {
    if (!node.alive || node.isPaused) return;
    const pause = ++this.#pauses;
    this.#paused.set(node, pause);
    this.#world.pause(node, which);
    // A daemon that begins anew in the meantime may stand still as well; another pause may have followed.
    this.#world.later(forMs, () => {
      if (this.#paused.get(node) === pause) this.#world.resume(node);
    });
  }

  #during(what: string, forMs: number, set: (isOn: boolean) => void): void {
    const depth = this.#depths.get(what) ?? 0;
    this.#depths.set(what, depth + 1);
    if (depth === 0) set(true);
    this.#world.later(forMs, () => {
      const left = (this.#depths.get(what) ?? 1) - 1;
      this.#depths.set(what, left);
      if (left === 0) set(false);
    });
  }

  #nodeOf(index: number): SimNode | undefined {
    return this.#world.nodes[index];
  }
}
