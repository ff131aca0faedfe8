/** An overlay manager and machines in network namespaces, everything in them started by the real commands. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { OverlayError } from '../../overlay/errors.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { ringFaults } from './ideal.ts';
import { Machine, untilTrue } from './machine.ts';
import { createNamespaces, ip, namespacesWithPrefix, removeNamespaces } from './namespaces.ts';

export type Underlay = 'both' | 'ipv4' | 'ipv6';

export type WorldOptions = {
  /** First letters of every name: of namespaces and of the directory. */
  readonly kind: string;
  readonly underlay?: Underlay;
};

export const OM_PORT = 4781;
const OM_INDEX = 0xffff;
const POLL_MS = 50;
const OM_START_MS = 30_000;
const MACHINES_MAX = 250;

export class World {
  /** Unique on this machine. */
  readonly id: string;
  /** Holds the directories of all machines. */
  readonly directory: string;
  readonly machines: Machine[] = [];
  readonly underlay: Underlay;
  /** Process of the overlay manager, since startOm. */
  omPid: number | undefined;
  #om: Machine | undefined;
  /** Settles when no namespace is being made. */
  #making: Promise<unknown> = Promise.resolve();
  #removed: Promise<void> | undefined;

  /** Makes its directory and nothing else, so that it can be removed from the first moment on. */
  constructor(options: WorldOptions) {
    this.id = options.kind + randomBytes(3).toString('hex');
    this.underlay = options.underlay ?? 'both';
    this.directory = mkdtempSync(join(tmpdir(), `${this.id}-`));
    chmodSync(this.directory, 0o755);
  }

  /** Makes a switch and a machine for the overlay manager. */
  async create(): Promise<void> {
    await this.#make([this.switch, `${this.id}-om`]);
    await ip(this.switch, [
      'link set lo up',
      'link add br0 type bridge stp_state 0 mcast_snooping 0',
      'link set br0 up',
    ]);
    this.#om = this.#machineOf('om', OM_INDEX);
    await this.#plugIn([this.om]);
  }

  get switch(): string {
    return `${this.id}-sw`;
  }

