/** How long it takes until another node answers for a key. */
import { setTimeout as sleep } from 'node:timers/promises';
import { OverlayError } from '../../overlay/errors.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Agent } from './agent-client.ts';

const REQUEST_EVERY_MS = 50;
const REQUEST_MS = 1000;

/**
 * Requests the address every 50 ms until `by` answers; milliseconds from the call to that answer. Requests overlap, so
 * that one which waits for a dead node does not hold up the next.
 */
export async function untilAnsweredBy(agent: Agent, address: string, by: string, timeoutMs: number): Promise<number> {
  const started = systemClock.now();
  const result: { answeredMs?: number; last: string } = { last: 'nobody' };
  const pending: Promise<void>[] = [];
  while (result.answeredMs === undefined && systemClock.now() - started < timeoutMs) {
    pending.push(
      agent.fetchOne(address, REQUEST_MS).then(
        (fetched) => {
          result.last = fetched.by ?? `nobody (${fetched.error ?? ''})`;
          if (fetched.by === by) result.answeredMs ??= systemClock.now() - started;
        },
        // The requests still under way when the answer has come outlive this call, and perhaps the client.
        (error: Error) => {
          result.last = `nobody (${error.message})`;
        },
      ),
    );
    await sleep(REQUEST_EVERY_MS);
  }
  if (result.answeredMs === undefined) {
    await Promise.all(pending);
    if (result.answeredMs === undefined) {
      throw new OverlayError(
        'TIMEOUT',
        `${by} does not answer at ${address} after ${timeoutMs} ms; last did ${result.last}.`,
      );
    }
  }
  return result.answeredMs;
}
