/** Runs the seeds that it is told, one after another, in a process of its own. */
import { type PlanOptions, randomPlan } from './random-plan.ts';
import { runPlan } from './run.ts';

export type Order = { readonly seed: number; readonly options: PlanOptions };

process.on('message', ({ seed, options }: Order) => {
  process.send?.(runPlan(randomPlan(seed, options)));
});
