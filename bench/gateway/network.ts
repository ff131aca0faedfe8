/**
 * Two clients and three servers around one node, each on a cable of its own. The packets of their connections come to
 * the node in VXLAN, and leave it so: by the kernel's tunnels in one network, by our data plane's in another, on the
 * same cables. The clients and the servers are the kernel's in both.
 */
import { ip, run, within } from '../../cli/demo/namespaces.ts';
import { type Lab, mustRun } from '../lab/lab.ts';
import { VI } from '../lab/transit.ts';

export type Design = 'nfqueue' | 'embedded';

/** How a sender of TCP reacts to loss. */
export type CongestionControl = 'cubic' | 'bbr';
/**
 * What nearly all servers have. What paces its segments (BBR, to which some machines are set) sends many small bursts:
 * then the ends are the limit, whatever the node does.
 */
export const USUAL_CONTROL: CongestionControl = 'cubic';

export const CLIENTS = ['c1', 'c2'] as const;
export const SERVERS = ['s1', 's2', 's3'] as const;
export type End = (typeof CLIENTS)[number] | (typeof SERVERS)[number];
export const ENDS: readonly End[] = [...CLIENTS, ...SERVERS];

/** The node has one processor, everything else the other. */
export const END_CPU = 0;
export const NODE_CPU = 1;

export const NODE_MAC = '02:00:00:00:00:0c';
export const OUR_PORT = 4780;
const KERNEL_PORT = 4789;

const MTU = 1450;

/**
 * Packets that wait for a processor, for all namespaces together: a setting of the machine. All that crosses a cable here
 * passes that queue. Bursts of a hundred connections overflow the usual 1,000, and then retransmission is measured.
 */
const BACKLOG = 10_000;

/** 1 to 5. */
const numberOf = (end: End): number => ENDS.indexOf(end) + 1;

export const cableAddress = (end: End): string => `10.212.${numberOf(end)}.1`;
export const macOf = (end: End): string => `02:00:00:00:01:0${numberOf(end)}`;

/** Where this end is reached through the node with that design. */
export function addressOf(end: End, design: Design): string {
  return design === 'nfqueue' ? `10.78.${numberOf(end)}.1` : `10.77.1.${numberOf(end)}`;
}

export class GatewayNetwork {
  readonly lab: Lab;
  readonly node: string;
  readonly #ends: ReadonlyMap<End, string>;

  private constructor(lab: Lab, node: string, ends: ReadonlyMap<End, string>) {
    this.lab = lab;
    this.node = node;
    this.#ends = ends;
  }

