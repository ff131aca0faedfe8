/** Work that nobody waits for. */
import type { Log } from '../../overlay/lib/log.ts';

/** Lets it go on by itself; a failure that it did not expect is told in the log and ends nothing else. */
export function inBackground(work: Promise<unknown>, log: Log): void {
  work.catch((error: unknown) => {
    log.error({ error: error instanceof Error ? error.stack : String(error) }, 'work in the background failed');
  });
}
