/** Network namespaces joined by cables, and programs in them; all of it goes away together. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNamespaces, ip, type Ran, run, within } from '../../cli/demo/namespaces.ts';
import { removeWorld, type World } from '../../cli/demo/world.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { MachineSettings } from './machine-settings.ts';

const labs = new Set<Pick<World, 'remove'>>();

/** Removes every lab of this process; for signals. */
export async function removeLabs(): Promise<void> {
  await Promise.all([...labs].map((lab) => lab.remove()));
}

/** A world goes when `use` has ended, or when the process is told to. */
export async function inWorld<T>(world: World, use: (world: World) => Promise<T>): Promise<T> {
  labs.add(world);
  try {
    return await use(world);
  } finally {
    await world.remove();
    labs.delete(world);
  }
}

/** A machine of a lab: a namespace with an address on its first cable. */
export type Host = { readonly namespace: string; readonly address: string };

export class Lab {
  /** Unique on this machine; first part of all names. */
  readonly id: string = `pxb${randomBytes(3).toString('hex')}`;
  readonly directory: string;
  /** As long as the lab is there. */
  readonly settings: MachineSettings = new MachineSettings();
  #removed: Promise<void> | undefined;

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), `${this.id}-`));
    // P2P daemons run as another user. What is secret has a directory of its own.
    chmodSync(this.directory, 0o755);
    labs.add(this);
  }

  async addNamespace(name: string): Promise<string> {
    const namespace = `${this.id}-${name}`;
    await createNamespaces([namespace]);
    await ip(namespace, ['link set lo up']);
    return namespace;
  }

  /** A veth pair of MTU 1500, with these addresses of a /24. Device names are the same at both ends. */
  async cable(a: Host, b: Host, device: string): Promise<void> {
    await ip(undefined, [`link add ${device} netns ${a.namespace} type veth peer name ${device} netns ${b.namespace}`]);
    for (const { namespace, address } of [a, b]) {
      await ip(namespace, [
        `link set ${device} addrgenmode none`,
        `addr add ${address}/24 dev ${device}`,
        `link set ${device} up`,
      ]);
    }
  }

  /** A new directory that only root may read. */
  secretDirectory(name: string): string {
    const path = join(this.directory, name);
    mkdirSync(path, { mode: 0o700 });
    return path;
  }

  /** Starts a daemon in the foreground in a namespace; what it says goes to a log. */
  start(namespace: string, command: readonly string[], log: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
    const file = openSync(join(this.directory, log), 'a', 0o600);
    const [program = '', ...rest] = within(namespace, command);
    const child = spawn(program, rest, { stdio: ['ignore', file, file], env: { ...process.env, ...env } });
    closeSync(file);
    child.on('error', () => undefined);
    return child;
  }

  logTail(log: string): string {
    return readFileSync(join(this.directory, log), 'utf8').trim().split('\n').slice(-3).join(' | ');
  }

  /** Ends everything inside and removes it all; may be called at any time and again. */
  remove(): Promise<void> {
    this.#removed ??= removeWorld(this.id, this.directory).finally(() => {
      this.settings.restore();
      labs.delete(this);
    });
    return this.#removed;
  }
}

/** Runs a program in a namespace to its end; anything but success is an error that says what it said. */
export async function mustRun(namespace: string, command: readonly string[]): Promise<string> {
  const { code, stdout, stderr }: Ran = await run(within(namespace, command));
  if (code === 0) return stdout;
  throw new OverlayError('SYSTEM', `${command[0]} ended with ${code}: ${(stderr || stdout).trim().slice(-300)}.`);
}
