/**
 * The P2P daemon of one virtual node: started in the node's namespace, restarted when it ends, never two at once. One
 * that outlived an earlier resource daemon is taken over when it comes back to our socket in time.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { enter } from './shell.ts';

const BACKOFF_MS = 50;
const BACKOFF_MS_MAX = 5000;
/** One that ran so long starts the back-off anew. */
const STABLE_MS = 10_000;
/** How long an orphan has to come to our socket. */
const ADOPT_MS = 1500;
/** How long one that lost its connection has to say hello again. */
const RETURN_MS = 5000;
/** How long a new one has to say hello; doubled when it does not, since the machine may be busy with many. */
const HELLO_MS = 15_000;
const HELLO_MS_MAX = 120_000;
/** The least young generation of the garbage collector: these daemons make little garbage, and there may be many. */
const NODE_OPTIONS = ['--max-semi-space-size=1'];
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';
const STOP_MS = 1500;
const STOP_POLL_MS = 20;

/** The one that the command line uses too. It belongs to root, and is read before privileges are dropped. */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/p2pxbone', import.meta.url));
const MAIN_FILE = fileURLToPath(new URL(`../../p2pd/driver/main${extname(import.meta.filename)}`, import.meta.url));

export type P2pdOptions = {
  readonly socket: string;
  readonly vi: string;
  /** 16 hexadecimal digits. */
  readonly node: string;
  readonly netns: string | null;
  readonly uid: number;
  readonly logLevel: string;
  /** Remembers which process it is, for the next resource daemon. */
  readonly remember: (text: string) => void;
  /** What an earlier resource daemon remembered. */
  readonly remembered: string | undefined;
  readonly log: Log;
};

export class P2pdProcess {
  readonly #options: P2pdOptions;
  #child: ChildProcess | undefined;
  #pid: number | undefined;
  #startedAt = 0;
  #backoffMs = BACKOFF_MS;
  #helloMs = HELLO_MS;
  #timer: NodeJS.Timeout | undefined;
  #isStopping = false;
  /** An orphan may come to our socket before we look for it. */
  #isConnected = false;
  restarts = 0;

  constructor(options: P2pdOptions) {
    this.#options = options;
    const orphan = parseIdentity(options.remembered);
    if (orphan !== undefined && isRunning(orphan.pid, orphan.startTime)) this.#pid = orphan.pid;
  }

  /** The only process that may speak for this node. */
  get pid(): number | undefined {
    return this.#pid;
  }

  start(): void {
    if (this.#pid === undefined) this.#spawn();
    else if (!this.#isConnected) this.#await(ADOPT_MS);
  }

  /** It came to our socket and said hello. */
  connected(): void {
    this.#isConnected = true;
    this.#helloMs = HELLO_MS;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Its connection is gone. If it is our child, its end is told; if it is an orphan, it must be looked for. */
  disconnected(): void {
    // It may be news of an earlier process, told after its end.
    if (!this.#isConnected) return;
    this.#isConnected = false;
    if (this.#isStopping || this.#pid === undefined) return;
    if (this.#child === undefined && startTime(this.#pid) === undefined) this.#respawn();
    else this.#await(RETURN_MS);
  }

  /** From now on its end is expected. */
  retire(): void {
    this.#isStopping = true;
    clearTimeout(this.#timer);
  }

  async stop(): Promise<void> {
    this.retire();
    const pid = this.#pid;
    const started = pid === undefined ? undefined : startTime(pid);
    if (pid === undefined || started === undefined) return;
    kill(pid, 'SIGTERM');
    const until = systemClock.now() + STOP_MS;
    while (isRunning(pid, started) && systemClock.now() < until) await sleep(STOP_POLL_MS);
    if (isRunning(pid, started)) kill(pid, 'SIGKILL');
    while (isRunning(pid, started) && systemClock.now() < until + STOP_MS) await sleep(STOP_POLL_MS);
    this.#pid = undefined;
  }

  /** Kills it if it does not come to our socket in time, and starts another: a child's end is told, an orphan's not. */
  #await(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const { node, log } = this.#options;
      log.warn({ node, pid: this.#pid, ms }, 'the P2P daemon said no hello in time; ending it');
      if (this.#pid !== undefined) kill(this.#pid, 'SIGKILL');
      if (this.#child === undefined) this.#respawn();
    }, ms);
  }

  #respawn(): void {
    this.#child = undefined;
    this.#pid = undefined;
    this.#isConnected = false;
    if (this.#isStopping) return;
    this.restarts += 1;
    const lived = systemClock.now() - this.#startedAt;
    this.#backoffMs = lived > STABLE_MS ? BACKOFF_MS : Math.min(this.#backoffMs * 2, BACKOFF_MS_MAX);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#spawn(), this.#backoffMs);
  }

  #spawn(): void {
    const { socket, vi, node, netns, uid, logLevel, log, remember } = this.#options;
    const args = ['--socket', socket, '--vi', vi, '--node', node, '--uid', String(uid), '--log-level', logLevel];
    const [program, ...rest] = enter(netns, [process.execPath, ...NODE_OPTIONS, MAIN_FILE, ...args]);
    // It writes to our standard error itself: a pipe to us would break under it when we die. In a session of its own,
    // since Ctrl-C in our terminal must leave it time to hand over.
    const env = { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE };
    const child = attempt(() =>
      spawn(program as string, rest, { stdio: ['ignore', 2, 2], detached: true, cwd: '/', env }),
    );
    this.#startedAt = systemClock.now();
    if (child instanceof Error) {
      log.error({ node, error: child.message }, 'the P2P daemon cannot be started');
      return this.#respawn();
    }
    this.#child = child;
    this.#pid = child.pid;
    child.on('error', (error) => log.error({ node, error: error.message }, 'the P2P daemon cannot be started'));
    child.on('close', (code, signal) => {
      if (this.#child !== child) return;
      if (!this.#isStopping) log.warn({ node, code, signal }, 'the P2P daemon ended; starting it again');
      this.#respawn();
    });
    if (child.pid === undefined) return;
    this.#await(this.#helloMs);
    this.#helloMs = Math.min(this.#helloMs * 2, HELLO_MS_MAX);
    const started = startTime(child.pid);
    if (started !== undefined) remember(`${child.pid} ${started} ${bootId()}\n`);
  }
}

/** For the failures that Node does not tell by an event. */
function attempt<T>(task: () => T): T | Error {
  try {
    return task();
  } catch (error) {
    return error as Error;
  }
}

/** Of the running kernel's life only: after a reboot, numbers and times of processes name others. */
function parseIdentity(text: string | undefined): { pid: number; startTime: string } | undefined {
  const [, pid, startTime, boot] = /^(\d{1,9}) (\d+) (\S+)\n$/.exec(text ?? '') ?? [];
  if (pid === undefined || startTime === undefined || boot !== bootId()) return undefined;
  return { pid: Number(pid), startTime };
}

function bootId(): string {
  return readFileSync(BOOT_ID_FILE, 'utf8').trim();
}

/** When a process began, in the kernel's ticks: with the number, it names one process until the next reboot. */
function startTime(pid: number): string | undefined {
  try {
    const fields = afterName(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** The fields of /proc/PID/stat after the program's name, which may contain anything. */
function afterName(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function isRunning(pid: number, started: string): boolean {
  return startTime(pid) === started;
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}
