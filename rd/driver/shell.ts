/** Runs the system's tools: bounded in time and output, errors as values. */
import { execFile } from 'node:child_process';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';

const TOOL_MS = 10_000;
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;

/** Standard output; SYSTEM with what the tool said where it ends with another code than 0. */
export function run(tool: string, args: readonly string[], input = ''): Promise<Result<string>> {
  const { promise, resolve } = Promise.withResolvers<Result<string>>();
  const options = { timeout: TOOL_MS, maxBuffer: OUTPUT_BYTES_MAX, killSignal: 'SIGKILL' } as const;
  const child = execFile(tool, [...args], options, (error, stdout, stderr) => {
    if (error === null) return resolve(ok(stdout));
    const said = stderr.trim().split('\n').slice(0, 3).join('; ') || error.message;
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    resolve(fail('SYSTEM', isMissing ? `The program '${tool}' is missing; install it.` : `${tool}: ${said}`));
  });
  // A tool that ends before it has read everything is told of by its exit code.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return promise;
}

/** One `ip` for many lines, in a namespace or in ours. */
export function ipBatch(netns: string | null, lines: readonly string[], family?: 6): Promise<Result<string>> {
  if (lines.length === 0) return Promise.resolve(ok(''));
  return run('ip', [...inNamespace(netns), ...(family === 6 ? ['-6'] : []), '-batch', '-'], `${lines.join('\n')}\n`);
}

/** The same, where each line may fail. */
export function ipBatchForced(netns: string | null, lines: readonly string[], family?: 6): Promise<Result<string>> {
  if (lines.length === 0) return Promise.resolve(ok(''));
  const args = [...inNamespace(netns), ...(family === 6 ? ['-6'] : []), '-force', '-batch', '-'];
  return run('ip', args, `${lines.join('\n')}\n`);
}

export function inNamespace(netns: string | null): string[] {
  return netns === null ? [] : ['-n', netns];
}

/** A command line that runs in a namespace. */
export function enter(netns: string | null, command: readonly string[]): string[] {
  return netns === null ? [...command] : ['nsenter', `--net=/run/netns/${netns}`, '--', ...command];
}
