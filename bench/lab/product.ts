/** The product on hosts of a lab, as a user sets it up: an overlay manager, resource daemons, invitations. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { valueOf } from '../../cli/command.ts';
import { ringFaults } from '../../cli/demo/ideal.ts';
import { Machine, untilTrue } from '../../cli/demo/machine.ts';
import { OM_PORT } from '../../cli/demo/world.ts';
import { askRd } from '../../cli/rd-client.ts';
import { OverlayError } from '../../overlay/errors.ts';
import type { NodeStatus, TunnelStatus } from '../../overlay/messages/control.ts';
import type { Host, Lab } from './lab.ts';

const POLL_MS = 50;
const START_MS = 30_000;
const RING_MS = 60_000;

type Definition = Readonly<Record<string, unknown>>;

export class Product {
  readonly machines: readonly Machine[];
  readonly #om: Machine;
  #vis = 0;

  private constructor(machines: readonly Machine[], om: Machine) {
    this.machines = machines;
    this.#om = om;
  }

  /** A resource daemon on each host, with this rd.yaml; the overlay manager is on the first, and idle while they talk. */
  static async start(lab: Lab, hosts: readonly Host[], rdConfig: Definition = {}): Promise<Product> {
    const machineAt = ({ namespace, address }: Host, name: string): Machine =>
      new Machine({ name, namespace, directory: join(lab.directory, `${namespace}-${name}`), ipv4: address, ipv6: '' });
    const machines = hosts.map((host, index) => machineAt(host, `end${index}`));
    const om = machineAt(hosts[0] as Host, 'om');
    const child = om.start(['om', 'start', '--data', om.data, '--listen', `${om.ipv4}:${OM_PORT}`], 'om.log');
    await untilTrue('the overlay manager to listen', START_MS, POLL_MS, () => {
      if (child.exitCode !== null) throw new OverlayError('SYSTEM', `om start ended: ${om.logTail('om.log')}`);
      return Promise.resolve(existsSync(join(om.data, 'endpoint.json')));
    });
    for (const machine of machines) {
      const file = join(machine.directory, 'rd.yaml');
      writeFileSync(file, stringify(rdConfig));
      await machine.startRd(['--config', file]);
    }
    return new Product(machines, om);
  }

  /** Makes a VI and joins it on every machine; resolves when the ring is ideal. Several VIs have pools of their own. */
  async joinVi(name: string, definition: Definition = {}): Promise<readonly NodeStatus[]> {
    const index = ++this.#vis;
    const pools = { ipv4Pool: `10.${index}.0.0/24`, linkPool: `10.${index}.128.0/20` };
    const file = join(this.#om.directory, `${name}.yaml`);
    writeFileSync(file, stringify({ ...pools, ...definition }));
    await this.#om.mustCommand(['vi', 'create', name, '--file', file, '--data', this.#om.data]);
    const uses = String(this.machines.length);
    const invitation = (await this.#om.mustCommand(['invite', name, '--data', this.#om.data, '--uses', uses])).trim();
    for (const machine of this.machines) await machine.mustJoin(invitation);
    let nodes: NodeStatus[] = [];
    await untilTrue(`the ring of ${name} to become ideal`, RING_MS, POLL_MS, async () => {
      nodes = await Promise.all(this.machines.map((machine) => machine.node(name)));
      return ringFaults(nodes, nodes[0]?.vi.definition.successors ?? 0).length === 0;
    });
    return nodes;
  }

  /** Processes of the resource daemons. */
  async pids(): Promise<readonly number[]> {
    return (await Promise.all(this.machines.map((machine) => machine.status()))).map(({ pid }) => pid);
  }
}

/** The tunnels of the node of a VI on a machine. */
export async function tunnelsOf(machine: Machine, vi: string): Promise<readonly TunnelStatus[]> {
  const { nodes } = valueOf(await askRd(machine.run, { t: 'tunnels', vi }, 'tunnels'));
  return nodes[0]?.tunnels ?? [];
}
