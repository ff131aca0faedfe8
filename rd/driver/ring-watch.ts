/** What the P2P daemon reports of the ring, and waiting for it. */
import { fail } from '../../overlay/errors.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { RingReportMessage } from '../../overlay/messages/p2pd-rd.ts';

export class RingWatch {
  #report: RingReportMessage = { phase: 'starting', predecessor: null, successors: [], fingers: [] };
  #isOver = false;
  readonly #watchers = new Set<() => void>();

  get report(): RingReportMessage {
    return this.#report;
  }

  get isOnRing(): boolean {
    return this.#report.phase === 'forming' || this.#report.phase === 'formed';
  }

  reported(report: RingReportMessage): void {
    this.#report = report;
    for (const watcher of this.#watchers) watcher();
  }

  /** The node is taken down: nobody need wait any more. */
  end(): void {
    this.#isOver = true;
    for (const watcher of this.#watchers) watcher();
  }

  /** Waits until the node is on the ring; each change of its phase is told. `problem`: what stands in the way. */
  async untilOnRing(
    limitMs: number,
    onPhase: (phase: string) => void,
    problem: () => string | null,
  ): Promise<Result<void>> {
    const until = systemClock.now() + limitMs;
    let told = '';
    while (!this.isOnRing) {
      if (this.#isOver) return fail('NOT_READY', 'The node was taken down before it was on the ring.');
      const left = until - systemClock.now();
      if (left <= 0) return fail('TIMEOUT', `The node found no place on the ring in time. ${problem() ?? ''}`.trim());
      if (this.#report.phase !== told) onPhase(this.#report.phase);
      told = this.#report.phase;
      await this.#nextReport(left);
    }
    return ok();
  }

  #nextReport(limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    this.#watchers.add(resolve);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#watchers.delete(resolve);
    });
  }
}
