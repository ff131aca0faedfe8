/** Makes all programs of a benchmark equal before the scheduler, in whatever session each was started. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const AUTOGROUP = '/proc/sys/kernel/sched_autogroup_enabled';

let before: string | undefined;

/**
 * Autogroups share processors out by session: a daemon that has left its terminal then competes as one group with all of
 * the load's programs. What a variant reaches would depend on how its daemons are started. Affects programs started later.
 */
export function scheduleAlike(): void {
  if (!existsSync(AUTOGROUP)) return;
  before = readFileSync(AUTOGROUP, 'utf8');
  writeFileSync(AUTOGROUP, '0');
}

/** As it was. */
export function scheduleAsBefore(): void {
  if (before !== undefined) writeFileSync(AUTOGROUP, before);
  before = undefined;
}