  static async lay(lab: Lab): Promise<GatewayNetwork> {
    lab.settings.raise('net.core.netdev_max_backlog', BACKLOG);
    const node = await lab.addNamespace('node');
    const ends = new Map<End, string>();
    for (const end of ENDS) ends.set(end, await lab.addNamespace(end));
    const network = new GatewayNetwork(lab, node, ends);
    for (const end of ENDS) await network.#connect(end);
    await network.setCongestionControl(USUAL_CONTROL);
    await mustRun(node, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    return network;
  }

  at(end: End): string {
    return this.#ends.get(end) ?? '';
  }

  /** A command line at an end, on the ends' processor. */
  within(end: End, command: readonly string[]): readonly string[] {
    return within(this.at(end), ['taskset', '-c', String(END_CPU), ...command]);
  }

  async #connect(end: End): Promise<void> {
    const [number, namespace] = [numberOf(end), this.at(end)];
    const cable = `cable${number}`;
    const nodeAddress = `10.212.${number}.2`;
    await this.lab.cable(
      { namespace, address: cableAddress(end) },
      { namespace: this.node, address: nodeAddress },
      cable,
    );
    for (const [where, cpu] of [
      [namespace, END_CPU],
      [this.node, NODE_CPU],
    ] as const) {
      // Packets as a cable carries them, each by itself, and taken up by the processor of whose end it is.
      await mustRun(where, ['ethtool', '-K', cable, 'tso', 'off', 'gso', 'off', 'gro', 'off']);
      const mask = (1 << cpu).toString(16);
      await mustRun(where, [
        'ip',
        'netns',
        'exec',
        where,
        'sh',
        '-c',
        `echo ${mask} > /sys/class/net/${cable}/queues/rx-0/rps_cpus`,
      ]);
    }
    // What comes to a process must have its checksums.
    await mustRun(namespace, ['ethtool', '-K', cable, 'tx', 'off']);
    await this.#letGo(namespace, cable, nodeAddress, cableAddress(end));
    const kernelMac = `02:00:00:00:02:0${number}`;
    const vni = 40 + number;
    const sides = `local ${cableAddress(end)} remote ${nodeAddress}`;
    await ip(namespace, [
      `link add kernel address ${kernelMac} type vxlan id ${vni} ${sides} dstport ${KERNEL_PORT} noudpcsum`,
      // Our node knows a neighbour by its port, too.
      `link add ours address ${macOf(end)} type vxlan id ${VI.vni} ${sides} dstport ${OUR_PORT} srcport ${OUR_PORT} ${OUR_PORT + 1} noudpcsum`,
      `link set kernel mtu ${MTU} up`,
      `link set ours mtu ${MTU} up`,
      `addr add ${addressOf(end, 'nfqueue')}/24 dev kernel`,
      `addr add ${addressOf(end, 'embedded')}/32 dev ours`,
      `route add ${VI.transitIpv4}/32 dev ours`,
      `neigh replace ${VI.transitIpv4} lladdr ${NODE_MAC} dev ours nud permanent`,
    ]);
    await ip(this.node, [
      `link add vx${number} type vxlan id ${vni} local ${nodeAddress} remote ${cableAddress(end)} dstport ${KERNEL_PORT} noudpcsum`,
      `link set vx${number} mtu ${MTU} up`,
      `addr add 10.78.${number}.254/24 dev vx${number}`,
      `neigh replace ${addressOf(end, 'nfqueue')} lladdr ${kernelMac} dev vx${number} nud permanent`,
    ]);
    // Nor does the node's tunnel join them.
    await mustRun(this.node, ['ethtool', '-K', `vx${number}`, 'gro', 'off']);
  }

  /**
   * As with a network card, what was sent is done with when it is on the cable. A veth hands over the sender's packet itself:
   * the socket hears that it may send on when the receiver frees it, and sends on the receiver's processor, which was a
   * quarter of the node's time. What is redirected is a copy of the packet's head, and the original is freed at once.
   */
  async #letGo(namespace: string, cable: string, node: string, source: string): Promise<void> {
    await ip(namespace, [`link add out link ${cable} type macvlan mode bridge`, 'link set out up']);
    await mustRun(namespace, ['tc', 'qdisc', 'add', 'dev', 'out', 'clsact']);
    const all = ['protocol', 'all', 'u32', 'match', 'u32', '0', '0'];
    const redirect = ['action', 'mirred', 'egress', 'redirect', 'dev', cable];
    await mustRun(namespace, ['tc', 'filter', 'add', 'dev', 'out', 'egress', ...all, ...redirect]);
    await ip(namespace, [`route add ${node}/32 dev out src ${source}`]);
  }

  /** Whether the node's kernel joins segments that come one after the other before it looks at them (GRO). */
  async setJoining(joins: boolean): Promise<void> {
    for (const end of ENDS) {
      for (const device of [`cable${numberOf(end)}`, `vx${numberOf(end)}`]) {
        await mustRun(this.node, ['ethtool', '-K', device, 'gro', joins ? 'on' : 'off']);
      }
    }
  }

  /** Of connections that are begun from now on. */
  async setCongestionControl(algorithm: CongestionControl): Promise<void> {
    for (const end of ENDS) {
      await ip(this.at(end), [
        `route replace 10.78.0.0/16 via 10.78.${numberOf(end)}.254 dev kernel congctl ${algorithm}`,
        `route replace ${VI.ipv4Prefix} via ${VI.transitIpv4} dev ours congctl ${algorithm}`,
      ]);
    }
  }

  /** Whether a packet from the one end reaches the other. */
  async reaches(from: End, to: End, design: Design): Promise<boolean> {
    const { code } = await run(within(this.at(from), ['ping', '-c', '1', '-W', '1', addressOf(to, design)]));
    return code === 0;
  }
}
