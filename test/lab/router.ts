/** A router between a client and a server with nginx, and the gateway on it: three network namespaces. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { valueOf } from '../../cli/command.ts';
import { untilTrue } from '../../cli/demo/machine.ts';
import {
  createNamespaces,
  ip,
  processesIn,
  type Ran,
  removeNamespaces,
  run,
  within,
} from '../../cli/demo/namespaces.ts';
import { askRouter, controlPath } from '../../gateway/driver/router-control.ts';
import type { QueueStatistics } from '../../native/index.ts';
import type { GatewayFlow } from '../../overlay/gateway-status.ts';
import { nginxCommand } from './nginx.ts';

const CLI = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
/** Debian's; another one does not see Debian's modules. */
export const PYTHON = '/usr/bin/python3';
export const CLIENT = '10.91.1.2';
export const SERVER = '10.91.2.2';
const QUEUE = 0;
const START_MS = 20_000;
const POLL_MS = 50;

export type Download = {
  readonly status: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Of curl: 0 done, 28 out of time, 52 and 56 cut off. */
  readonly exit: number;
};
/** A line of the audit trail. */
export type Told = Readonly<Record<string, unknown>> & { readonly event_type: string };

export class RouterLab {
  readonly directory: string;
  readonly #names: { readonly client: string; readonly router: string; readonly server: string };
  readonly #children: ChildProcess[] = [];
  #gateway: ChildProcess | undefined;

  private constructor(id: string) {
    this.directory = mkdtempSync(join(tmpdir(), 'pxl-router-'));
    this.#names = { client: `pxl-${id}-c`, router: `pxl-${id}-r`, server: `pxl-${id}-s` };
  }

