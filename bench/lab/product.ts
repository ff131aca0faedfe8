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
const BESIDE_PORT = 7000;

type Definition = Readonly<Record<string, unknown>>;

/** What all daemons of one overlay manager share. */
type Owner = { readonly om: Machine; vis: number; pairs: number };

function machineAt(lab: Lab, { namespace, address }: Host, name: string): Machine {
  return new Machine({
    name,
    namespace,
    directory: join(lab.directory, `${namespace}-${name}`),
    ipv4: address,
    ipv6: '',
  });
}

export class Product {
  readonly machines: readonly Machine[];
  readonly #owner: Owner;

  private constructor(machines: readonly Machine[], owner: Owner) {
    this.machines = machines;
    this.#owner = owner;
  }

  /** A resource daemon on each host, with this rd.yaml; the overlay manager is on the first, and idle while they talk. */
  static async start(lab: Lab, hosts: readonly Host[], rdConfig: Definition = {}): Promise<Product> {
    const om = machineAt(lab, hosts[0] as Host, 'om');
    const child = om.start(['om', 'start', '--data', om.data, '--listen', `${om.ipv4}:${OM_PORT}`], 'om.log');
    await untilTrue('the overlay manager to listen', START_MS, POLL_MS, () => {
      if (child.exitCode !== null) throw new OverlayError('SYSTEM', `om start ended: ${om.logTail('om.log')}`);
      return Promise.resolve(existsSync(join(om.data, 'endpoint.json')));
    });
    return Product.#startDaemons(lab, hosts, rdConfig, { om, vis: 0, pairs: 0 });
  }

  /** Further daemons of the same overlay manager, at ports of their own: what they do with each other is theirs alone. */
  beside(lab: Lab, hosts: readonly Host[]): Promise<Product> {
    const listen = `0.0.0.0:${BESIDE_PORT + this.#owner.pairs}`;
    return Product.#startDaemons(lab, hosts, { listen }, this.#owner);
  }

  static async #startDaemons(lab: Lab, hosts: readonly Host[], rdConfig: Definition, owner: Owner): Promise<Product> {
    const pair = owner.pairs++;
    const machines = hosts.map((host, index) => machineAt(lab, host, `pair${pair}-end${index}`));
    for (const machine of machines) {
      const file = join(machine.directory, 'rd.yaml');
      writeFileSync(file, stringify(rdConfig));
      await machine.startRd(['--config', file]);
    }
    return new Product(machines, owner);
  }

  /** Makes a VI and joins it on every machine; resolves when the ring is ideal. Several VIs have pools of their own. */
  async joinVi(name: string, definition: Definition = {}): Promise<readonly NodeStatus[]> {
    const index = ++this.#owner.vis;
    const { om } = this.#owner;
    const pools = { ipv4Pool: `10.${index}.0.0/24`, linkPool: `10.${index}.128.0/20` };
    const file = join(om.directory, `${name}.yaml`);
    writeFileSync(file, stringify({ ...pools, ...definition }));
    await om.mustCommand(['vi', 'create', name, '--file', file, '--data', om.data]);
    const uses = String(this.machines.length);
    const invitation = (await om.mustCommand(['invite', name, '--data', om.data, '--uses', uses])).trim();
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
