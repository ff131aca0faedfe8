/** Runs the seeds that it is told, one after another, in a process of its own. */
import { answerTasks } from './crew.ts';
import { type PlanOptions, randomPlan } from './random-plan.ts';
import { runPlan } from './run.ts';

export type Order = { readonly seed: number; readonly options: PlanOptions };

answerTasks(({ seed, options }: Order) => runPlan(randomPlan(seed, options)));
