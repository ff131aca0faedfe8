/** The P2P daemon is started as root, inside a network namespace, and needs nothing of it afterwards. */
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';

/** Becomes the user and group `uid` without supplementary groups. NOT_PERMITTED if that does not get rid of root. */
export function dropPrivileges(uid: number): Result<void> {
  const { setgroups, setgid, setuid, getuid, geteuid } = process;
  if (!setgroups || !setgid || !setuid || !getuid || !geteuid) {
    return fail('SYSTEM', 'The P2P daemon runs on systems with user ids only.');
  }
  if (uid === 0) return fail('NOT_PERMITTED', 'The P2P daemon does not run as root; give another --uid.');
  if (getuid() === 0 || geteuid() === 0) {
    try {
      setgroups([]);
      setgid(uid);
      setuid(uid);
    } catch (error) {
      return fail('NOT_PERMITTED', `The P2P daemon cannot become user ${uid}: ${(error as Error).message}.`);
    }
  }
  if (getuid() === uid && geteuid() === uid) return ok();
  return fail(
    'NOT_PERMITTED',
    `The P2P daemon is not user ${uid} and may not become it; start it as root or as that user.`,
  );
}
