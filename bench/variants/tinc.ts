/** tinc 1.0 as Debian packages it, with its default cipher and digest. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ip } from '../../cli/demo/namespaces.ts';
import { type Host, type Lab, mustRun } from '../lab/lab.ts';
import { deviceMtu, untilDevice, untilReachable } from './reachable.ts';
import type { Variant } from './variant.ts';

const DEVICE = 'tinc0';
const KEY_BITS = 2048;

export async function tinc(lab: Lab, a: Host, b: Host): Promise<Variant> {
  const secrets = lab.secretDirectory('tinc');
  const ends = [a, b].map((host, index) => ({
    host,
    name: `end${index}`,
    directory: join(secrets, `end${index}`),
    inner: { namespace: host.namespace, address: `10.204.0.${index + 1}` },
  })) as [End, End];
  for (const { host, name, directory, inner } of ends) {
    mkdirSync(join(directory, 'hosts'), { recursive: true, mode: 0o700 });
    const peer = name === 'end0' ? '' : 'ConnectTo = end0\n';
    writeFileSync(join(directory, 'tinc.conf'), `Name = ${name}\nInterface = ${DEVICE}\nAddressFamily = ipv4\n${peer}`);
    writeFileSync(join(directory, 'hosts', name), `Address = ${host.address}\nSubnet = ${inner.address}/32\n`);
    await mustRun(host.namespace, ['tincd', '-c', directory, `-K${KEY_BITS}`]);
  }
  for (const [index, { name, directory }] of ends.entries()) {
    const peer = ends[1 - index] as End;
    copyFileSync(join(directory, 'hosts', name), join(peer.directory, 'hosts', name));
  }
  const pids: number[] = [];
  for (const { host, name, directory, inner } of ends) {
    const log = `tinc-${name}.log`;
    const child = lab.start(
      host.namespace,
      ['tincd', '-D', '-c', directory, `--pidfile=${join(directory, 'pid')}`],
      log,
    );
    await untilDevice(lab, host.namespace, DEVICE, log);
    pids.push(child.pid ?? 0);
    await ip(host.namespace, [`addr add ${inner.address}/24 dev ${DEVICE}`, `link set ${DEVICE} up`]);
  }
  const [from, to] = ends;
  await untilReachable('tinc', from.inner, to.inner);
  const mtu = await deviceMtu(a.namespace, DEVICE);
  return { name: 'tinc', from: from.inner, to: to.inner, mtu, pids };
}

type End = { readonly host: Host; readonly name: string; readonly directory: string; readonly inner: Host };
