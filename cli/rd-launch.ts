/** Starts a resource daemon that goes on when the command has ended. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { fail } from '../overlay/errors.ts';
import { systemClock } from '../overlay/lib/clock.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import { rdAnswers } from './rd-client.ts';

export type LaunchOptions = {
  readonly run: string;
  /** Where the log goes: DATA/rd.log. */
  readonly data: string;
  readonly config?: string;
  readonly listen?: string;
};

const START_MS = 20_000;
const POLL_MS = 25;

/** The command itself, as a script for Node. */
export const COMMAND_FILE: string = fileURLToPath(new URL(`./main${extname(import.meta.filename)}`, import.meta.url));

/** The process id once the daemon answers; the failure carries what the daemon said. */
export async function launchRd(options: LaunchOptions): Promise<Result<number>> {
  const args = [COMMAND_FILE, 'rd', 'start', '--run', options.run, '--data', options.data];
  if (options.config !== undefined) args.push('--config', options.config);
  if (options.listen !== undefined) args.push('--listen', options.listen);
  const path = join(options.data, 'rd.log');
  let log: number;
  let offset: number;
  try {
    mkdirSync(options.data, { recursive: true, mode: 0o700 });
    log = openSync(path, 'a', 0o600);
    offset = statSync(path).size;
  } catch (error) {
    return fail('NOT_PERMITTED', `The data directory cannot be used: ${(error as Error).message}.`);
  }
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log, log], cwd: '/' });
  closeSync(log);
  let ended: number | null | undefined;
  child.on('error', () => {
    ended = 1;
  });
  child.on('exit', (code) => {
    ended = code;
  });
  for (const until = systemClock.wall() + START_MS; systemClock.wall() < until; await sleep(POLL_MS)) {
    if (ended !== undefined) return fail('SYSTEM', `The resource daemon ended at once: ${lastWords(path, offset)}`);
    if (await rdAnswers(options.run)) {
      child.unref();
      return ok(child.pid ?? 0);
    }
  }
  child.kill('SIGKILL');
  return fail('TIMEOUT', `The resource daemon does not answer after ${START_MS / 1000} s; see ${path}.`);
}

/** The last line of the log that is not empty, without the command's own prefix. */
function lastWords(path: string, offset: number): string {
  const text = readFileSync(path).subarray(offset).toString('utf8').trim();
  const line = text.split('\n').at(-1) ?? '';
  try {
    const entry = JSON.parse(line) as { msg?: unknown };
    return typeof entry.msg === 'string' ? entry.msg : line;
  } catch {
    return line.replace(/^p2pxbone: /, '') || `see ${path}.`;
  }
}
