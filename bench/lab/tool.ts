/** The programs of bench/tools, started in namespaces. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { within } from '../../cli/demo/namespaces.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { mustRun } from './lab.ts';

const READY_MS = 20_000;

/** Path of a tool; scripts/setup.sh has built it. */
export function toolPath(name: string): string {
  return fileURLToPath(new URL(`../tools/build/${name}`, import.meta.url));
}

/** Runs a tool to its end and gives the JSON that it prints. */
export async function askTool<T>(namespace: string, name: string, args: readonly string[]): Promise<T> {
  return JSON.parse(await mustRun(namespace, [toolPath(name), ...args])) as T;
}

/** A program that prints "ready" and works until its standard input ends. */
export class Listener {
  readonly pid: number;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ended: Promise<void>;
  #output = '';
  #errors = '';

  private constructor(namespace: string, command: readonly string[]) {
    const [program = '', ...rest] = within(namespace, command);
    this.#child = spawn(program, rest, { stdio: 'pipe' });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', () => resolve());
      this.#child.on('close', () => resolve());
    });
  }

  /** Resolves when `ready` is in its output. */
  static async start(namespace: string, command: readonly string[], ready = 'ready\n'): Promise<Listener> {
    const listener = new Listener(namespace, command);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    listener.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      listener.#output += text;
      if (listener.#output.includes(ready)) resolve(true);
    });
    const timer = setTimeout(() => resolve(false), READY_MS);
    void listener.#ended.then(() => resolve(false));
    const isReady = await promise;
    clearTimeout(timer);
    if (isReady) return listener;
    listener.kill();
    throw new OverlayError('SYSTEM', `${command[0]} did not start: ${listener.#errors.trim()}.`);
  }

  static tool(namespace: string, name: string, args: readonly string[]): Promise<Listener> {
    return Listener.start(namespace, [toolPath(name), ...args]);
  }

  /** Ends its input, and gives the JSON of its last line. */
  async finish<T>(): Promise<T> {
    this.#child.stdin.end();
    await this.#ended;
    return JSON.parse(this.#output.trim().split('\n').at(-1) ?? '') as T;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
