/** Two base nodes in network namespaces, and what is asked of their daemons: for tests that need the superuser. */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { encodeFrame, FrameReader } from '../../overlay/frames.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import {
  type FromControl,
  fromControlCodec,
  type NodeStatus,
  type ToControl,
  toControlCodec,
} from '../../overlay/messages/control.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COMMAND_FILE = join(ROOT, 'cli/main.ts');
const ADDON_FILE = join(ROOT, 'native/build/p2pxbone.node');
const END_MS = 15_000;
const OM_PORT = 8443;

/** Why these tests cannot run here; undefined where they can. */
export function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces and TAP devices';
  if (!existsSync('/dev/net/tun')) return 'needs /dev/net/tun';
  return existsSync(ADDON_FILE) ? undefined : 'needs the native part built';
}

export type Started = {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
};

/** A process of ours in a namespace of this lab. */
function start(netns: string, args: readonly string[], uid?: number): Started {
  const command = [`--net=/run/netns/${netns}`, '--', process.execPath, ...args];
  const options = { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' } as const satisfies SpawnOptions;
  const child =
    uid === undefined
      ? spawn('nsenter', command, options)
      : spawn(process.execPath, args, { ...options, uid, gid: uid });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.on('exit', (code) => resolve(code));
  return { child, output: () => text, ended: promise };
}

export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const limit = systemClock.now() + ms;
  while (!(await condition())) {
    if (systemClock.now() > limit) throw new Error(`not in ${ms} ms: ${what}`);
    await sleep(20);
  }
}

export class Lab {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'pxb-rd-'));
  readonly hosts: readonly [string, string];
  readonly #started: Started[] = [];

  constructor() {
    // P2P daemons must be able to reach their socket.
    chmodSync(this.directory, 0o755);
    const unique = process.pid.toString(36);
    this.hosts = [`pxr${unique}a`, `pxr${unique}b`];
    const [a, b] = this.hosts;
    for (const host of this.hosts) this.ip('netns', 'add', host);
    this.ip('-n', a, 'link', 'add', 'under', 'type', 'veth', 'peer', 'name', 'under', 'netns', b);
    this.hosts.forEach((host, index) => {
      this.ip('-n', host, 'link', 'set', 'lo', 'up');
      this.ip('-n', host, 'addr', 'add', `192.0.2.${index + 1}/24`, 'dev', 'under');
      this.ip('-n', host, 'link', 'set', 'under', 'up');
    });
  }

  ip(...args: string[]): string {
    return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Runs `ip` in a host's namespace. */
  inside(host: string, ...args: string[]): string {
    return this.ip('-n', host, ...args);
  }

  data(host: string): string {
    return join(this.directory, host);
  }

  run(host: string): string {
    return join(this.directory, `${host}-run`);
  }

  /** The overlay manager, on the first host, with one VI `lab`; the text of an invitation for many. */
  async startOm(): Promise<string> {
    const data = join(this.directory, 'om');
    const [host] = this.hosts;
    const om = start(host, [COMMAND_FILE, 'om', 'start', '--data', data, '--listen', `192.0.2.1:${OM_PORT}`]);
    this.#started.push(om);
    await until('the overlay manager listens', () => om.output().includes('listening'));
    this.command(host, 'vi', 'create', 'lab', '--data', data);
    const text = this.command(host, 'invite', 'lab', '--uses', '9', '--data', data);
    return /pxb1_[\w-]+/.exec(text)?.[0] ?? '';
  }

  command(host: string, ...args: string[]): string {
    const command = [`--net=/run/netns/${host}`, '--', process.execPath, COMMAND_FILE, ...args];
    return execFileSync('nsenter', command, { encoding: 'utf8', cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  startRd(host: string, uid?: number, run: string = this.run(host)): Started {
    const rd = start(host, [COMMAND_FILE, 'rd', 'start', '--data', this.data(host), '--run', run], uid);
    this.#started.push(rd);
    return rd;
  }

  async startRdAndWait(host: string): Promise<Started> {
    const rd = this.startRd(host);
    await until('the resource daemon is ready', () => rd.output().includes('resource daemon ready'));
    return rd;
  }

  /** One question on the control socket. */
  ask(host: string, question: ToControl): Promise<FromControl> {
    const { promise, resolve, reject } = Promise.withResolvers<FromControl>();
    const socket = connect(join(this.run(host), 'rd.sock'));
    const reader = new FrameReader();
    socket.on('connect', () => socket.write(encodeFrame(toControlCodec.encode(question))));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the daemon closed the connection')));
    socket.on('data', (bytes: Uint8Array) => {
      const frames = reader.push(bytes);
      if (!frames.ok) return reject(new Error(frames.message));
      for (const frame of frames.value) {
        const answer = fromControlCodec.decode(frame);
        if (!answer.ok) reject(new Error(answer.message));
        else if (answer.value.t !== 'progress') resolve(answer.value);
      }
    });
    return promise.finally(() => socket.destroy());
  }

  async node(host: string): Promise<NodeStatus> {
    const status = await this.ask(host, { t: 'status' });
    const node = status.t === 'status' ? status.nodes[0] : undefined;
    if (node === undefined) throw new Error(`no node on ${host}`);
    return node;
  }

  async join(host: string, invitation: string, name: string): Promise<NodeStatus> {
    const answer = await this.ask(host, { t: 'join', invitation, name });
    if (answer.t !== 'joined') throw new Error(`not joined: ${JSON.stringify(answer)}`);
    return answer.node;
  }

  /** How many of so many pings, `everyMs` apart, were answered. */
  ping(host: string, address: string, count: number, everyMs: number): Promise<number> {
    const args = ['-n', '-q', '-c', String(count), '-i', String(everyMs / 1000), '-W', '1', address];
    const child = spawn('nsenter', [`--net=/run/netns/${host}`, '--', 'ping', ...args]);
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    const { promise, resolve } = Promise.withResolvers<number>();
    child.on('close', () => resolve(Number(/(\d+) received/.exec(text)?.[1] ?? 0)));
    return promise;
  }

  async stop({ child, ended }: Started, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    child.kill(signal);
    const code = await Promise.race([ended, sleep(END_MS, 'late', { ref: false })]);
    if (code === 'late') throw new Error(`the process did not end on ${signal}`);
    return code as number | null;
  }

  /** Ends what still runs and removes everything. */
  async close(): Promise<void> {
    for (const { child, ended } of this.#started) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await ended;
    }
    // Those that their daemons made begin with a host's name.
    const left = this.ip('netns', 'list').split(/\s/);
    for (const host of left.filter((name) => this.hosts.some((own) => name.startsWith(own)))) {
      // P2P daemons whose resource daemon was killed end with their namespace's processes.
      for (const pid of this.ip('netns', 'pids', host).split('\n').filter(Boolean))
        process.kill(Number(pid), 'SIGKILL');
      this.ip('netns', 'del', host);
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
