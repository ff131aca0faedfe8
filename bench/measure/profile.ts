/** Where a process's processor time goes, by function, as perf samples it. */
import { join } from 'node:path';
import { run } from '../../cli/demo/namespaces.ts';
import { OverlayError } from '../../overlay/errors.ts';

export type FunctionShare = {
  /** Of the samples of the process, 0..1. */
  readonly share: number;
  readonly thread: string;
  /** Program, library, or the kernel. */
  readonly object: string;
  readonly name: string;
};

const SAMPLES_PER_SECOND = 997;
const SEPARATOR = '\u00a6';

/** Lines of `perf report` with the fields overhead, comm, dso and symbol. */
export function parsePerfReport(text: string): readonly FunctionShare[] {
  return text.split('\n').flatMap((line) => {
    const [overhead = '', thread = '', object = '', symbol = ''] = line.split(SEPARATOR).map((part) => part.trim());
    const share = /^([\d.]+)%$/.exec(overhead)?.[1];
    if (share === undefined) return [];
    // [k] and [.] say whether it is the kernel's.
    return [{ share: Number(share) / 100, thread, object, name: symbol.replace(/^\[.\]\s+/, '') }];
  });
}

/** Shares by program, library or kernel, the largest first. */
export function sharesByObject(functions: readonly FunctionShare[]): readonly (readonly [string, number])[] {
  const sums = new Map<string, number>();
  for (const { object, share } of functions) sums.set(object, (sums.get(object) ?? 0) + share);
  return [...sums].sort(([, a], [, b]) => b - a);
}

/** All functions that were seen, the largest share first. Works without hardware counters: the clock interrupts. */
export async function profile(pid: number, seconds: number, directory: string): Promise<readonly FunctionShare[]> {
  const file = join(directory, `perf-${pid}.data`);
  const where = ['-e', 'cpu-clock', '-F', String(SAMPLES_PER_SECOND), '-p', String(pid), '-o', file];
  const recorded = await run(['perf', 'record', ...where, '--', 'sleep', String(seconds)]);
  if (recorded.code !== 0) {
    throw new OverlayError('SYSTEM', `perf cannot sample here: ${recorded.stderr.trim().split('\n')[0] ?? ''}.`);
  }
  const format = ['--stdio', '--no-children', '-F', 'overhead,comm,dso,symbol', '-t', SEPARATOR];
  const report = await run(['perf', 'report', '-i', file, ...format]);
  const shares = parsePerfReport(report.stdout);
  if (shares.length === 0)
    throw new OverlayError('SYSTEM', `perf gave no samples: ${report.stderr.trim().slice(-200)}.`);
  return shares;
}
