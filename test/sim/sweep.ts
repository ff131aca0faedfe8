/** Many seeds on all processors. */
import { type ChildProcess, fork } from 'node:child_process';
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

/** Resolves when all have ended. */
export async function sweep({ from, to, plan, workers, ended }: SweepOptions): Promise<void> {
  let next = from;
  const work = (worker: ChildProcess): Promise<void> =>
    new Promise((resolve, reject) => {
      const order = (): void => {
        if (next > to) return resolve();
        worker.send({ seed: next++, options: plan } satisfies Order);
      };
      worker.on('error', reject);
      worker.on('exit', (code) => reject(new Error(`a worker ended with ${code}`)));
      worker.on('message', (outcome: Outcome) => {
        ended(outcome);
        order();
      });
      order();
    });
  const crew = Array.from({ length: Math.min(workers, to - from + 1) }, () =>
    fork(new URL('./worker.ts', import.meta.url)),
  );
  try {
    await Promise.all(crew.map(work));
  } finally {
    for (const worker of crew) worker.removeAllListeners('exit').kill();
  }
}