  /** Removed when the test ends. */
  static async create(context: TestContext): Promise<RouterLab> {
    const lab = new RouterLab(process.pid.toString(36));
    context.after(() => lab.#remove());
    await lab.#wire();
    await lab.#serve();
    return lab;
  }

  get server(): string {
    return this.#names.server;
  }

  get client(): string {
    return this.#names.client;
  }

  get router(): string {
    return this.#names.router;
  }

  async #wire(): Promise<void> {
    const { client, router, server } = this.#names;
    await createNamespaces([client, router, server]);
    await ip(router, [
      `link add c0 type veth peer name eth0 netns ${client}`,
      `link add s0 type veth peer name eth0 netns ${server}`,
      'addr add 10.91.1.1/24 dev c0',
      'addr add 10.91.2.1/24 dev s0',
      'link set c0 up',
      'link set s0 up',
      'link set lo up',
    ]);
    for (const [name, address, gateway] of [
      [client, CLIENT, '10.91.1.1'],
      [server, SERVER, '10.91.2.1'],
    ] as const) {
      await ip(name, [
        `addr add ${address}/24 dev eth0`,
        'link set eth0 up',
        'link set lo up',
        `route add default via ${gateway}`,
      ]);
    }
    await run(within(router, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']));
  }

  async #serve(): Promise<void> {
    this.start(this.server, nginxCommand(this.directory, [`${SERVER}:80`, `${SERVER}:81`]));
    const answers = async (): Promise<boolean> => (await this.get('')).status !== 0;
    await untilTrue('nginx answers', START_MS, POLL_MS, answers);
  }

  /** A program in the background, ended with the lab. */
  start(namespace: string | undefined, command: readonly string[]): ChildProcess {
    const [program = '', ...words] = namespace === undefined ? command : within(namespace, command);
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    return child;
  }

  file(name: string, content: string | Uint8Array): void {
    writeFileSync(join(this.directory, 'www', name), content);
  }

  /** With the policy's paths relative to the lab's directory. */
  async startGateway(policy: string, ...options: string[]): Promise<void> {
    this.writePolicy(policy);
    const words = [
      '--policy',
      join(this.directory, 'policy.yaml'),
      '--rules',
      'set',
      '--run',
      this.directory,
      ...options,
    ];
    const child = this.start(this.#names.router, [process.execPath, CLI, 'gateway', 'run', ...words]);
    let said = '';
    child.stdout?.on('data', (text: Buffer) => (said += text.toString()));
    child.stderr?.on('data', (text: Buffer) => (said += text.toString()));
    this.#gateway = child;
    const isThere = async (): Promise<boolean> => {
      if (child.exitCode !== null) throw new Error(`the gateway has ended: ${said}`);
      return said.includes('until this ends');
    };
    await untilTrue('the gateway serves its queue', START_MS, POLL_MS, isThere);
  }

  writePolicy(policy: string): void {
    writeFileSync(join(this.directory, 'policy.yaml'), `policy: p2pxbone gateway, format 1\n${policy}`);
  }

  /** Ends it as a service manager does, and waits until everything is recorded. */
  async stopGateway(): Promise<void> {
    const child = this.#gateway;
    if (child === undefined) return;
    this.#gateway = undefined;
    child.kill('SIGTERM');
    await untilTrue(
      'the gateway has ended',
      START_MS,
      POLL_MS,
      async () => child.exitCode !== null || child.signalCode !== null,
    );
  }

  /** For packets to an address of the client's or server's side that no kernel answers for. */
  async adoptAddress(side: 'client' | 'server', address: string): Promise<void> {
    const device = side === 'client' ? 'c0' : 's0';
    const mac = await this.#macOf(this.#names[side], 'eth0');
    await ip(this.router, [`neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`]);
  }

  /** Of the router, as the client or the server sees it. */
  routerMac(side: 'client' | 'server'): Promise<string> {
    return this.#macOf(this.router, side === 'client' ? 'c0' : 's0');
  }

  async #macOf(namespace: string, device: string): Promise<string> {
    const { stdout } = await run(['ip', '-n', namespace, '-j', 'link', 'show', device]);
    return (JSON.parse(stdout) as readonly { readonly address: string }[])[0]?.address ?? '';
  }

  /** Another one with the same number, in a network namespace where that is free. */
  startSecond(): Promise<Ran> {
    const words = ['--policy', join(this.directory, 'policy.yaml'), '--run', this.directory];
    return run(within(this.client, [process.execPath, CLI, 'gateway', 'run', ...words]));
  }

  command(...words: string[]): Promise<Ran> {
    return run([process.execPath, CLI, 'gateway', ...words, '--run', this.directory]);
  }

  async top(): Promise<{ readonly statistics: QueueStatistics; readonly flows: readonly GatewayFlow[] }> {
    const { stdout } = await this.command('top', '--json');
    return JSON.parse(stdout) as { statistics: QueueStatistics; flows: GatewayFlow[] };
  }

  /** What `top` shows, without a process of its own: for those who look often. */
  async statistics(): Promise<QueueStatistics> {
    return valueOf(await askRouter(controlPath(this.directory, QUEUE), { t: 'statistics' }));
  }

  async flows(most = 1000): Promise<readonly GatewayFlow[]> {
    return valueOf(await askRouter(controlPath(this.directory, QUEUE), { t: 'flows', most })).flows;
  }

  /** Another policy, in force when this resolves. */
  async reload(policy: string): Promise<void> {
    this.writePolicy(policy);
    valueOf(await askRouter(controlPath(this.directory, QUEUE), { t: 'reload' }));
  }

  /** Memory of the gateway's process that is in use now, bytes. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.#gateway?.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  }

  async get(name: string, { port = 80, seconds = 5, header = '', to = 'got' } = {}): Promise<Download> {
    const headers = header === '' ? [] : ['-H', `@${join(this.directory, 'header')}`];
    if (header !== '') writeFileSync(join(this.directory, 'header'), `${header}\n`);
    const form = '%{http_code} %{size_download} %{time_total} %{exitcode}';
    const url = `http://${SERVER}:${port}/${name}`;
    rmSync(join(this.directory, to), { force: true });
    const { stdout } = await run(
      within(this.client, [
        'curl',
        '-s',
        '-m',
        String(seconds),
        '-o',
        join(this.directory, to),
        '-w',
        form,
        ...headers,
        url,
      ]),
    );
    const [status = 0, bytes = 0, taken = 0, exit = 0] = stdout.split(' ').map(Number);
    return { status, bytes, seconds: taken, exit };
  }

  /** What was fetched last. */
  got(): Uint8Array {
    const path = join(this.directory, 'got');
    return existsSync(path) ? readFileSync(path) : new Uint8Array();
  }

  told(type: string): Told[] {
    const lines = readFileSync(join(this.directory, 'audit/eve.json'), 'utf8').split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as Told).filter(({ event_type }) => event_type === type);
  }

  async #remove(): Promise<void> {
    await this.stopGateway();
    for (const child of this.#children) child.kill('SIGKILL');
    const names = Object.values(this.#names);
    await removeNamespaces(names);
    for (const name of names) while ((await processesIn(name)).length > 0) await setTimeout(50);
    rmSync(this.directory, { recursive: true, force: true });
  }
}
