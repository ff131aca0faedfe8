/** One machine of a world: a namespace, its directories, and the processes started on it by the real commands. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRORS, OverlayError } from '../../overlay/errors.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { NodeStatus, RdStatus } from '../../overlay/messages/control.ts';
import { valueOf } from '../command.ts';
import { askRd, rdAnswers } from '../rd-client.ts';
import { COMMAND_FILE } from '../rd-launch.ts';
import { Agent } from './agent-client.ts';
import { type Ran, run, within } from './namespaces.ts';

export type MachineOptions = {
  readonly name: string;
  readonly namespace: string;
  /** Holds run, data and logs; mode 0755, since P2P daemons run as another user. */
  readonly directory: string;
  /** Underlay addresses. */
  readonly ipv4: string;
  readonly ipv6: string;
};

/** Where `join` has the daemon log too, in a machine's directory. */
export const RD_LOG: string = join('data', 'rd.log');
const POLL_MS = 20;
const START_MS = 30_000;

export class Machine {
  readonly name: string;
  readonly namespace: string;
  readonly directory: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly run: string;
  readonly data: string;
  readonly #started = new Set<ChildProcess>();
  #isOver = false;
  #agent: Agent | undefined;

  constructor(options: MachineOptions) {
    this.name = options.name;
    this.namespace = options.namespace;
    this.directory = options.directory;
    this.ipv4 = options.ipv4;
    this.ipv6 = options.ipv6;
    this.run = join(options.directory, 'run');
    this.data = join(options.directory, 'data');
    mkdirSync(options.directory, { mode: 0o755 });
    mkdirSync(this.data, { mode: 0o700 });
  }

  /** Runs `p2pxbone` here to its end. */
  command(args: readonly string[]): Promise<Ran> {
    return run(within(this.namespace, [process.execPath, COMMAND_FILE, ...args]));
  }

  /** The same, and ends with an error that says what the command said if it fails. */
  async mustCommand(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.command(args);
    if (code === 0) return stdout;
    const said = stderr.trim().split('\n').at(-1) ?? '';
    throw new OverlayError('SYSTEM', `On ${this.name}, 'p2pxbone ${args[0]}' ended with ${code}: ${said}`);
  }

  /** Starts `p2pxbone` here as a daemon of its own session that logs to a file. */
  start(args: readonly string[], log: string): ChildProcess {
    return this.startProgram([COMMAND_FILE, ...args], log);
  }

  /** The same with a program of Node in place of `p2pxbone`. */
  startProgram(args: readonly string[], log: string): ChildProcess {
    if (this.#isOver) throw new OverlayError('SYSTEM', `${this.name} is being removed.`);
    const file = openSync(join(this.directory, log), 'a', 0o600);
    const [program = '', ...rest] = within(this.namespace, [process.execPath, ...args]);
    const child = spawn(program, rest, { detached: true, stdio: ['ignore', file, file], cwd: '/' });
    closeSync(file);
    child.on('error', () => undefined);
    child.unref();
    this.#started.add(child);
    child.once('close', () => this.#started.delete(child));
    return child;
  }

  /** Nothing is started any more, and what was started here is gone: also what has not come into the namespace yet. */
  async endPrograms(): Promise<void> {
    this.#isOver = true;
    await Promise.all(
      [...this.#started].map(async (child) => {
        const closed = once(child, 'close');
        child.ref();
        child.kill('SIGKILL');
        await closed;
      }),
    );
  }

  /** `rd start`; resolves when the daemon answers. */
  async startRd(args: readonly string[] = []): Promise<void> {
    const child = this.start(['rd', 'start', '--run', this.run, '--data', this.data, ...args], RD_LOG);
    await this.until('the resource daemon to answer', START_MS, async () => {
      if (child.exitCode !== null) throw new OverlayError('SYSTEM', `rd start ended: ${this.logTail(RD_LOG)}`);
      return existsSync(join(this.run, 'rd.sock')) && (await rdAnswers(this.run));
    });
  }

  /** SIGTERM to the daemon; resolves when its process is gone. */
  async stopRd(): Promise<void> {
    const { pid } = await this.status();
    process.kill(pid, 'SIGTERM');
    await this.until('the resource daemon to end', START_MS, () => Promise.resolve(!isAlive(pid)));
  }

  join(invitation: string, args: readonly string[] = []): Promise<Ran> {
    const where = ['--run', this.run, '--data', this.data];
    return this.command(['join', invitation, '--name', this.name, ...where, '--json', ...args]);
  }

  async mustJoin(invitation: string, args: readonly string[] = []): Promise<NodeStatus> {
    const { code, stdout, stderr } = await this.join(invitation, args);
    if (code === 0) return (JSON.parse(stdout) as { node: NodeStatus }).node;
    throw new OverlayError('SYSTEM', `On ${this.name}, join ended with ${code}: ${stderr.trim()}`);
  }

  async status(): Promise<RdStatus> {
    return valueOf(await askRd(this.run, { t: 'status' }, 'status', { timeoutMs: 10_000 }));
  }

  /** The node here, by the name of its VI where there are several. */
  async node(vi?: string): Promise<NodeStatus> {
    const { nodes } = await this.status();
    const node = nodes.find((other) => vi === undefined || other.vi.name === vi);
    if (node === undefined) throw new OverlayError('NOT_FOUND', `${this.name} has no node of ${vi ?? 'any VI'}.`);
    return node;
  }

  /** The process that serves and requests HTTP here; started at the first call. */
  async agent(): Promise<Agent> {
    this.#agent ??= await Agent.start(this.namespace, this.name);
    return this.#agent;
  }

  /** Lets go of the agent, which goes on. */
  releaseAgent(): void {
    this.#agent?.release();
    this.#agent = undefined;
  }

  /** SIGKILL to the daemon and its P2P daemons at one instant, as a power failure does. */
  async killDaemons(): Promise<void> {
    const { pid, nodes } = await this.status();
    this.kill([pid, ...nodes.map((node) => node.p2pdPid)]);
  }

  kill(pids: readonly (number | null)[]): void {
    for (const pid of pids) if (pid !== null && isAlive(pid)) process.kill(pid, 'SIGKILL');
  }

  /** The last lines of a log of this machine. */
  logTail(log: string, lines = 3): string {
    const path = join(this.directory, log);
    if (!existsSync(path)) return `${path} is missing`;
    return readFileSync(path, 'utf8').trim().split('\n').slice(-lines).join(' | ');
  }

  private async until(what: string, timeoutMs: number, holds: () => Promise<boolean>): Promise<void> {
    await untilTrue(`${what} on ${this.name}`, timeoutMs, POLL_MS, holds);
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A process that has ended and that nobody has waited for yet is gone for our purposes.
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Polls until it holds; TIMEOUT says what did not come about. */
export async function untilTrue(
  what: string,
  timeoutMs: number,
  pollMs: number,
  holds: () => Promise<boolean>,
): Promise<void> {
  const until = systemClock.now() + timeoutMs;
  while (!(await holds())) {
    if (systemClock.now() >= until) {
      throw new OverlayError('TIMEOUT', `Waited ${timeoutMs / 1000} s in vain for ${what}. ${ERRORS.TIMEOUT.text}`);
    }
    await sleep(pollMs);
  }
}
