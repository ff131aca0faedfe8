/** Many seeds on all processors. */
import { runCrew } from './crew.ts';
import type { PlanOptions } from './random-plan.ts';
import type { Outcome } from './run.ts';
import type { Order } from './worker.ts';

export type SweepOptions = {
  readonly from: number;
  readonly to: number;
  readonly plan: PlanOptions;
  readonly workers: number;
  /** Told of each as it ends, in no order. */
  readonly ended: (outcome: Outcome) => void;
};

function* ordersOf({ from, to, plan }: SweepOptions): Generator<Order> {
  for (let seed = from; seed <= to; seed++) yield { seed, options: plan };
}

/** Resolves when all have ended. */
export function sweep(options: SweepOptions): Promise<void> {
  const { from, to, workers, ended } = options;
  const program = new URL('./worker.ts', import.meta.url);
  return runCrew({ program, tasks: ordersOf(options), workers: Math.min(workers, to - from + 1), ended });
}
