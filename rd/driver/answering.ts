/** Whether a server answers: said once when it falls silent, and once when it is back. */
import type { Log } from '../../overlay/lib/log.ts';
import type { Result } from '../../overlay/lib/result.ts';

export class Answering {
  readonly #server: string;
  readonly #log: Log;
  #problem: string | null = null;

  /** `server`: with its article, as in a sentence. */
  constructor(server: string, log: Log) {
    this.#server = server;
    this.#log = log;
  }

  /** Why it does not answer, one sentence; null while it does. */
  get problem(): string | null {
    return this.#problem;
  }

  note(answer: Result<unknown>): void {
    const problem = answer.ok ? null : answer.message;
    if (problem !== null && this.#problem === null) this.#log.warn({ problem }, `no answer of ${this.#server}`);
    if (problem === null && this.#problem !== null) this.#log.info(`${this.#server} answers again`);
    this.#problem = problem;
  }
}
