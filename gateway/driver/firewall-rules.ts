/** The firewall's rules that hand a router's forwarded packets to the gateway's queue. */
import { execFile } from 'node:child_process';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';

/** For both families. The mangle table sees packets before they are filtered. */
const PROGRAMS = ['iptables', 'ip6tables'] as const;
const FORWARDED = ['FORWARD'] as const;
/** Where a changed destination still decides about the way: what is for others is queued before it is routed. */
const UNROUTED = ['PREROUTING', '-m', 'addrtype', '--dst-type', 'UNICAST'] as const;

export class FirewallRules {
  readonly #rule: readonly string[];
  readonly #set: string[] = [];

  /** `bypass`: what is forwarded while nobody serves the queue goes on. `redirects`: the gateway changes destinations. */
  constructor(queue: number, bypass: boolean, redirects: boolean) {
    const target = ['-j', 'NFQUEUE', '--queue-num', String(queue), ...(bypass ? ['--queue-bypass'] : [])];
    this.#rule = [...(redirects ? UNROUTED : FORWARDED), '-m', 'comment', '--comment', 'p2pxbone-gateway', ...target];
  }

  commands(): readonly (readonly string[])[] {
    return PROGRAMS.map((program) => [program, '-w', '-t', 'mangle', '-A', ...this.#rule]);
  }

  async set(): Promise<Result<void>> {
    for (const [program = '', ...words] of this.commands()) {
      // One that was killed has left its own.
      const isThere = (await run(program, ['-w', '-t', 'mangle', '-C', ...this.#rule])) === undefined;
      const problem = isThere ? undefined : await run(program, words);
      if (problem !== undefined) {
        await this.remove();
        return fail('SYSTEM', `The firewall's rule could not be set: ${problem}`);
      }
      this.#set.push(program);
    }
    return ok();
  }

  /** Those that were set. */
  async remove(): Promise<void> {
    for (const program of this.#set.splice(0)) await run(program, ['-w', '-t', 'mangle', '-D', ...this.#rule]);
  }
}

/** What went wrong; undefined: nothing. */
function run(program: string, words: readonly string[]): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  execFile(program, words, (error, _, stderr) => {
    if (error === null) return resolve(undefined);
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    resolve(isMissing ? `${program} is not installed; install iptables, or set the rules yourself.` : stderr.trim());
  });
  return promise;
}