  get om(): Machine {
    if (this.#om === undefined) throw new OverlayError('INTERNAL', 'The world has no overlay manager yet.');
    return this.#om;
  }

  /** HOST:PORT under which the overlay manager listens. */
  get omAddress(): string {
    return this.underlay === 'ipv6' ? `[${this.om.ipv6}]:${OM_PORT}` : `${this.om.ipv4}:${OM_PORT}`;
  }

  async addMachines(count: number, nameOf: (index: number) => string = (index) => `n${index}`): Promise<Machine[]> {
    const first = this.machines.length + 1;
    if (first + count > MACHINES_MAX)
      throw new OverlayError('LIMIT_REACHED', `A world has at most ${MACHINES_MAX} machines.`);
    const added = Array.from({ length: count }, (_, i) => this.#machineOf(nameOf(first + i), first + i));
    this.machines.push(...added);
    await this.#make(added.map((machine) => machine.namespace));
    await this.#plugIn(added);
    return added;
  }

  /** Starts the overlay manager, or this program as one; resolves when it listens. */
  async startOm(program?: (data: string, host: string, port: number) => readonly string[]): Promise<void> {
    const endpoint = join(this.om.data, 'endpoint.json');
    rmSync(endpoint, { force: true });
    const host = this.underlay === 'ipv6' ? this.om.ipv6 : this.om.ipv4;
    const child =
      program === undefined
        ? this.om.start(['om', 'start', '--data', this.om.data, '--listen', this.omAddress], 'om.log')
        : this.om.startProgram(program(this.om.data, host, OM_PORT), 'om.log');
    this.omPid = child.pid;
    await untilTrue('the overlay manager to listen', OM_START_MS, POLL_MS, () => {
      if (child.exitCode !== null) throw new OverlayError('SYSTEM', `om start ended: ${this.om.logTail('om.log')}`);
      return Promise.resolve(existsSync(endpoint));
    });
  }

  async createVi(name: string, definition: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const file = join(this.om.directory, `${name}.yaml`);
    writeFileSync(file, stringify(definition));
    await this.om.mustCommand(['vi', 'create', name, '--file', file, '--data', this.om.data]);
  }

  /** The text of an invitation. */
  async invite(vi: string, args: readonly string[] = []): Promise<string> {
    return (await this.om.mustCommand(['invite', vi, '--data', this.om.data, ...args])).trim();
  }

  /** The nodes of a VI on these machines. */
  nodes(machines: readonly Machine[] = this.machines, vi?: string): Promise<NodeStatus[]> {
    return Promise.all(machines.map((machine) => machine.node(vi)));
  }

  /** Resolves when the ring of these machines' nodes is ideal; TIMEOUT says what is not. */
  async untilIdeal(
    options: {
      readonly machines?: readonly Machine[];
      readonly vi?: string;
      readonly timeoutMs?: number;
      readonly onFaults?: (count: number) => void;
    } = {},
  ): Promise<NodeStatus[]> {
    const { machines = this.machines, vi, timeoutMs = 60_000 } = options;
    let nodes: NodeStatus[] = [];
    let faults: string[] = [];
    const ideal = async (): Promise<boolean> => {
      try {
        nodes = await this.nodes(machines, vi);
        faults = ringFaults(nodes, nodes[0]?.vi.definition.successors ?? 0);
      } catch (error) {
        faults = [(error as Error).message];
      }
      options.onFaults?.(faults.length);
      return faults.length === 0;
    };
    try {
      await untilTrue('the ring to become ideal', timeoutMs, POLL_MS, ideal);
    } catch (error) {
      const list = faults.slice(0, 10).join('; ');
      throw new OverlayError('TIMEOUT', `${(error as Error).message} ${faults.length} faults: ${list}`);
    }
    return nodes;
  }

  /** The switch's end of a machine's cable, in the switch's namespace. */
  portOf(machine: Machine): string {
    return `p${machine.namespace.slice(this.id.length + 1)}`;
  }

  /** Takes a machine's cable out. */
  async unplug(machine: Machine): Promise<void> {
    await ip(machine.namespace, ['link set eth0 down']);
  }

  /** Ends everything inside and removes it all; may be called at any time and again. */
  remove(): Promise<void> {
    this.#removed ??= this.#end();
    return this.#removed;
  }

  async #make(namespaces: readonly string[]): Promise<void> {
    if (this.#removed !== undefined) throw new OverlayError('INTERNAL', 'The world is being removed.');
    const made = createNamespaces(namespaces);
    this.#making = Promise.allSettled([this.#making, made]);
    await made;
  }

  async #end(): Promise<void> {
    // What is just being made could come into being after the last look.
    await this.#making;
    const machines = this.#om === undefined ? this.machines : [...this.machines, this.#om];
    await Promise.all(machines.map((machine) => machine.endPrograms()));
    await removeWorld(this.id, this.directory);
  }

  #machineOf(name: string, index: number): Machine {
    const directory = join(this.directory, name);
    return new Machine({
      name,
      namespace: `${this.id}-${index === OM_INDEX ? 'om' : index}`,
      directory,
      ipv4: `10.99.${index >> 8}.${index === OM_INDEX ? 1 : index & 255}`,
      ipv6: `fd99::${index.toString(16)}`,
    });
  }

  async #plugIn(machines: readonly Machine[]): Promise<void> {
    await ip(
      undefined,
      machines.map(
        (machine) =>
          `link add ${this.portOf(machine)} netns ${this.switch} type veth peer name eth0 netns ${machine.namespace}`,
      ),
    );
    await ip(
      this.switch,
      machines.flatMap((machine) => [
        `link set ${this.portOf(machine)} master br0`,
        `link set ${this.portOf(machine)} up`,
      ]),
    );
    await Promise.all(
      machines.map((machine) =>
        ip(machine.namespace, [
          'link set lo up',
          'link set eth0 up',
          ...(this.underlay === 'ipv6' ? [] : [`addr add ${machine.ipv4}/16 dev eth0`]),
          // Nobody else is there, so there is no need to wait until duplicates are ruled out.
          ...(this.underlay === 'ipv4' ? [] : [`addr add ${machine.ipv6}/64 dev eth0 nodad`]),
        ]),
      ),
    );
  }
}

/** Removes what has this id, also what another process has made or is making. */
export async function removeWorld(id: string, directory: string): Promise<void> {
  for (let names = [id]; names.length > 0; ) {
    names = await namespacesWithPrefix(`${id}-`);
    await removeNamespaces(names);
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}
