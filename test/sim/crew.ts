/** Tasks for several processes at once: what takes a processor for long must not keep the process that shows it from answering. */
import { type ChildProcess, fork } from 'node:child_process';

export type CrewOptions<Task, Result> = {
  /** A module that calls answerTasks(). */
  readonly program: URL;
  readonly tasks: Iterable<Task>;
  readonly workers: number;
  /** Told of each as it ends, in no order. */
  readonly ended: (result: Result, task: Task) => void;
};

/** Resolves when all have ended; rejects when a process does so before. */
export async function runCrew<Task extends object, Result>(options: CrewOptions<Task, Result>): Promise<void> {
  const { program, tasks, workers, ended } = options;
  const waiting = tasks[Symbol.iterator]();
  const work = (worker: ChildProcess): Promise<void> =>
    new Promise((resolve, reject) => {
      let task: Task;
      const order = (): void => {
        const next = waiting.next();
        if (next.done === true) return resolve();
        task = next.value;
        worker.send(task);
      };
      worker.on('error', reject);
      worker.on('exit', (code) => reject(new Error(`a worker ended with ${code}`)));
      worker.on('message', (result: Result) => {
        ended(result, task);
        order();
      });
      order();
    });
  const crew = Array.from({ length: workers }, () => fork(program));
  const dismiss = (): void => {
    for (const worker of crew) worker.removeAllListeners('exit').kill('SIGKILL');
  };
  process.once('exit', dismiss);
  try {
    await Promise.all(crew.map(work));
  } finally {
    process.off('exit', dismiss);
    dismiss();
  }
}

/** The workers' side. `run` takes the tasks that runCrew was given. */
export function answerTasks(run: (task: never) => object): void {
  process.on('message', (task) => {
    process.send?.(run(task as never));
  });
}
