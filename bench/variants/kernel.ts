/** Without a daemon: the bare cable, and the kernel's VXLAN over it. */
import { ip } from '../../cli/demo/namespaces.ts';
import type { Host } from '../lab/lab.ts';
import { deviceMtu, untilReachable } from './reachable.ts';
import type { Variant } from './variant.ts';

const VNI = 42;
const PORT = 4789;
const DEVICE = 'vxlan0';

export async function rawVeth(a: Host, b: Host, device: string): Promise<Variant> {
  await untilReachable('the cable', a, b);
  return { name: 'veth', from: a, to: b, mtu: await deviceMtu(a.namespace, device), pids: [] };
}

export async function kernelVxlan(a: Host, b: Host, device: string): Promise<Variant> {
  const [from, to] = [
    { namespace: a.namespace, address: '10.201.0.1' },
    { namespace: b.namespace, address: '10.201.0.2' },
  ];
  for (const [inner, here, there] of [
    [from, a, b],
    [to, b, a],
  ] as const) {
    await ip(here.namespace, [
      `link add ${DEVICE} type vxlan id ${VNI} local ${here.address} remote ${there.address} dstport ${PORT} dev ${device}`,
      `addr add ${inner.address}/24 dev ${DEVICE}`,
      `link set ${DEVICE} up`,
    ]);
  }
  await untilReachable('kernel VXLAN', from, to);
  return { name: 'vxlan', from, to, mtu: await deviceMtu(a.namespace, DEVICE), pids: [] };
}
