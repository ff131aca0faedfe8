/** Whether a virtual node can be served, and what waits until it can. */

/** Messages of a P2P daemon that wait for the interface. */
const AWAITING_MAX = 64;

export class Readiness {
  #isReady = false;
  #awaiting: (() => void)[] = [];

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Carries out `task` at once, or when the node is ready. */
  whenReady(task: () => void): void {
    if (this.#isReady) task();
    else if (this.#awaiting.length < AWAITING_MAX) this.#awaiting.push(task);
  }

  begin(): void {
    this.#isReady = true;
    const tasks = this.#awaiting;
    this.#awaiting = [];
    for (const task of tasks) task();
  }

  end(): void {
    this.#isReady = false;
  }
}
