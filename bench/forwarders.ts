/** The ways of forwarding that the forwarding benchmark compares, each set up at its transit host. */
import { ip } from '../cli/demo/namespaces.ts';
import { type Host, mustRun } from './lab/lab.ts';
import { askTool, Listener } from './lab/tool.ts';
import { startTransit, VI } from './lab/transit.ts';
import type { Datagrams, UdpPath } from './measure/udp-rate.ts';
import { type InnerPacket, vxlanPacket } from './measure/vxlan-packet.ts';

/** A – T – B; T has an address on the cable to each, A and B have no way to each other. */
export type Row = {
  readonly a: Host;
  readonly transitToA: Host;
  readonly transitToB: Host;
  readonly b: Host;
};

export type Forwarder = {
  readonly path: UdpPath;
  /** Packets of so many bytes of (inner) IP. */
  readonly datagramsOf: (size: number) => Datagrams;
};

const MACS = { a: '02:00:00:00:00:0a', transit: '02:00:00:00:00:0c', b: '02:00:00:00:00:0b' } as const;
const VXLAN_PORT = 4789;
const OUR_PORT = 4780;
const END_PORT = 4781;
const APPLICATION_PORT = 5400;
const IPV4_UDP_BYTES = 28;

const datagramsOf =
  (packet: Omit<InnerPacket, 'size'>) =>
  (size: number): Datagrams => {
    const { bytes, payloadOffset } = vxlanPacket({ ...packet, size });
    return { template: bytes, stampOffset: payloadOffset, segments: 1 };
  };

/** The kernel takes packets out of one VXLAN tunnel, forwards them by its routing table, and puts them into another. */
export async function kernelForwarder({ a, transitToA, transitToB, b }: Row): Promise<Forwarder> {
  const vnis = { a: 42, b: 43 };
  const { namespace } = transitToA;
  await ip(namespace, [
    `link add vxa address ${MACS.transit} type vxlan id ${vnis.a} local ${transitToA.address} remote ${a.address} dstport ${VXLAN_PORT}`,
    `link add vxb type vxlan id ${vnis.b} local ${transitToB.address} remote ${b.address} dstport ${VXLAN_PORT}`,
    'addr add 10.78.1.254/24 dev vxa',
    'addr add 10.78.2.254/24 dev vxb',
    'link set vxa up',
    'link set vxb up',
    `neigh replace 10.78.2.1 lladdr ${MACS.b} dev vxb nud permanent`,
  ]);
  await mustRun(namespace, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  return {
    path: {
      from: a,
      fromPort: END_PORT,
      target: { address: transitToA.address, port: VXLAN_PORT },
      to: b,
      toPort: VXLAN_PORT,
    },
    datagramsOf: datagramsOf({
      vni: vnis.a,
      fromMac: MACS.a,
      toMac: MACS.transit,
      from: '10.78.1.1',
      to: '10.78.2.1',
    }),
  };
}

/** Ours, by range: IPv4 by the address's hash, or IPv6 by the key in the address. */
export async function rangeForwarders({ a, transitToA, b }: Row): Promise<{
  readonly node: Listener;
  readonly ipv4: Forwarder;
  readonly ipv6: Forwarder;
}> {
  const node = await startTransit(transitToA.namespace, {
    listen: { address: '0.0.0.0', port: OUR_PORT },
    mac: MACS.transit,
    from: { peer: { address: a.address, port: END_PORT }, mac: MACS.a },
    to: { peer: { address: b.address, port: END_PORT }, mac: MACS.b },
  });
  const path = {
    from: a,
    fromPort: END_PORT,
    target: { address: transitToA.address, port: OUR_PORT },
    to: b,
    toPort: END_PORT,
  };
  const frame = { vni: VI.vni, fromMac: MACS.a, toMac: MACS.transit };
  return {
    node,
    ipv4: { path, datagramsOf: datagramsOf({ ...frame, from: '10.77.0.1', to: '10.77.0.2' }) },
    ipv6: {
      path,
      datagramsOf: datagramsOf({
        ...frame,
        from: 'fd12:3456:789a:1::a',
        to: 'fd12:3456:789a:1:8899:aabb:ccdd:eeff',
      }),
    },
  };
}

/** A program at T receives every datagram and sends it on; straight over the base network, which is in its favour. */
export async function udpForwarder({ a, transitToA, b }: Row): Promise<Forwarder> {
  const at = { address: transitToA.address, port: APPLICATION_PORT };
  await Listener.tool(transitToA.namespace, 'udp_forward', [
    `${at.address}:${at.port}`,
    `${b.address}:${APPLICATION_PORT}`,
  ]);
  return {
    path: { from: a, fromPort: 0, target: at, to: b, toPort: APPLICATION_PORT },
    datagramsOf: (size) => ({ template: new Uint8Array(size - IPV4_UDP_BYTES), stampOffset: 0, segments: 1 }),
  };
}

const TCP_PORT = 5401;
const TCP_IPV4_BYTES = 40;

export type TransferSample = { readonly transfers: number; readonly failed: number; readonly seconds: number };

/** A program at T takes the bytes of each connection and makes another connection to send them on. */
export async function tcpForwarder({
  a,
  transitToA,
  b,
}: Row): Promise<(size: number, seconds: number) => Promise<TransferSample>> {
  for (const { namespace } of [a, transitToA]) {
    // Every transfer uses up a port for a minute otherwise.
    await mustRun(namespace, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse']);
    await mustRun(namespace, ['sh', '-c', 'echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range']);
  }
  const to = `${b.address}:${TCP_PORT}`;
  const at = `${transitToA.address}:${TCP_PORT}`;
  await Listener.tool(transitToA.namespace, 'tcp_transfers', ['forward', at, to]);
  return async (size, seconds) => {
    const receiver = await Listener.tool(b.namespace, 'tcp_transfers', ['receive', to]);
    const bytes = String(Math.max(1, size - TCP_IPV4_BYTES));
    const sent = await askTool<TransferSample>(a.namespace, 'tcp_transfers', ['send', at, bytes, String(seconds)]);
    const { transfers } = await receiver.finish<{ transfers: number }>();
    return { ...sent, transfers };
  };
}
